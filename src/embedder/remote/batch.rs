//! Inputs to as many requests as a service takes them in, and to one embedding each.

use std::collections::VecDeque;
use std::future::ready;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{StreamExt, stream};

use super::dialect::{Kind, Request};
use super::{Shared, reply};
use crate::embedder::{Embedded, Embedding};
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

    const fn kind(&self) -> Kind {
        match self {
            Self::Texts(_) => Kind::Text,
            Self::Images(_) => Kind::Image,
        }
    }
}

/// The embeddings of some inputs, and what they took.
type Answer = (Vec<Embedding>, Option<Usage>);

impl Shared {
    /// One embedding for each of `inputs`, in their order, with as many requests at a time as the
    /// settings allow in all calls together.
    pub(super) async fn embed(self: Arc<Self>, inputs: Inputs) -> Result<Embedded> {
        let (total, inputs) = (inputs.len(), Arc::new(inputs));
        let failed = AtomicBool::new(false);
        let batch = async |start: usize| {
            let batch = self.batch(&inputs, start..total.min(start + self.batch)).await;
            failed.fetch_or(batch.is_err(), Ordering::Relaxed);
            batch
        };
        // Once one has failed, no further one is begun, but those under way are waited for.
        let starts = stream::iter((0..total).step_by(self.batch));
        let starts = starts.take_while(|_| ready(!failed.load(Ordering::Relaxed)));
        let batches: Vec<_> = starts.map(batch).buffered(self.concurrency).collect().await;
        let has_failed = batches.iter().any(Result::is_err);
        let (mut embeddings, mut used) = (Vec::with_capacity(total), None);
        let mut error = None;
        for batch in batches {
            match batch {
                Ok((sent, (batch, usage))) => {
                    if has_failed {
                        self.kept.put(inputs.kind(), &sent, batch.iter().map(Some), usage);
                    }
                    embeddings.extend(batch);
                    used = added(used, usage);
                }
                Err(found) => drop(error.get_or_insert(found)),
            }
        }
        error.map_or(Ok(Embedded { embeddings, usage: used }), Err)
    }

    /// The inputs in `range` as they are sent, and their embeddings. What is refused is asked for again
    /// in halves, because it may be too much at once or one input's fault; so the error is that of one
    /// input.
    async fn batch(
        &self,
        inputs: &Arc<Inputs>,
        range: Range<usize>,
    ) -> Result<(Vec<String>, Answer)> {
        let kind = inputs.kind();
        let _slot = self.slots.acquire().await.ok(); // Never closed.
        let sent = self.encoded(inputs, range.clone()).await?;
        // 1. What an earlier call has paid for.
        let mut used = None;
        let mut found = Vec::with_capacity(sent.len());
        for input in &sent {
            let kept = self.kept.get(kind, input);
            used = added(used, kept.as_ref().and_then(|(_, usage)| *usage));
            found.push(kept.map(|(embedding, _)| embedding));
        }
        let asked: Vec<usize> = (0..sent.len()).filter(|at| found[*at].is_none()).collect();
        // 2. The rest, in parts that are not too long for one request.
        let mut todo = self.parts(&sent, asked);
        while let Some(part) = todo.pop_front() {
            let inputs_of_part: Vec<&str> = part.iter().map(|at| &*sent[*at]).collect();
            match self.ask(kind, &inputs_of_part).await {
                Ok((embeddings, usage)) => {
                    used = added(used, usage);
                    part.iter().zip(embeddings).for_each(|(at, one)| found[*at] = Some(one));
                }
                Err(error) if part.len() > 1 && may_be_one_input(&error) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    todo.push_front(second.to_vec());
                    todo.push_front(first.to_vec());
                }
                Err(error) => {
                    self.kept.put(kind, &sent, found.iter().map(Option::as_ref), used);
                    let part: Vec<usize> = part.iter().map(|at| range.start + at).collect();
                    return Err(of_inputs(error, inputs, &part));
                }
            }
        }
        Ok((sent, (found.into_iter().flatten().collect(), used)))
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

    /// The embeddings of `inputs`. A text alone that is too long for the service is cut until it fits.
    async fn ask(&self, kind: Kind, inputs: &[&str]) -> Result<Answer> {
        let outcome = self.request(kind, inputs).await;
        let (&[text], Kind::Text) = (inputs, kind) else { return outcome };
        let mut outcome = outcome;
        let mut left = text.chars().count() / 2;
        while left >= SHORTEST && outcome.as_ref().is_err_and(is_too_long) {
            let end = text.char_indices().nth(left).map_or(text.len(), |(end, _)| end);
            outcome = self.request(kind, &[&text[..end]]).await;
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

/// Whether a service may have refused a request for one of its inputs, or for how many they are. The
/// statuses are those of a bad request: none of them says that the key or the model is wrong.
fn may_be_one_input(error: &Error) -> bool {
    match error {
        Error::Refused { .. } => true,
        Error::Service { status, .. } => matches!(status, 400 | 413 | 415 | 422),
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

/// `error`, which the inputs at the places `part` have met, with which of the inputs they are, unless
/// they are all.
fn of_inputs(mut error: Error, inputs: &Inputs, part: &[usize]) -> Error {
    let (total, kind) = (inputs.len(), inputs.kind());
    let which = match part {
        all if all.len() == total => return error,
        [one] => format!("{} {} of {total}", kind.singular(), one + 1),
        [first, .., last] => format!("{} {} to {} of {total}", kind.plural(), first + 1, last + 1),
        [] => return error,
    };
    match &mut error {
        Error::Service { message: words, .. } | Error::Refused { reason: words, .. } => {
            *words = format!("{which}: {words}");
        }
        Error::InvalidReply { found: words, .. } => *words = format!("{words} ({which})"),
        _ => {}
    }
    error
}
