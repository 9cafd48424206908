//! [`Balance`]: several parts of one kind to one part that shares its calls among them.

mod build;
mod members;
mod parts;
mod slot;
#[cfg(test)]
mod tests;
mod vet;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::try_join_all;

use crate::error::{at_least_one, require};
use crate::{Error, Result};

pub use members::MemberStatus;
use slot::{Shared, Slot, lock};
use vet::Vetting;

/// Several parts of one kind, its members, as one: addresses of a service, or GPUs, each of which has
/// a generator of its own. All members must give the same answers, as servers of one model do. If they
/// are of different types, they are boxed as `Arc<dyn Generator>` or the like.
///
/// Two servers of one model, and the same for two GPUs with two `Sdxl`:
#[cfg_attr(feature = "openai", doc = "```")]
#[cfg_attr(not(feature = "openai"), doc = "```ignore")]
/// use imagerag::middleware::Balance;
/// use imagerag::vlm::OpenAiVlm;
///
/// let server = |host: &str| {
///     let url = format!("http://{host}:8000/v1");
///     // It fails at once, so that another one is asked.
///     OpenAiVlm::builder("qwen2.5-vl").base_url(url).max_retries(0).build()
/// };
/// let vlm = Balance::vlms([server("10.0.0.1")?, server("10.0.0.2")?])?.with_limit(8)?;
/// assert_eq!(vlm.to_string(), "Balance(qwen2.5-vl, qwen2.5-vl)");
/// assert!(vlm.members().iter().all(|member| member.out_for.is_none()));
/// # Ok::<(), imagerag::Error>(())
/// ```
///
/// # Which member is asked
/// The one that is least busy: that has the fewest inputs (images to draw, texts to embed, questions)
/// in progress, in proportion to its limit. Among equals it is the one whose turn it is, so that calls
/// which come one after the other go round in the order of the members. Nothing is random.
///
/// A call with several inputs is split into as many calls of about equal size as there are members
/// without work, and the answers are put together in order. [`without_splitting`](Self::without_splitting)
/// turns this off. Calls of critics, retrievers and re-rankers are not split.
///
/// # When a member fails
/// Its call goes to another member, and so on until each has been asked once. If all fail, the
/// call fails with [`Error::AllFailed`], which holds the error of each. If a call was split, only the
/// share of the member that failed is asked for again.
///
/// The member that failed is out: it gets no calls for a second, or for as long as the service asked
/// ([`Error::Service::retry_after`]). Then it gets one call for a trial. If that succeeds, it is back;
/// if not, it is out for twice as long, up to two minutes. While it is out it is asked only by
/// calls that all others have failed; so if all members are out, calls still try them, the one that
/// would be back first before the others. A trial takes as long as the member takes to fail: give
/// parts over the network a time limit.
///
/// Errors that tell of the request and not of the member are returned at once, and take nobody out:
/// [`Error::InvalidInput`], [`Error::Incompatible`], [`Error::MissingPart`], [`Error::Refused`],
/// [`Error::Cancelled`], and the statuses 400, 406, 411, 413 to 417, 422, 431 and 451, unless their words
/// are about the key, the account or the model. All other errors are the member's, also those that no
/// repetition mends, such as a key that one address does not know. So is an answer with too few or too
/// many images, embeddings, lists or rankings, or with embeddings of another length.
///
/// A member that gives such a status for two calls in a row may be at fault all the same, whatever its
/// words. From the second one on, one other member is asked for the same: if it answers, the first has
/// failed and is out; if it does not, the call fails with the first error. So bad requests that come one
/// after the other are asked twice.
///
/// Whether all members are of one model is checked for embedders alone, as
/// [`embedders`](Balance::embedders) says: images and answers in words may differ between two calls of
/// the same model.
///
/// # With `Retry` and `Limit`
/// - `Retry(Balance(…))` asks all members again after a wait. `Balance(Retry(a), …)` waits before it
///   asks another member; turn retries inside members off.
/// - [`with_limit`](Self::with_limit) bounds the calls of each member, and a call that finds all at
///   their limit waits for the first that is free. `Limit(Balance(…))` bounds the calls of all together.
///   A `Limit` around a member keeps calls waiting at that member while another may be free.
///
/// Clones share the members, their limits, and who is out.
#[derive(Debug)]
pub struct Balance<P> {
    parts: Arc<[P]>,
    shared: Arc<Mutex<Shared>>,
    split: bool,
    /// Whether the name is that of each member.
    same_name: bool,
    /// Which embedders are of the same model.
    vetting: Option<Arc<Vetting>>,
}

impl<P> Balance<P> {
    /// At most `calls` calls of each member at the same time; further ones wait. By default there is no
    /// limit. A call may be for several images or embeddings.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when `calls` is 0.
    pub fn with_limit(self, calls: usize) -> Result<Self> {
        let limits = vec![calls; self.parts.len()];
        self.with_limits(limits)
    }

    /// As [`with_limit`](Self::with_limit), with a number of its own for each member, in their order.
    /// A member with twice the limit gets about twice the work.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when there is not one number for each member, or one of them is 0.
    pub fn with_limits(self, calls: impl IntoIterator<Item = usize>) -> Result<Self> {
        let calls: Vec<usize> = calls.into_iter().collect();
        let expected = format!("{}, one for each member", self.parts.len());
        require(calls.len() == self.parts.len(), "limits of a Balance", expected, calls.len())?;
        calls.iter().try_for_each(|&calls| at_least_one("calls at once", calls))?;
        lock(&self.shared).members.limit(&calls);
        Ok(self)
    }

    /// How long a member that failed gets no calls, doubled with each trial that fails; one second by
    /// default.
    #[must_use]
    pub fn with_first_pause(self, pause: Duration) -> Self {
        lock(&self.shared).members.first_pause = pause;
        self
    }

    /// The longest time that a member gets no calls, unless its service asked for more; two minutes by
    /// default.
    #[must_use]
    pub fn with_max_pause(self, pause: Duration) -> Self {
        lock(&self.shared).members.max_pause = pause;
        self
    }

    /// Gives each call to one member as a whole.
    #[must_use]
    pub const fn without_splitting(mut self) -> Self {
        self.split = false;
        self
    }

    /// What each member is doing now, in their order.
    pub fn members(&self) -> Vec<MemberStatus>
    where
        P: fmt::Display,
    {
        let names: Vec<String> = self.parts.iter().map(ToString::to_string).collect();
        lock(&self.shared).members.status(names, Instant::now())
    }
}

impl<P: fmt::Display + Sync> Balance<P> {
    /// The answers to `inputs`, in their order, as `ask` gets them from members.
    async fn spread<'a, I: Sync, T: Send, F: Future<Output = Result<T>> + Send + 'a>(
        &'a self,
        inputs: &'a [I],
        ask: impl Fn(usize, &'a [I]) -> F + Sync,
    ) -> Result<Vec<T>> {
        let shares = self.shares(inputs).into_iter();
        let calls =
            shares.map(|(slot, share)| self.call(share.len(), slot, |member| ask(member, share)));
        try_join_all(calls.collect::<Vec<_>>()).await
    }

    /// `inputs` in shares for the members without work, each with the right to call one of them; without
    /// one, all inputs wait for a member.
    fn shares<'a, I>(&self, inputs: &'a [I]) -> Vec<(Option<Slot>, &'a [I])> {
        if inputs.is_empty() {
            return Vec::new();
        }
        let slots = if self.split { Slot::of_idle(&self.shared, inputs.len()) } else { Vec::new() };
        if slots.len() < 2 {
            return vec![(slots.into_iter().next(), inputs)];
        }
        let mut rest = inputs;
        let shares = slots.into_iter().map(|slot| {
            let (share, behind) = rest.split_at(slot.inputs());
            rest = behind;
            (Some(slot), share)
        });
        shares.collect()
    }

    /// The first answer of a member, which `ask` knows by its number, to a call of so many `inputs`, each member being asked once at
    /// most, that of `slot` first.
    async fn call<'a, T: Send, F: Future<Output = Result<T>> + Send + 'a>(
        &'a self,
        inputs: usize,
        mut slot: Option<Slot>,
        ask: impl Fn(usize) -> F + Send,
    ) -> Result<T> {
        let mut errors: BTreeMap<usize, Error> = BTreeMap::new();
        // A member that refuses one request after the other, and what it said.
        let mut suspect: Option<(usize, Error)> = None;
        loop {
            let tried: Vec<usize> =
                errors.keys().copied().chain(suspect.iter().map(|(member, _)| *member)).collect();
            if tried.len() == self.parts.len() {
                break;
            }
            let slot = match slot.take() {
                Some(slot) => slot,
                None => Slot::next(&self.shared, inputs, tried).await,
            };
            let member = slot.member();
            match ask(member).await {
                Ok(answer) => {
                    slot.answered();
                    if let Some((member, error)) = suspect {
                        Slot::blame(&self.shared, member, &error);
                    }
                    return Ok(answer);
                }
                Err(error) if is_of_the_request(&error) => {
                    let is_suspect = slot.refused(&error) && suspect.is_none();
                    if !is_suspect {
                        return Err(suspect.map_or(error, |(_, first)| first));
                    }
                    suspect = Some((member, error));
                }
                Err(error) => {
                    slot.failed(&error);
                    if let Some(vetting) = &self.vetting {
                        vetting.forget(member);
                    }
                    errors.insert(member, error);
                }
            }
        }
        if let Some((_, error)) = suspect {
            return Err(error);
        }
        Err(Error::AllFailed { what: self.to_string(), errors: errors.into_values().collect() })
    }
}

/// Whether every member would give this error, because it tells of the request.
fn is_of_the_request(error: &Error) -> bool {
    match error {
        error if error.is_about_access() => false,
        Error::InvalidInput { .. }
        | Error::Incompatible { .. }
        | Error::MissingPart { .. }
        | Error::Refused { .. }
        | Error::Cancelled => true,
        // The statuses of RFC 9110 and RFC 6585 that blame the content of the request, and RFC 7725's
        // for what the law forbids. Others of 4xx blame the address, the key, the account or the load.
        Error::Service { status, .. } => {
            matches!(status, 400 | 406 | 411 | 413..=417 | 422 | 431 | 451)
        }
        _ => false,
    }
}

impl<P> Clone for Balance<P> {
    fn clone(&self) -> Self {
        let Self { parts, shared, split, same_name, vetting } = self;
        let (parts, shared, vetting) = (Arc::clone(parts), Arc::clone(shared), vetting.clone());
        Self { parts, shared, split: *split, same_name: *same_name, vetting }
    }
}

impl<P: fmt::Display> fmt::Display for Balance<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.same_name {
            return self.parts[0].fmt(f);
        }
        // In full, members that are set alike are one.
        let names: BTreeSet<String> = match f.alternate() {
            true => self.parts.iter().map(|part| format!("{part:#}")).collect(),
            false => BTreeSet::new(),
        };
        if names.len() == 1 {
            return self.parts[0].fmt(f);
        }
        f.write_str("Balance(")?;
        if f.alternate() {
            f.write_str(&names.into_iter().collect::<Vec<_>>().join(", "))?;
        } else {
            for (n, part) in self.parts.iter().enumerate() {
                f.write_str(if n > 0 { ", " } else { "" })?;
                part.fmt(f)?;
            }
        }
        f.write_str(")")
    }
}
