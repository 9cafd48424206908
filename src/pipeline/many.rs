//! [`RunMany`] and [`StreamMany`]: many requests to their results, some of them at a time.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::SelectAll;
use futures::{Stream, StreamExt};

use super::{Event, RagError, RagOutcome, RagPipeline, RagRequest, RagStream};

impl RagPipeline {
    /// Works through many requests, at most `concurrency` (0 counts as 1) of them at a time, so that
    /// the generator stays busy while a VLM replies about other images. Results come in the order
    /// in which they finish, each with the index of its request. The requests are collected at once,
    /// so they must come to an end. Dropping the future of `next()`, as `select!` does, loses nothing.
    ///
    /// While the stream is not polled, its requests stand still, and what they hold stays held: a
    /// slot of [`Limit`](crate::middleware::Limit), for example. So do not wait for another request
    /// to the same parts between two results; poll both side by side.
    ///
    #[cfg_attr(feature = "testing", doc = "```")]
    #[cfg_attr(not(feature = "testing"), doc = "```ignore")]
    /// # use imagerag::conditioner::InPrompt;
    /// # use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm, solid};
    /// use futures::StreamExt;
    ///
    /// # let pipeline = imagerag::RagPipeline::builder()
    /// #     .generator(FakeGenerator::new())
    /// #     .vlm(FakeVlm::new(["yes"; 3]))
    /// #     .retriever(FakeRetriever::new([("a quetzal", solid(8, 8, [0, 140, 70]))]))
    /// #     .conditioner(InPrompt::new(3)?)
    /// #     .build()?;
    /// # futures::executor::block_on(async {
    /// let mut many = pipeline.run_many(["a quetzal", "a tapir", "a kakapo"], 2);
    /// if let Some((number, result)) = many.next().await {
    ///     println!("{number}: {}", result.unwrap().stop);
    /// }
    /// for (number, result) in many.cancel() {
    ///     println!("{number} was cut off: {}", result.unwrap_err().stage);
    /// }
    /// # });
    /// # Ok::<(), imagerag::Error>(())
    /// ```
    pub fn run_many<R: Into<RagRequest>>(
        &self,
        requests: impl IntoIterator<Item = R>,
        concurrency: usize,
    ) -> RunMany {
        RunMany(StreamMany::new(self, requests, concurrency, false))
    }

    /// Works through many requests as [`run_many`](Self::run_many) does, as a stream of the events
    /// of all of them, each with the index of its request.
    pub fn stream_many<R: Into<RagRequest>>(
        &self,
        requests: impl IntoIterator<Item = R>,
        concurrency: usize,
    ) -> StreamMany {
        StreamMany::new(self, requests, concurrency, true)
    }
}

/// The events of many requests. It owns what it needs, so it can be returned from the function that
/// made it.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use futures::StreamExt;
/// use imagerag::RagPipeline;
/// use imagerag::pipeline::{Event, StreamMany};
/// # use imagerag::conditioner::InPrompt;
/// # use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm};
///
/// fn birds(pipeline: &RagPipeline) -> StreamMany {
///     pipeline.stream_many(["a quetzal", "a tapir", "a kakapo"], 2)
/// }
///
/// # let pipeline = RagPipeline::builder()
/// #     .generator(FakeGenerator::new())
/// #     .vlm(FakeVlm::new(["yes"; 3]))
/// #     .retriever(FakeRetriever::new(Vec::<(String, _)>::new()))
/// #     .conditioner(InPrompt::new(3)?)
/// #     .build()?;
/// # futures::executor::block_on(async {
/// let mut events = birds(&pipeline);
/// let mut drawn = 0;
/// while let Some((number, event)) = events.next().await {
///     match event {
///         Event::StageBegan { stage, .. } => println!("{number}: {stage}"),
///         Event::Image { .. } => drawn += 1,
///         Event::Done(result) => {
///             if let Err(error) = *result {
///                 eprintln!("{number}: {}", error.chain());
///             }
///         }
///         _ => {}
///     }
/// }
/// assert_eq!(drawn, 3);
/// # });
/// # Ok::<(), imagerag::Error>(())
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct StreamMany {
    pipeline: RagPipeline,
    waiting: VecDeque<(usize, RagRequest)>,
    running: SelectAll<Numbered>,
    concurrency: usize,
    events: bool,
}

/// The results of many requests. It owns what it needs, so it can be returned from the function that
/// made it.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use futures::StreamExt;
/// use imagerag::pipeline::RunMany;
///
/// /// Works until `enough` images match, and gives up what is still in progress.
/// async fn until(mut results: RunMany, enough: usize) -> usize {
///     let mut matched = 0;
///     while matched < enough
///         && let Some((_, result)) = results.next().await
///     {
///         matched += usize::from(result.is_ok());
///     }
///     results.cancel();
///     matched
/// }
/// # use imagerag::conditioner::InPrompt;
/// # use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm};
/// # let pipeline = imagerag::RagPipeline::builder()
/// #     .generator(FakeGenerator::new())
/// #     .vlm(FakeVlm::new(["yes"; 3]))
/// #     .retriever(FakeRetriever::new(Vec::<(String, _)>::new()))
/// #     .conditioner(InPrompt::new(3)?)
/// #     .build()?;
///
/// let results = pipeline.run_many(["a quetzal", "a tapir", "a kakapo"], 2);
/// assert_eq!(futures::executor::block_on(until(results, 2)), 2);
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct RunMany(StreamMany);

/// One of the requests.
struct Numbered {
    number: usize,
    stream: RagStream,
}

impl StreamMany {
    fn new<R: Into<RagRequest>>(
        pipeline: &RagPipeline,
        requests: impl IntoIterator<Item = R>,
        concurrency: usize,
        events: bool,
    ) -> Self {
        let waiting = requests.into_iter().map(Into::into).enumerate().collect();
        let (pipeline, running) = (pipeline.clone(), SelectAll::new());
        Self { pipeline, waiting, running, concurrency: concurrency.max(1), events }
    }

    /// Ends the work. Returns what was done for each request that was in progress, as
    /// [`RagStream::cancel`] does, by rising index; the others had not begun.
    pub fn cancel(self) -> Vec<(usize, Result<RagOutcome, RagError>)> {
        // What has ended was told already.
        let running = self.running.into_iter().filter(|one| !one.stream.is_told());
        let mut cut: Vec<_> = running.map(|one| (one.number, one.stream.cancel())).collect();
        cut.sort_by_key(|(number, _)| *number);
        cut
    }
}

impl RunMany {
    /// Ends the work. Returns what was done for each request that was in progress, as
    /// [`RagStream::cancel`] does, by rising index; the others had not begun.
    pub fn cancel(self) -> Vec<(usize, Result<RagOutcome, RagError>)> {
        self.0.cancel()
    }
}

impl Stream for Numbered {
    type Item = (usize, Event);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let number = self.number;
        self.stream.poll_next_unpin(context).map(|event| Some((number, event?)))
    }
}

impl Stream for StreamMany {
    type Item = (usize, Event);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let many = &mut *self;
        loop {
            while many.running.len() < many.concurrency
                && let Some((number, request)) = many.waiting.pop_front()
            {
                let stream = RagStream::new(&many.pipeline, request, many.events);
                many.running.push(Numbered { number, stream });
            }
            let next = many.running.poll_next_unpin(context);
            let has_room = many.running.len() < many.concurrency && !many.waiting.is_empty();
            if matches!(next, Poll::Ready(Some(_))) || !has_room {
                return next;
            }
        }
    }
}

impl Stream for RunMany {
    type Item = (usize, Result<RagOutcome, RagError>);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            return match self.0.poll_next_unpin(context) {
                Poll::Ready(Some((number, Event::Done(result)))) => {
                    Poll::Ready(Some((number, *result)))
                }
                Poll::Ready(Some(_)) => continue,
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            };
        }
    }
}

impl fmt::Debug for StreamMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamMany")
            .field("waiting", &self.waiting.len())
            .field("running", &self.running.len())
            .finish_non_exhaustive()
    }
}
