//! Inputs to as many requests as a service takes them in, and to one embedding each.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

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

impl Shared {
    /// One embedding for each of `inputs`, in their order, with as many requests at a time as the
    /// settings allow in all calls together.
    pub(super) async fn embed(self: Arc<Self>, inputs: Inputs) -> Result<Embedded> {
        let (total, inputs) = (inputs.len(), Arc::new(inputs));
        let starts = (0..total).step_by(self.batch);
        let batch = |start| self.batch(&inputs, start..total.min(start + self.batch));
        let batches = stream::iter(starts.map(batch)).buffered(self.concurrency);
        let batches: Vec<_> = batches.try_collect().await?;
        let (mut embeddings, mut used) = (Vec::with_capacity(total), None);
        for (batch, usage) in batches {
            embeddings.extend(batch);
            used = added(used, usage);
        }
        Ok(Embedded { embeddings, usage: used })
    }

    /// The embeddings of the inputs in `range`. What is refused is asked for again in halves, because
    /// it may be too much at once or one input's fault; so the error is that of one input.
    async fn batch(
        &self,
        inputs: &Arc<Inputs>,
        range: Range<usize>,
    ) -> Result<(Vec<Embedding>, Option<Usage>)> {
        // Never closed.
        let _slot = self.slots.acquire().await.ok();
        let sent = self.encoded(inputs, range.clone()).await?;
        let (mut embeddings, mut used) = (Vec::with_capacity(sent.len()), None);
        let mut todo = self.parts(&sent);
        while let Some(part) = todo.pop_front() {
            match self.ask(inputs.kind(), &sent[part.clone()]).await {
                Ok((more, usage)) => {
                    embeddings.extend(more);
                    used = added(used, usage);
                }
                Err(error) if part.len() > 1 && may_be_one_input(&error) => {
                    let middle = part.start + part.len() / 2;
                    todo.push_front(middle..part.end);
                    todo.push_front(part.start..middle);
                }
                Err(error) => {
                    let part = range.start + part.start..range.start + part.end;
                    return Err(of_inputs(error, inputs, part));
                }
            }
        }
        Ok((embeddings, used))
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

    /// `sent` in parts that are not too long for one request; an input that is too long alone is a
    /// part of its own.
    fn parts(&self, sent: &[String]) -> VecDeque<Range<usize>> {
        let mut parts = VecDeque::new();
        let (mut start, mut bytes) = (0, 0);
        for (at, input) in sent.iter().enumerate() {
            bytes += input.len();
            if bytes > self.batch_bytes && at > start {
                parts.push_back(start..at);
                (start, bytes) = (at, input.len());
            }
        }
        if start < sent.len() {
            parts.push_back(start..sent.len());
        }
        parts
    }

    /// The embeddings of `sent`. A text alone that is too long for the service is cut until it fits.
    async fn ask(&self, kind: Kind, sent: &[String]) -> Result<(Vec<Embedding>, Option<Usage>)> {
        let [text] = sent else { return self.request(kind, sent).await };
        let mut text = text.clone();
        loop {
            match self.request(kind, std::slice::from_ref(&text)).await {
                Err(error) if kind == Kind::Text && is_too_long(&error) => {
                    let left = text.chars().count() / 2;
                    if left < SHORTEST {
                        return Err(error);
                    }
                    text = text.chars().take(left).collect();
                }
                outcome => return outcome,
            }
        }
    }

    /// The same with the inputs as they are.
    async fn request(
        &self,
        kind: Kind,
        inputs: &[String],
    ) -> Result<(Vec<Embedding>, Option<Usage>)> {
        let Self { dialect, client, model, dimensions, templates, .. } = self;
        let dimensions = *dimensions;
        let request = Request { model, dimensions, kind, inputs, templates };
        let mut body = dialect.body(&request);
        for (name, value) in &self.fields {
            match (body.as_object_mut(), value.is_null()) {
                (Some(body), true) => drop(body.remove(name)),
                (Some(body), false) => drop(body.insert(name.clone(), value.clone())),
                (None, _) => {}
            }
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

/// `error`, which the inputs in `part` have met, with which of the inputs they are.
fn of_inputs(mut error: Error, inputs: &Inputs, part: Range<usize>) -> Error {
    let (total, kind) = (inputs.len(), inputs.kind());
    if total == 1 {
        return error;
    }
    let which = match part.len() {
        1 => format!("{} {} of {total}", kind.singular(), part.start + 1),
        _ => format!("{} {} to {} of {total}", kind.plural(), part.start + 1, part.end),
    };
    match &mut error {
        Error::Service { message: words, .. }
        | Error::Refused { reason: words, .. }
        | Error::InvalidReply { found: words, .. } => *words = format!("{which}: {words}"),
        _ => {}
    }
    error
}
