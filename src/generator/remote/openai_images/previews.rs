//! The events of a stream to the partial images that a listener is shown.

use std::ops::ControlFlow;

use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender};

use super::reply;
use crate::generator::remote::picture;
use crate::generator::{Progress, Step};
use crate::net::client::Watch;
use crate::net::events::Events;
use crate::net::reply::Service;

/// A partial image: its number, from 0, and its base64.
pub(super) type Partial = (usize, String);

/// Sends every partial image of a stream as it comes, until the whole one is there.
pub(super) fn watch(partials: UnboundedSender<Partial>) -> Watch {
    let (mut events, mut count) = (Events::default(), 0);
    Box::new(move |piece| {
        for mut event in events.push(piece) {
            if let Some((number, base64)) = reply::partial(&mut event) {
                let number = number.and_then(|number| usize::try_from(number).ok());
                // Nobody listens any more where the call was given up.
                let _ = partials.unbounded_send((number.unwrap_or(count), base64));
                count += 1;
            } else if reply::is_final(&event) {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })
}

/// Tells `progress` of `partials` in their order, as steps of `total`. What is no picture is left out.
pub(super) async fn show(
    mut partials: UnboundedReceiver<Partial>,
    total: usize,
    progress: &Progress,
    service: &Service,
) {
    while let Some((number, base64)) = partials.next().await {
        if number >= total {
            continue;
        }
        if let Ok(image) = picture(service, base64).await {
            let mut step = Step::new(number + 1, total);
            step.preview = Some(image);
            progress.report(step);
        }
    }
}
