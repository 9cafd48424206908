//! Events while a request is worked on, and many requests at once.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};

use super::run::Run;
use super::{RagError, RagOutcome, RagPipeline, RagRequest, Stage, StageTrace};
use crate::generator::Step;
use crate::image::Image;

/// Something that happened while a request was worked on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A stage begins.
    StageBegan {
        /// Which stage.
        stage: Stage,
        /// The round it belongs to; the draft is round 0.
        round: usize,
    },
    /// A stage has ended: its record holds the verdict, the captions, the hits.
    StageEnded(StageTrace),
    /// A denoising step has ended.
    Step {
        /// The stage that draws: draft or generate.
        stage: Stage,
        /// The round it belongs to; the draft is round 0.
        round: usize,
        /// The step, with a preview where one was asked for.
        step: Step,
    },
    /// An image was drawn.
    Image {
        /// The round it belongs to; the draft is round 0.
        round: usize,
        /// The image.
        image: Image,
    },
    /// The last event: the result of the request.
    Done(Box<Result<RagOutcome, RagError>>),
}

/// The events of one request. The request is processed while the stream is polled; dropping the
/// stream cancels it.
#[must_use = "streams do nothing unless polled"]
pub struct RagStream {
    events: UnboundedReceiver<Event>,
    run: Option<BoxFuture<'static, Result<RagOutcome, RagError>>>,
    done: Option<Box<Result<RagOutcome, RagError>>>,
}

impl RagPipeline {
    /// Makes one image, as a stream of events. The last event is [`Event::Done`].
    pub fn stream(&self, request: impl Into<RagRequest>) -> RagStream {
        let (sender, events) = unbounded();
        let (pipeline, request) = (self.clone(), request.into());
        let run = async move {
            let mut run = Run::new(&pipeline, &request, Some(sender));
            let end = run.drive().await;
            run.finish(end)
        };
        RagStream { events, run: Some(run.boxed()), done: None }
    }

    /// Works through many requests, at most `concurrency` (at least 1) of them at a time, so that
    /// the generator stays busy while a VLM replies about other images. Results come in the order
    /// in which they finish, each with the index of its request.
    ///
    /// While the stream is not polled, its requests stand still, and what they hold stays held: a
    /// slot of [`Limit`](crate::vlm::Limit), or the question that a re-ranker is asking. So do not
    /// wait for another request to the same parts between two results; poll both side by side.
    pub fn run_many<R>(
        &self,
        requests: impl IntoIterator<Item = R, IntoIter: Send>,
        concurrency: usize,
    ) -> impl Stream<Item = (usize, Result<RagOutcome, RagError>)> + Send
    where
        R: Into<RagRequest> + Send,
    {
        futures::stream::iter(requests.into_iter().enumerate())
            .map(move |(number, request)| self.run(request).map(move |result| (number, result)))
            .buffer_unordered(concurrency.max(1))
    }
}

impl Stream for RagStream {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(Poll::Ready(result)) = self.run.as_mut().map(|run| run.poll_unpin(context)) {
            self.done = Some(Box::new(result));
            self.run = None;
        }
        match self.events.poll_next_unpin(context) {
            Poll::Ready(Some(event)) => Poll::Ready(Some(event)),
            _ if self.run.is_some() => Poll::Pending,
            _ => Poll::Ready(self.done.take().map(Event::Done)),
        }
    }
}

impl fmt::Debug for RagStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RagStream").field("running", &self.run.is_some()).finish_non_exhaustive()
    }
}
