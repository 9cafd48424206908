//! Inputs to as many requests as a service takes them in, and to one embedding each.

use std::collections::VecDeque;
use std::future::ready;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{StreamExt, stream};

use super::dialect::{Kind, Request};
use super::{Shared, reply};
use crate::embedder::{Embedded, Embedding, PartlyEmbedded};
use crate::{Error, Image, Result, Usage, pool};

/// What is embedded in one call.
pub(super) enum Inputs {
    Texts(Vec<String>),
    Images(Vec<Image>),
}

/// A text of fewer characters is not cut any further.
const SHORTEST: usize = 16;

impl Inputs {
    const fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Images(images) => images.len(),
        }
    }

    /// The text at a place, before its template is put around it.
    fn text(&self, at: usize) -> Option<&str> {
        match self {
            Self::Texts(texts) => texts.get(at).map(String::as_str),
            Self::Images(_) => None,
        }
    }

    const fn kind(&self) -> Kind {
        match self {
            Self::Texts(_) => Kind::Text,
            Self::Images(_) => Kind::Image,
        }
    }
}

/// The embedding of each input, or why it has none though others have, and what they took.
type Answer = (Vec<Result<Embedding>>, Option<Usage>);

/// What is known in the course of a call.
#[derive(Default)]
struct Course {
    /// Whether a service failed, so that nothing further is begun.
    has_failed: AtomicBool,
    /// Whether an input has an embedding.
    has_answered: AtomicBool,
}

/// What became of the inputs of a batch.
#[derive(Default)]
struct Batch {
    /// The inputs as they are sent.
    sent: Vec<String>,
    found: Vec<Option<Embedding>>,
    /// Inputs that were refused by themselves, by their places in the call.
    refused: Vec<(usize, Error)>,
    usage: Option<Usage>,
    /// Why others have no embedding.
    error: Option<Error>,
}

impl Shared {
    /// One embedding for each of `inputs`, in their order, with as many requests at a time as the
    /// settings allow in all calls together. What was paid for before it failed waits for the next call.
    pub(super) async fn embed(self: Arc<Self>, inputs: Inputs) -> Result<Embedded> {
        let (kind, total, inputs) = (inputs.kind(), inputs.len(), Arc::new(inputs));
        let batches = self.batches(&inputs, true).await;
        let (mut embeddings, mut usage) = (Vec::with_capacity(total), None);
        let (mut error, mut refused) = (None, None);
        for batch in &batches {
            embeddings.extend(batch.found.iter().flatten().cloned());
            usage = added(usage, batch.usage);
        }
        let has_answered = !embeddings.is_empty();
        if embeddings.len() == total {
            return Ok(Embedded { embeddings, usage });
        }
        for batch in batches {
            self.kept.put(kind, &batch.sent, batch.found.iter().map(Option::as_ref), batch.usage);
            error = error.or(batch.error);
            refused = refused.or(batch.refused.into_iter().next());
        }
        // An input is to blame only where others can be embedded.
        let refused = refused.map(|(at, error)| match has_answered {
            true => of_input(error, kind, at, total),
            false => error,
        });
        let problem = || Error::backend(self.model.clone(), "an input was left out");
        Err(error.or(refused).unwrap_or_else(problem))
    }

    /// The same, with what became of each input.
    pub(super) async fn embed_partly(self: Arc<Self>, inputs: Inputs) -> PartlyEmbedded {
        let inputs = Arc::new(inputs);
        let mut all = PartlyEmbedded::default();
        let mut refused = Vec::new();
        for batch in self.batches(&inputs, false).await {
            all.embeddings.extend(batch.found);
            all.usage = added(all.usage, batch.usage);
            all.error = all.error.or(batch.error);
            refused.extend(batch.refused);
        }
        all.embeddings.resize(inputs.len(), None); // Those that were not begun.
        if all.embeddings.iter().any(Option::is_some) {
            all.refused = refused;
        } else {
            // Nobody knows whether the inputs are to blame.
            all.error = all.error.or(refused.into_iter().next().map(|(_, error)| error));
        }
        all
    }

    /// What becomes of `inputs` in batches. Once the service has failed, no further one is begun, but
    /// those under way are waited for. Where `all` are wanted or none, one refused input is a failure.
    async fn batches(&self, inputs: &Arc<Inputs>, all: bool) -> Vec<Batch> {
        let (total, course) = (inputs.len(), Course::default());
        let batch = async |start: usize| {
            let range = start..total.min(start + self.batch);
            let batch = self.batch(inputs, range, &course, all).await;
            let has_failed = batch.error.is_some() || (all && !batch.refused.is_empty());
            course.has_failed.fetch_or(has_failed, Ordering::Relaxed);
            batch
        };
        let starts = stream::iter((0..total).step_by(self.batch));
        let starts = starts.take_while(|_| ready(!course.has_failed.load(Ordering::Relaxed)));
        starts.map(batch).buffered(self.concurrency).collect().await
    }

    /// The inputs in `range`. What is refused is asked for again in halves, because it may be too much
    /// at once or one input's fault. Where two inputs are refused by themselves and none was answered,
    /// the service is to blame.
    async fn batch(
        &self,
        inputs: &Arc<Inputs>,
        range: Range<usize>,
        course: &Course,
        all: bool,
    ) -> Batch {
        let kind = inputs.kind();
        let _slot = self.slots.acquire().await.ok(); // Never closed.
        let sent = match self.encoded(inputs, range.clone()).await {
            Ok(sent) => sent,
            Err(error) => {
                let found = vec![None; range.len()];
                return Batch { found, error: Some(error), ..Batch::default() };
            }
        };
        let mut batch = Batch { found: vec![None; sent.len()], sent, ..Batch::default() };
        // 1. What an earlier call has paid for.
        for (place, input) in batch.found.iter_mut().zip(&batch.sent) {
            if let Some((embedding, usage)) = self.kept.get(kind, input) {
                *place = Some(embedding);
                batch.usage = added(batch.usage, usage);
            }
        }
        let asked: Vec<usize> = (0..range.len()).filter(|at| batch.found[*at].is_none()).collect();
        // 2. The rest, in parts that are not too long for one request.
        let mut todo = self.parts(&batch.sent, asked);
        while let Some(part) = todo.pop_front() {
            let asked: Vec<&str> = part.iter().map(|at| &*batch.sent[*at]).collect();
            let text = inputs.text(range.start + part[0]);
            let mut suspect = |at: usize, error| batch.refused.push((range.start + at, error));
            match self.ask(kind, &asked, text).await {
                Ok((answers, usage)) => {
                    batch.usage = added(batch.usage, usage);
                    course.has_answered.store(true, Ordering::Relaxed);
                    for (at, answer) in part.into_iter().zip(answers) {
                        match answer {
                            Ok(embedding) => batch.found[at] = Some(embedding),
                            Err(error) => suspect(at, error),
                        }
                    }
                }
                Err(error) if !may_be_one_input(&error, part.len()) => {
                    batch.error = Some(error);
                    break;
                }
                Err(_) if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    todo.push_front(second.to_vec());
                    todo.push_front(first.to_vec());
                }
                Err(error) => suspect(part[0], error),
            }
            match course.has_answered.load(Ordering::Relaxed) {
                true if all && !batch.refused.is_empty() => break,
                false if batch.refused.len() > 1 => {
                    batch.error = batch.refused.drain(..).next().map(|(_, error)| error);
                    break;
                }
                _ => {}
            }
        }
        batch
    }

    /// The inputs in `range` as they are sent. Encodes pictures, so it may take a while.
    async fn encoded(&self, inputs: &Arc<Inputs>, range: Range<usize>) -> Result<Vec<String>> {
        let (inputs, pictures, templates) =
            (Arc::clone(inputs), self.pictures, Arc::clone(&self.templates));
        let encode = move || match &*inputs {
            Inputs::Texts(texts) => Ok(texts[range].iter().map(|t| templates.apply(t)).collect()),
            Inputs::Images(images) => images[range].iter().map(|i| pictures.data_url(i)).collect(),
        };
        pool::run("encoding pictures", encode).await
    }

    /// The inputs at the places `asked` in parts that are not too long for one request; an input that is
    /// too long alone is a part of its own.
    fn parts(&self, sent: &[String], asked: Vec<usize>) -> VecDeque<Vec<usize>> {
        let mut parts = VecDeque::<Vec<usize>>::new();
        let mut bytes = 0;
        for at in asked {
            bytes += sent[at].len();
            match parts.back_mut() {
                Some(part) if bytes <= self.batch_bytes => part.push(at),
                _ => {
                    bytes = sent[at].len();
                    parts.push_back(vec![at]);
                }
            }
        }
        parts
    }

    /// The embeddings of `inputs`. One alone that is a `text` too long for the service is cut until it
    /// fits, inside its template.
    async fn ask(&self, kind: Kind, inputs: &[&str], text: Option<&str>) -> Result<Answer> {
        let mut outcome = self.request(kind, inputs).await;
        let (1, Some(text)) = (inputs.len(), text) else { return outcome };
        let mut left = text.chars().count() / 2;
        while left >= SHORTEST && outcome.as_ref().is_err_and(is_too_long) {
            let end = text.char_indices().nth(left).map_or(text.len(), |(end, _)| end);
            outcome = self.request(kind, &[&self.templates.apply(&text[..end])]).await;
            left /= 2;
        }
        outcome
    }

    /// The same with the inputs as they are.
    async fn request(&self, kind: Kind, inputs: &[&str]) -> Result<Answer> {
        let Self { dialect, client, model, templates, .. } = self;
        let dimensions = self.dimensions;
        let mut body = dialect.body(&Request { model, dimensions, kind, inputs, templates });
        if let Some(body) = body.as_object_mut() {
            body.extend(self.fields.clone());
            body.retain(|_, value| !value.is_null());
        }
        let dim = self.dim.get().copied();
        let read = |body| reply::read(&body, client.service(), inputs.len(), dim);
        let endpoint = dialect.endpoint(model);
        client.post_json(&endpoint, &body.to_string(), reply::EXPECTED, read).await
    }
}

fn added(one: Option<Usage>, other: Option<Usage>) -> Option<Usage> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}

/// Whether a service may have refused a request for one of its `inputs`, or for how many they are, and
/// not because of the key, the account or the model.
fn may_be_one_input(error: &Error, inputs: usize) -> bool {
    match error {
        Error::Refused { .. } => true,
        Error::Service { status: 400 | 413 | 415 | 422, .. } => !error.is_about_access(),
        Error::InvalidReply { .. } => inputs == 1,
        _ => false,
    }
}

/// Whether the service says that a text is too long. Each says so in words of its own.
fn is_too_long(error: &Error) -> bool {
    let Error::Service { status: 400 | 413 | 422, message, .. } = error else { return false };
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    says(&["too long", "too large", "longer than", "max", "exceed", "limit", "at most"])
        && says(&["token", "length", "long", "character", "context", "large"])
}

/// `error`, which the input at the place `at` of `total` has met, with which it is unless it is alone.
fn of_input(mut error: Error, kind: Kind, at: usize, total: usize) -> Error {
    let which = format!("{} {} of {total}", kind.singular(), at + 1);
    match &mut error {
        _ if total == 1 => {}
        Error::Service { message: words, .. } | Error::Refused { reason: words, .. } => {
            *words = format!("{which}: {words}");
        }
        // Its request may have been for all of them, and named it.
        Error::InvalidReply { found: words, .. }
            if !words.ends_with(&format!("{} of {total}", at + 1)) =>
        {
            *words = format!("{words} ({which})");
        }
        _ => {}
    }
    error
}
