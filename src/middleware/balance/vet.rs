//! [`Vetting`]: embedders to those that embed one text as the first of them does.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use futures::lock;

use super::is_of_the_request;
use crate::embedder::Embedding;
use crate::embedder::probe::SAME;
use crate::{Error, Result};

/// The embedding that a part makes of the probe text.
type Embed<P> = for<'a> fn(&'a P) -> BoxFuture<'a, Result<Embedding>>;

/// Which members of a `Balance` of embedders are known to be of one model.
pub(super) struct Vetting<P> {
    embed: Embed<P>,
    /// Name and embedding of the member that was the first to answer.
    first: Mutex<Option<(String, Embedding)>>,
    members: Vec<Member>,
}

#[derive(Default)]
struct Member {
    is_vetted: AtomicBool,
    /// Calls that begin while it is asked wait for the answer.
    asking: lock::Mutex<()>,
}

impl<P: fmt::Display> Vetting<P> {
    pub(super) fn new(members: usize, embed: Embed<P>) -> Self {
        let members = std::iter::repeat_with(Member::default).take(members).collect();
        Self { embed, first: Mutex::new(None), members }
    }

    /// Asks a member for the embedding of the probe text, unless it has given the right one since it
    /// last failed.
    ///
    /// # Errors
    /// [`Error::InvalidReply`] where it is another than that of the first member that answered.
    pub(super) async fn check(&self, member: usize, part: &P) -> Result<()> {
        let Member { is_vetted, asking } = &self.members[member];
        if is_vetted.load(Ordering::Acquire) {
            return Ok(());
        }
        let _asking = asking.lock().await;
        if is_vetted.load(Ordering::Acquire) {
            return Ok(());
        }
        match (self.embed)(part).await {
            Ok(found) => self.compare(part, found)?,
            // A model of images alone cannot be asked.
            Err(error) if is_of_the_request(&error) => {}
            Err(error) => return Err(error),
        }
        is_vetted.store(true, Ordering::Release);
        Ok(())
    }

    fn compare(&self, part: &P, found: Embedding) -> Result<()> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, first) = first.get_or_insert_with(|| (part.to_string(), found.clone()));
        let similarity = first.similarity(&found);
        if first.dim() == found.dim() && similarity >= SAME {
            return Ok(());
        }
        let expected =
            format!("the embedding of {name} for the same text (cosine at least {SAME})");
        Err(Error::invalid_reply(part, expected, format!("cosine {similarity:.4}: another model")))
    }
}

impl<P> Vetting<P> {
    /// A member that failed may come back with another model.
    pub(super) fn forget(&self, member: usize) {
        self.members[member].is_vetted.store(false, Ordering::Release);
    }
}

impl<P> fmt::Debug for Vetting<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vetted = self.members.iter().map(|member| member.is_vetted.load(Ordering::Acquire));
        f.debug_list().entries(vetted).finish()
    }
}
