//! [`Run`]: the state of one request on its way through the stages.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use futures::channel::mpsc::UnboundedSender;
use futures::future::{Either, select};

use super::{
    Event, Hit, Mode, Parts, RagConfig, RagError, RagOutcome, RagPipeline, RagRequest, RagTrace,
    Record, Refusal, Stage, StageTrace, StopReason,
};
use crate::critic::Verdict;
use crate::embedder::Embedding;
use crate::error::require;
use crate::generator::Progress;
use crate::image::Image;
use crate::pool::panic_message;
use crate::reference::{Reference, Source};
use crate::vlm::ExchangeLog;
use crate::{Error, Result};

/// One request at work.
pub(crate) struct Run<'a> {
    pub(super) pipeline: &'a RagPipeline,
    pub(super) request: &'a RagRequest,
    /// The round at work; the draft is round 0.
    pub(super) round: usize,
    /// What was judged in the retrieval at work.
    pub(super) hits: Vec<Hit>,
    /// Every retrieved reference that an image was generated with.
    pub(super) tried: Vec<Reference>,
    /// What the verifier said, by concept and image: nothing where it sees the concept.
    pub(super) verified: HashMap<(String, Source), Option<Refusal>>,
    /// What the margin is measured from.
    pub(super) caption_embeddings: HashMap<String, Embedding>,
    pub(super) draft_embedding: Option<Embedding>,
    attempts: Vec<Attempt>,
    trace: RagTrace,
    stage: Stage,
    /// The stage at work, if one is.
    begun: Option<Begun>,
    events: Option<UnboundedSender<Event>>,
    began: Instant,
}

/// An image that was drawn.
struct Attempt {
    image: Image,
    references: Vec<Reference>,
    is_draft: bool,
    /// How many concepts it misses; `None` where nobody judged it.
    missing: Option<usize>,
}

/// A stage at work.
#[derive(Clone)]
pub(crate) struct Begun {
    stage: Stage,
    at: Instant,
    pub(super) log: ExchangeLog,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        pipeline: &'a RagPipeline,
        request: &'a RagRequest,
        events: Option<UnboundedSender<Event>>,
    ) -> Self {
        let trace = RagTrace {
            prompt: request.prompt.clone(),
            seed: request.seed,
            config: request.config.as_ref().unwrap_or(&pipeline.config).clone(),
            parts: Parts {
                generator: pipeline.generator.to_string(),
                critic: pipeline.critic.as_ref().map(ToString::to_string),
                retriever: pipeline.retriever.as_ref().map(ToString::to_string),
                conditioner: pipeline.conditioner.as_ref().map(ToString::to_string),
                editor: pipeline.editor.as_ref().map(ToString::to_string),
                verifier: pipeline.verifier.as_ref().map(ToString::to_string),
                margin_embedder: pipeline.margin_embedder.as_ref().map(ToString::to_string),
            },
            ..RagTrace::default()
        };
        Self {
            pipeline,
            request,
            round: 0,
            hits: Vec::new(),
            tried: Vec::new(),
            verified: HashMap::new(),
            caption_embeddings: HashMap::new(),
            draft_embedding: None,
            attempts: Vec::new(),
            trace,
            stage: Stage::Validate,
            begun: None,
            events,
            began: Instant::now(),
        }
    }

    /// Works until the end, or until `cancelled`. A panic of a part is an error of its stage.
    pub(super) async fn work(
        mut self,
        cancelled: impl Future + Unpin,
    ) -> Result<RagOutcome, RagError> {
        let drive = AssertUnwindSafe(self.drive()).catch_unwind();
        let end = match select(cancelled, pin!(drive)).await {
            Either::Left(_) => Err(Error::Cancelled),
            Either::Right((Ok(end), _)) => end,
            Either::Right((Err(panic), _)) => {
                let said = format!("it panicked: {}", panic_message(panic.as_ref()));
                Err(Error::backend("a part of the pipeline", said))
            }
        };
        self.finish(end)
    }

    pub(super) fn config(&self) -> &'a RagConfig {
        self.request.config.as_ref().unwrap_or(&self.pipeline.config)
    }

    fn capacity(&self) -> usize {
        self.pipeline.conditioner.as_ref().map_or(0, |c| c.capacity())
    }

    /// How many references fit beside the caller's own, and the draft where it is edited.
    pub(super) fn room(&self) -> usize {
        let draft = usize::from(self.config().mode == Mode::EditDraft);
        self.capacity().saturating_sub(self.request.references.len() + draft)
    }

    /// Checks the request before any part is asked.
    pub(super) fn validate(&self) -> Result<()> {
        self.request.validate()?;
        if let Some(config) = &self.request.config {
            self.pipeline.fits(config)?;
        }
        let (capacity, found) = (self.capacity(), self.request.references.len());
        let expected = match capacity {
            0 => "none without a conditioner".to_owned(),
            capacity => format!("at most {capacity}"),
        };
        require(found <= capacity, "the caller's references", expected, found)?;
        if let (Mode::EditDraft, Some(conditioner)) =
            (self.config().mode, &self.pipeline.conditioner)
        {
            let most = capacity.saturating_sub(2);
            let expected = format!(
                "at most {most} in Mode::EditDraft, as {conditioner} also takes the draft and at least \
                 one retrieved reference"
            );
            require(found <= most, "the caller's references", expected, found)?;
        }
        self.request.validate_marks(&self.marks())?;
        self.request.validate_draft(self.config())
    }

    /// Begins a stage.
    pub(super) fn begin(&mut self, stage: Stage) -> Begun {
        self.stage = stage;
        self.send(|| Event::StageBegan { stage, round: self.round });
        let begun = Begun { stage, at: Instant::now(), log: ExchangeLog::default() };
        self.begun.insert(begun).clone()
    }

    /// Ends a stage: what it saw and returned goes into the trace, also where it failed.
    pub(super) fn end<T>(
        &mut self,
        begun: Begun,
        result: Result<T>,
        record: impl FnOnce(&T) -> Record,
    ) -> Result<T> {
        self.begun = None;
        self.write_down(begun, result.as_ref().ok().map(record));
        result
    }

    fn write_down(&mut self, begun: Begun, record: Option<Record>) {
        // What a retrieval that failed had judged is kept.
        let hits = std::mem::take(&mut self.hits);
        let record = record.or_else(|| (!hits.is_empty()).then_some(Record::Hits(hits)));
        let trace = StageTrace {
            stage: begun.stage,
            round: self.round,
            elapsed: begun.at.elapsed(),
            record,
            exchanges: begun.log.take(),
        };
        self.send(|| Event::StageEnded(Box::new(trace.clone())));
        self.trace.stages.push(trace);
    }

    /// Tells the listener, if there is one; without one the event is not even made.
    fn send(&self, event: impl FnOnce() -> Event) {
        if let Some(events) = &self.events {
            // The listener may have left; the work goes on for whoever awaits it.
            let _ = events.unbounded_send(event());
        }
    }

    /// Hands the steps of a generation to the stream.
    pub(super) fn progress(&self) -> Progress {
        let Some(events) = self.events.clone() else { return Progress::default() };
        let (stage, round) = (self.stage, self.round);
        Progress::new(move |step| {
            let _ = events.unbounded_send(Event::Step { stage, round, step });
        })
    }

    /// Keeps an image.
    pub(super) fn keep(&mut self, image: Image, references: Vec<Reference>, is_draft: bool) {
        self.send(|| Event::Image { round: self.round, image: image.clone() });
        self.attempts.push(Attempt { image, references, is_draft, missing: None });
    }

    /// The image that was drawn last.
    pub(super) fn image(&self) -> Option<&Image> {
        self.attempts.last().map(|attempt| &attempt.image)
    }

    /// The references that the image that was drawn last was made with.
    pub(super) fn references(&self) -> &[Reference] {
        self.attempts.last().map_or(&[], |attempt| &attempt.references)
    }

    /// The draft; `None` where none was made.
    pub(super) fn draft_image(&self) -> Option<&Image> {
        self.attempts.iter().find(|attempt| attempt.is_draft).map(|attempt| &attempt.image)
    }

    /// Writes down how good the last image is.
    pub(super) fn judge(&mut self, verdict: &Verdict) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.missing = Some(match verdict {
                Verdict::Match => 0,
                Verdict::Missing(captions) => captions.len(),
                Verdict::Undetermined => usize::MAX,
            });
        }
    }

    /// The request's result: the best image, or the error with what there is.
    fn finish(mut self, end: Result<StopReason>) -> Result<RagOutcome, RagError> {
        if let Some(begun) = self.begun.take() {
            self.write_down(begun, None); // It was cancelled.
        }
        self.trace.elapsed = self.began.elapsed();
        let draft = self.draft_image().cloned();
        // An image that nobody judged was drawn to mend the one before: the last such counts as one
        // that misses nothing. Of the others the same was expected, but later images followed.
        let last = self.attempts.len().saturating_sub(1);
        let missing = |n: usize, attempt: &Attempt| {
            attempt.missing.unwrap_or(if n == last { 0 } else { usize::MAX })
        };
        // `min_by_key` takes the first of equals: turned round, the latest.
        let attempts = self.attempts.into_iter().enumerate().rev();
        let best = attempts.min_by_key(|(n, attempt)| missing(*n, attempt)).map(|(_, one)| one);
        let stop = end.and_then(|stop| match best.is_some() {
            true => Ok(stop),
            false => Err(Error::backend(self.stage.to_string(), "no image was drawn")),
        });
        match (stop, best) {
            (Ok(stop), Some(best)) => {
                self.trace.stop = Some(stop);
                let (image, references) = (best.image, best.references);
                Ok(RagOutcome { image, draft, references, stop, trace: self.trace })
            }
            (stop, best) => {
                let source = stop.err().unwrap_or(Error::Cancelled);
                self.trace.error = Some(source.chain().to_string());
                Err(RagError {
                    stage: self.stage,
                    source: Arc::new(source),
                    trace: Box::new(self.trace),
                    best: best.map(|best| best.image),
                })
            }
        }
    }
}
