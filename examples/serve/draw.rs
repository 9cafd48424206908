//! A job to its images, with what is told of it meanwhile.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;

use futures::future::try_join_all;
use futures::{FutureExt, StreamExt};
use imagerag::conditioner::ConditionRequest;
use imagerag::generator::{Progress, Step};
use imagerag::pipeline::{Event, RagTrace, Record};
use imagerag::reference::{Caption, Provenance, Reference, Source};
use imagerag::{Error, Image, RagError, RagOutcome, Usage};

use super::app::DRAFT;
use super::error::{ApiError, ApiResult};
use super::page::Shown;
use super::request::{Job, Model};
use super::served::Served;
use super::store::Store;

/// The steps of an image where nobody says how many, to spread previews over them.
const USUAL_STEPS: usize = 20;

/// Something to tell while a job is worked on.
#[derive(Clone, Debug)]
pub(crate) enum Update {
    /// What is done now, in words.
    Note(String),
    /// What there is so far.
    Partial(Image),
}

/// Who is told.
pub(crate) type Tell = dyn Fn(Update) + Send + Sync;

/// An image, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) image: Image,
    pub(crate) seed: u64,
    /// The prompt that it was drawn from, where that is another than the client's.
    pub(crate) revised_prompt: Option<String>,
    pub(crate) usage: Usage,
    /// What the generator says of it, such as that it changed the size.
    pub(crate) note: Option<String>,
    /// The id of its trace; what the generator drew alone has none.
    pub(crate) trace: Option<String>,
}

/// Draws the images of `job`; `tell` hears of those that are streamed.
pub(crate) async fn draw(
    served: &Served,
    store: &Store,
    job: &Job,
    tell: std::sync::Arc<Tell>,
) -> ApiResult<Vec<Picture>> {
    let drawn = match job.model {
        Model::Loop => {
            try_join_all((0..job.n).map(|n| by_the_loop(served, store, job, n, &*tell))).await
        }
        Model::Draft => {
            let drawn = AssertUnwindSafe(by_the_generator(served, job, tell)).catch_unwind().await;
            drawn.unwrap_or_else(|_| {
                Err(ApiError::internal(format!("{} panicked", served.generator)))
            })
        }
    };
    drawn.map_err(|error| job.in_error(error))
}

/// Image `n` of `job`, from 0.
async fn by_the_loop(
    served: &Served,
    store: &Store,
    job: &Job,
    n: usize,
    tell: &Tell,
) -> ApiResult<Picture> {
    let mut partial = Partial::new(job.stream.unwrap_or(0), true);
    let previews_every = partial.previews_every(job.steps.unwrap_or(USUAL_STEPS));
    let mut events = served.pipeline.stream(job.rag_request(n).with_previews_every(previews_every));
    let mut images = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Event::StageBegan { stage, round } => {
                tell(Update::Note(format!("round {round}: {stage}")));
            }
            Event::Step { stage, round, step } => {
                tell(Update::Note(format!("round {round}: {stage} {}/{}", step.index, step.total)));
                if let Some(preview) = partial.preview(step) {
                    tell(Update::Partial(preview));
                }
            }
            Event::Image { round, image } => {
                if round == 0 && partial.draft() {
                    tell(Update::Partial(image.clone()));
                }
                images.push(image);
            }
            Event::Done(result) => return ended(store, job, n, *result, &images).await,
            _ => {}
        }
    }
    Err(ApiError::internal("the pipeline ended without a result"))
}

/// The picture of a request that has ended, whose trace is kept. `images` are those that it drew, in order.
async fn ended(
    store: &Store,
    job: &Job,
    n: usize,
    result: Result<RagOutcome, RagError>,
    images: &[Image],
) -> ApiResult<Picture> {
    match result {
        Ok(outcome) => {
            let RagOutcome { image, draft, references, trace, .. } = outcome;
            let (revised_prompt, note) = said(&trace, images, &image);
            let is_draft = draft.as_ref() == Some(&image);
            let mut shown: Vec<Shown> = draft
                .filter(|_| !is_draft)
                .map(|draft| Shown::new("Draft", draft))
                .into_iter()
                .collect();
            shown.extend(references.iter().filter_map(Shown::reference));
            let result = if is_draft { "Draft and result" } else { "Result" };
            shown.push(Shown::new(result, image.clone()));
            let usage = trace.usage();
            let id = store.keep_trace(trace, shown).await?;
            let seed = job.seed_of(n);
            Ok(Picture { image, seed, revised_prompt, usage, note, trace: Some(id) })
        }
        Err(RagError { stage, source, trace, best, .. }) => {
            let mut error = ApiError::of(&source, Some(stage));
            let shown = best.map(|best| Shown::new("Best image so far", best));
            let id = store.keep_trace(*trace, shown.into_iter().collect()).await?;
            error.trace = Some(id.into());
            Err(error)
        }
    }
}

/// The prompt that `image` was drawn from, if it is not the caller's own, and what the generator said of it.
/// The images that a request drew are recorded in the order in which it drew them.
fn said(trace: &RagTrace, images: &[Image], image: &Image) -> (Option<String>, Option<String>) {
    let mut drawn = trace.stages.iter().filter_map(|stage| match &stage.record {
        Some(Record::Image(image)) => Some(Some(image)),
        Some(Record::OwnDraft { .. }) => Some(None),
        _ => None,
    });
    let at = images.iter().position(|one| one == image);
    let Some(record) = at.and_then(|at| drawn.nth(at)).flatten() else { return (None, None) };
    let prompt = Some(&record.prompt).filter(|prompt| **prompt != trace.prompt).cloned();
    (prompt, record.note.clone())
}

/// All images of `job`, in one call, as a generator may draw them as a batch.
async fn by_the_generator(
    served: &Served,
    job: &Job,
    tell: std::sync::Arc<Tell>,
) -> ApiResult<Vec<Picture>> {
    let failed = |error: Error| ApiError::of(&error, None);
    let mut base = job.generate_request(0);
    if !job.references.is_empty() {
        let Some(conditioner) = &served.conditioner else {
            let message = format!("image: {} takes no pictures", served.generator);
            return Err(ApiError::unsupported("image", message));
        };
        let (most, found) = (conditioner.capacity(), job.references.len());
        if found > most {
            let message = match most {
                1 => format!("image: {DRAFT} takes 1 picture, found {found}"),
                _ => format!(
                    "image: {DRAFT} takes several pictures: expected 1 to {most}, found {found}"
                ),
            };
            return Err(ApiError::invalid(message).with_code("invalid_value").with_param("image"));
        }
        let references: Vec<Reference> = references(job).collect();
        let mut request = ConditionRequest::new(&*job.prompt, references);
        if let Some(mark) = served.generator.image_mark() {
            request = request.with_image_mark(mark);
        }
        let conditioned = conditioner.condition(&request).await.map_err(failed)?;
        (base.prompt, base.conditioning) = (conditioned.prompt, conditioned.conditioning);
    }
    let revised_prompt = Some(&base.prompt).filter(|prompt| **prompt != job.prompt).cloned();
    if let Some(most) = job.stream {
        let partial = Partial::new(most, false);
        let every = partial.previews_every(job.steps.unwrap_or(USUAL_STEPS));
        let partial = Mutex::new(partial);
        let listener = move |step: Step| {
            tell(Update::Note(format!("step {}/{}", step.index, step.total)));
            let mut partial = partial.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some(preview) = partial.preview(step) {
                tell(Update::Partial(preview));
            }
        };
        base = base.with_progress(Progress::new(listener).with_previews_every(every));
    }
    let requests: Vec<_> = (0..job.n).map(|n| base.clone().with_seed(job.seed_of(n))).collect();
    let drawn = served.generator.generate(&requests).await.map_err(failed)?;
    if drawn.len() != job.n {
        let message =
            format!("{}: expected {} images, found {}", served.generator, job.n, drawn.len());
        return Err(ApiError::internal(message));
    }
    let picture = |(n, drawn): (usize, imagerag::generator::Drawn)| Picture {
        image: drawn.image,
        seed: job.seed_of(n),
        revised_prompt: revised_prompt.clone(),
        usage: drawn.usage.unwrap_or_default(),
        note: drawn.note,
        trace: None,
    };
    Ok(drawn.into_iter().enumerate().map(picture).collect())
}

/// The client's pictures as references.
fn references(job: &Job) -> impl Iterator<Item = Reference> + '_ {
    job.references.iter().enumerate().map(|(n, (image, caption))| Reference {
        picture: image.clone().into(),
        caption: Caption::concept(caption),
        provenance: Provenance::new(Source::Caller(n), "caller", 1.0, n),
    })
}

/// Which partial images are sent: the draft, and previews as long as there is room beside it.
struct Partial {
    left: usize,
    awaits_draft: bool,
}

impl Partial {
    /// At most `most`; of a loop, one of them is its draft.
    const fn new(most: usize, has_draft: bool) -> Self {
        Self { left: most, awaits_draft: has_draft && most > 0 }
    }

    /// How often to ask for previews of an image of so many `steps`; 0 asks for none.
    fn previews_every(&self, steps: usize) -> usize {
        match (self.left, self.awaits_draft) {
            (0, _) | (1, true) => 0,
            // One half-way through the draft, and one half-way through the image that follows.
            (_, true) => steps.div_ceil(2).max(1),
            (left, false) => (steps / (left + 1)).max(1),
        }
    }

    /// The preview of `step`, if it is sent; that of the last step is the image itself.
    fn preview(&mut self, step: Step) -> Option<Image> {
        let preview = step.preview.filter(|_| step.index < step.total)?;
        if self.left == usize::from(self.awaits_draft) {
            return None;
        }
        self.left -= 1;
        Some(preview)
    }

    /// Whether the draft is sent.
    const fn draft(&mut self) -> bool {
        let is_sent = self.awaits_draft;
        if is_sent {
            self.awaits_draft = false;
            self.left -= 1;
        }
        is_sent
    }
}
