//! Parts that fit each other to a [`Balance`].

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Balance;
use super::slot::Shared;
use super::vet::Vetting;
use crate::critic::Critic;
use crate::embedder::Embedder;
use crate::error::at_least_one;
use crate::generator::Generator;
use crate::retriever::{Reranker, Retriever};
use crate::vlm::Vlm;
use crate::{Error, Result};

/// The pause after the first failure, the first back-off of gRPC's connections
/// (github.com/grpc/grpc, doc/connection-backoff.md).
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, from the same source.
const MAX_PAUSE: Duration = Duration::from_secs(120);

impl<P: Generator> Balance<P> {
    /// Generators of the same model: all members accept the same conditionings and name images by the
    /// same mark. It [repeats](Generator::repeats) images if all members do.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for no members, [`Error::Incompatible`] for two that do not fit each
    /// other.
    pub fn generators(members: impl IntoIterator<Item = P>) -> Result<Self> {
        Self::new(members, |first, other| {
            let (wanted, found) = (first.accepts(), other.accepts());
            let same = wanted.iter().all(|kind| found.contains(kind))
                && found.iter().all(|kind| wanted.contains(kind));
            alike(first, other, same, || {
                [wanted, found].map(|kinds| format!("{kinds:?} accepted"))
            })?;
            let marks = [first.image_mark(), other.image_mark()];
            alike(first, other, marks[0] == marks[1], || {
                marks.map(|mark| format!("image mark {mark:?}"))
            })
        })
    }
}

impl<P: Embedder> Balance<P> {
    /// Embedders of the same model, with the same checkpoint: texts that one member embeds are compared
    /// with images that another one does.
    ///
    /// If all members have the same name, in both forms of `Display`, then this is the name of the
    /// whole, without `Balance(…)`, because the name of an embedder says which embeddings it makes.
    ///
    /// That members are of one model is checked: what the first member made of the first input is kept,
    /// and each other one is asked for the same input once, with its first call and again after each
    /// outage. One whose embedding has a cosine similarity below 0.998 to that has failed, as above, with
    /// an error that says so, and its answer is not used. What this costs is not in
    /// [`Embedded::usage`](crate::embedder::Embedded::usage).
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for no members, [`Error::Incompatible`] for two with different
    /// [dimensions](Embedder::dim).
    pub fn embedders(members: impl IntoIterator<Item = P>) -> Result<Self> {
        let mut balance = Self::new(members, |first, other| {
            let dims = [first.dim(), other.dim()];
            alike(first, other, dims[0] == dims[1], || {
                dims.map(|dim| format!("{dim} values an embedding"))
            })
        })?;
        let name = |part: &P| (part.to_string(), format!("{part:#}"));
        if balance.parts.len() > 1 {
            balance.vetting = Some(Arc::new(Vetting::new(balance.parts.len())));
        }
        balance.same_name = balance.parts.iter().all(|part| name(part) == name(&balance.parts[0]));
        Ok(balance)
    }
}

/// Kinds of parts whose members always fit each other.
macro_rules! constructors {
    ($($name:ident of $part:ident, $what:literal;)*) => {
        $(impl<P: $part> Balance<P> {
            #[doc = $what]
            ///
            /// # Errors
            /// [`Error::InvalidInput`] for no members.
            pub fn $name(members: impl IntoIterator<Item = P>) -> Result<Self> {
                Self::new(members, |_, _| Ok(()))
            }
        })*
    };
}

constructors! {
    vlms of Vlm, "Servers of the same vision-language model.";
    critics of Critic, "Critics with the same model and questions.";
    retrievers of Retriever, "Retrievers over the same images, such as replicas of a database.";
    rerankers of Reranker, "Re-rankers with the same model.";
}

impl<P> Balance<P> {
    /// Members of which each fits the first, as `fit` says.
    fn new(
        members: impl IntoIterator<Item = P>,
        fit: impl Fn(&P, &P) -> Result<()>,
    ) -> Result<Self> {
        let parts: Arc<[P]> = members.into_iter().collect();
        at_least_one("members of a Balance", parts.len())?;
        parts[1..].iter().try_for_each(|other| fit(&parts[0], other))?;
        let shared = Shared::new(parts.len(), FIRST_PAUSE, MAX_PAUSE);
        Ok(Self {
            parts,
            shared: Arc::new(Mutex::new(shared)),
            split: true,
            same_name: false,
            vetting: None,
        })
    }
}

/// # Errors
/// [`Error::Incompatible`] with what the `first` and the `other` member have, unless they are `same`.
fn alike<P: fmt::Display>(
    first: &P,
    other: &P,
    same: bool,
    have: impl FnOnce() -> [String; 2],
) -> Result<()> {
    if same {
        return Ok(());
    }
    let [expected, found] = have();
    Err(Error::incompatible(other, first, expected, found))
}
