//! [`RagStream`]: a request to the events while it is worked on, and to its result.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};

use super::run::Run;
use super::{RagError, RagOutcome, RagPipeline, RagRequest, RagTrace, Stage, StageTrace};
use crate::Error;
use crate::generator::Step;
use crate::image::Image;

/// Something that happened while a request was worked on.
#[derive(Clone, Debug)]
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
    StageEnded(Box<StageTrace>),
    /// A denoising step has ended.
    Step {
        /// The stage that draws: draft, generate or edit.
        stage: Stage,
        /// The round it belongs to; the draft is round 0.
        round: usize,
        /// The step, with a preview where one was asked for.
        step: Step,
    },
    /// An image was drawn, or the caller's draft was taken.
    Image {
        /// The round it belongs to; the draft is round 0.
        round: usize,
        /// The image.
        image: Image,
    },
    /// The last event: the result of the request.
    Done(Box<Result<RagOutcome, RagError>>),
}

/// The events of one request. The request is processed while the stream is polled, and only as far
/// as there is no event to take: whoever has seen enough can stop there. Dropping the stream cancels the
/// request, and so does [`cancel`](Self::cancel), which keeps what was done.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// # use imagerag::conditioner::InPrompt;
/// # use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm, solid};
/// use futures::StreamExt;
/// use imagerag::pipeline::{Event, Stage};
///
/// # let pipeline = imagerag::RagPipeline::builder()
/// #     .generator(FakeGenerator::new())
/// #     .vlm(FakeVlm::new(["yes"]))
/// #     .retriever(FakeRetriever::new([("a quetzal", solid(8, 8, [0, 140, 70]))]))
/// #     .conditioner(InPrompt::new(3)?)
/// #     .build()?;
/// # futures::executor::block_on(async {
/// let mut stream = pipeline.stream("a quetzal at dawn");
/// while let Some(event) = stream.next().await {
///     if let Event::Image { .. } = event {
///         break; // The draft will do.
///     }
/// }
/// let error = stream.cancel().unwrap_err();
/// assert!(error.is_cancelled() && error.best.is_some());
/// assert_eq!(error.stage, Stage::Critique); // It had begun.
/// # });
/// # Ok::<(), imagerag::Error>(())
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct RagStream {
    events: UnboundedReceiver<Event>,
    run: Option<BoxFuture<'static, Result<RagOutcome, RagError>>>,
    cancel: oneshot::Sender<()>,
    /// The result, from when there is one.
    result: Option<Result<RagOutcome, RagError>>,
    is_told: bool,
}

impl RagPipeline {
    /// Makes one image, as a stream of events. The last event is [`Event::Done`].
    pub fn stream(&self, request: impl Into<RagRequest>) -> RagStream {
        RagStream::new(self, request.into(), true)
    }
}

impl RagStream {
    /// The stream of `request`; with `events`, or with the last one only.
    pub(super) fn new(pipeline: &RagPipeline, request: RagRequest, events: bool) -> Self {
        let (sender, receiver) = unbounded();
        let sender = events.then_some(sender);
        let (cancel, cancelled) = oneshot::channel();
        let pipeline = pipeline.clone();
        let run = async move { Run::new(&pipeline, &request, sender).work(cancelled).await };
        Self { events: receiver, run: Some(run.boxed()), cancel, result: None, is_told: false }
    }

    /// Whether [`Event::Done`] was taken.
    pub(super) const fn is_told(&self) -> bool {
        self.is_told
    }

    /// Works to the end and returns the result; events that were not taken are dropped.
    ///
    /// ```
    /// use futures::StreamExt;
    /// use imagerag::pipeline::{Event, RagStream};
    /// use imagerag::{RagError, RagOutcome};
    ///
    /// /// Shows the draft while the rest is worked on.
    /// async fn drawn(mut stream: RagStream) -> Result<RagOutcome, RagError> {
    ///     while let Some(event) = stream.next().await {
    ///         if let Event::Image { image, .. } = event {
    ///             println!("a draft of {} x {} pixels", image.width(), image.height());
    ///             break;
    ///         }
    ///     }
    ///     stream.outcome().await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`RagError`], as [`RagPipeline::run`].
    pub async fn outcome(mut self) -> Result<RagOutcome, RagError> {
        if let Some(run) = self.run.take() {
            self.result = Some(run.await);
        }
        ended(self.result)
    }

    /// Ends the work, and returns what was done.
    ///
    /// # Errors
    /// [`RagError`] with [`Error::Cancelled`] as its source, the stage that was cut off, the trace
    /// up to there and the best image so far. If the request had ended before, its own result is
    /// returned.
    pub fn cancel(mut self) -> Result<RagOutcome, RagError> {
        if let Some(run) = self.run.take() {
            drop(self.cancel); // That tells the run, which then ends at once.
            self.result = run.now_or_never();
        }
        ended(self.result)
    }
}

/// The result of a request that has ended.
fn ended(result: Option<Result<RagOutcome, RagError>>) -> Result<RagOutcome, RagError> {
    result.unwrap_or_else(|| {
        let (source, trace) = (Error::Cancelled.into(), Box::new(RagTrace::default()));
        Err(RagError { stage: Stage::Validate, source, trace, best: None })
    })
}

impl Stream for RagStream {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        // What has happened is told before the work goes on: whoever cancels then pays for no more.
        if let Poll::Ready(Some(event)) = self.events.poll_next_unpin(context) {
            return Poll::Ready(Some(event));
        }
        if let Some(Poll::Ready(result)) = self.run.as_mut().map(|run| run.poll_unpin(context)) {
            self.result = Some(result);
            self.run = None;
        }
        match self.events.poll_next_unpin(context) {
            Poll::Ready(Some(event)) => Poll::Ready(Some(event)),
            _ if self.run.is_some() => Poll::Pending,
            _ if self.is_told => Poll::Ready(None),
            _ => {
                self.is_told = true;
                Poll::Ready(self.result.clone().map(|result| Event::Done(Box::new(result))))
            }
        }
    }
}

impl fmt::Debug for RagStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RagStream").field("running", &self.run.is_some()).finish_non_exhaustive()
    }
}
