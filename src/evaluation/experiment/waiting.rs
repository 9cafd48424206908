//! Work in progress to its next result, with a word now and then where that takes long.

use std::time::{Duration, Instant};

use futures::future::{Either, select};
use futures::stream::FuturesUnordered;
use futures::{Future, StreamExt};

/// The time without a result after which a run says what it waits for, and says it again.
const PATIENCE: Duration = Duration::from_secs(60);

/// The next result of `running`; `None` where nothing is in progress. `tell` is told each minute how long it
/// has been waited for.
pub(super) async fn next<F: Future>(
    running: &mut FuturesUnordered<F>,
    mut tell: impl FnMut(Duration),
) -> Option<F::Output> {
    let began = Instant::now();
    loop {
        let patience = futures_timer::Delay::new(PATIENCE);
        match select(running.next(), patience).await {
            Either::Left((found, _)) => return found,
            Either::Right(_) => tell(began.elapsed()),
        }
    }
}
