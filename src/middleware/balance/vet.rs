//! [`Vetting`]: embedders to those that embed one input as the first of them did.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::lock;

use super::is_of_the_request;
use crate::embedder::probe::SAME;
use crate::embedder::{Embedder, EmbedderExt, Embedding};
use crate::{Error, Image, Result};

/// Which members of a `Balance` of embedders are known to be of one model.
#[derive(Debug)]
pub(super) struct Vetting {
    /// What the first member that answered made of its first input.
    first: Mutex<Option<First>>,
    members: Vec<Member>,
}

#[derive(Clone, Debug)]
struct First {
    /// The name of the member.
    name: String,
    input: Input,
    embedding: Embedding,
}

/// A text or an image of a caller.
#[derive(Clone, Debug)]
pub(super) enum Input {
    Text(String),
    Image(Image),
}

#[derive(Debug, Default)]
struct Member {
    is_vetted: AtomicBool,
    /// Calls that end while it is asked wait for the answer.
    asking: lock::Mutex<()>,
}

impl Vetting {
    pub(super) fn new(members: usize) -> Self {
        let members = std::iter::repeat_with(Member::default).take(members).collect();
        Self { first: Mutex::new(None), members }
    }

    /// Checks that `part`, the member with this number, is of the model of the member that answered
    /// first, unless that is known since it last failed. It has just made `embedding` of `input`.
    ///
    /// # Errors
    /// [`Error::InvalidReply`] where it is of another model; its own, where it does not say.
    pub(super) async fn check<P: Embedder>(
        &self,
        member: usize,
        part: &P,
        input: impl Fn() -> Input + Send + Sync,
        embedding: &Embedding,
    ) -> Result<()> {
        let Member { is_vetted, asking } = &self.members[member];
        if is_vetted.load(Ordering::Acquire) {
            return Ok(());
        }
        let _asking = asking.lock().await;
        if is_vetted.load(Ordering::Acquire) {
            return Ok(());
        }
        let (First { name, input, embedding }, is_first) = {
            let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
            let is_first = first.is_none();
            let (name, embedding) = (part.to_string(), embedding.clone());
            let first = first.get_or_insert_with(|| First { name, input: input(), embedding });
            (first.clone(), is_first)
        };
        if !is_first {
            let found = match &input {
                Input::Text(text) => part.embed_text(text).await,
                Input::Image(image) => part.embed_image(image).await,
            };
            match found.map(|found| embedding.similarity(&found)) {
                Ok(similarity) if similarity < SAME => {
                    let expected = format!("the embedding of {name} (cosine at least {SAME})");
                    let found = format!("cosine {similarity:.4} for the same input: another model");
                    return Err(Error::invalid_reply(part, expected, found));
                }
                // Such as an input that its service refuses: nothing is known.
                Err(error) if !is_of_the_request(&error) => return Err(error),
                _ => {}
            }
        }
        is_vetted.store(true, Ordering::Release);
        Ok(())
    }

    /// A member that failed may come back with another model.
    pub(super) fn forget(&self, member: usize) {
        self.members[member].is_vetted.store(false, Ordering::Release);
    }
}
