//! A suite for each trait: it calls the part and panics, with the rule in words, where the part
//! breaks its contract.
//!
//! The contract of each trait says what its suite feeds the part. A panic names the part, the rule
//! and what was found:
//!
//! ```text
//! my-service breaks the contract of Generator: one image per request, found 1 image for 2 requests
//! ```
//!
//! If a part answers with a [transient](crate::Error::is_transient) error or
//! [`Error::Unavailable`], no rule is broken. The suite then panics with `the service could not be
//! reached` and the error with all its causes.
//!
//! | part | suite | with what belongs to the part |
//! |---|---|---|
//! | `Generator` | [`generator()`] | [`generator_with`] a conditioner: other references give other images |
//! | `Conditioner` | [`conditioner()`] | |
//! | `Vlm` | [`vlm()`] | |
//! | `Critic` | [`critic()`] | [`critic_over`] a VLM: every question is in the log |
//! | `Embedder` | [`embedder()`] | |
//! | `VectorIndex` | [`vector_index()`] | |
//! | `Retriever` | [`retriever()`] | [`retriever_over`] known images: sources, licenses, filters |
//! | `Reranker` | [`reranker()`] | [`reranker_over`] a VLM: every question is in the log |

/// The rules of a suite, each a constant with its words.
macro_rules! rules {
    ($($rule:ident: $words:literal,)*) => {
        $(pub(super) const $rule: &str = $words;)*

        /// All of them.
        #[cfg(test)]
        pub(super) const RULES: &[&str] = &[$($rule),*];
    };
}

mod asked;
#[cfg(test)]
mod broken;
mod conditioner;
mod critic;
mod embedder;
mod generator;
mod reranker;
mod retriever;
mod vector_index;
mod vlm;

use std::fmt::{Debug, Display};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::reference::{Caption, Provenance, Reference, Source};
use crate::testing::solid;
use crate::{Error, Image, Result};

pub use conditioner::conditioner;
pub use critic::{critic, critic_over};
pub use embedder::embedder;
pub use generator::{generator, generator_with};
pub use reranker::{reranker, reranker_over};
pub use retriever::{retriever, retriever_over};
pub use vector_index::vector_index;
pub use vlm::vlm;

rules! {
    NAMED: "`Display` names the part",
    ANSWERS: "a request that the contract allows is answered",
}

/// A part that is held to the rules of a trait.
struct Suite {
    of: &'static str,
    part: String,
    /// Whether the part has answered yet.
    answered: AtomicBool,
}

impl Suite {
    /// Begins with the rule that holds for all parts: the name is what provenances show.
    fn new(of: &'static str, part: &(impl Display + Debug + ?Sized)) -> Self {
        let (name, answered) = (part.to_string(), AtomicBool::new(false));
        let blank = name.trim().is_empty();
        let suite = Self { of, part: if blank { format!("{part:?}") } else { name }, answered };
        suite.rule(NAMED, !blank, "a blank");
        suite
    }

    /// Fails where a rule does not hold, with what was found.
    fn rule(&self, rule: &str, holds: bool, found: impl Display) {
        let Self { of, part, .. } = self;
        assert!(holds, "{part} breaks the contract of {of}: {rule}, found {found}");
    }

    /// As [`rule`](Self::rule), for a count.
    fn count(&self, rule: &str, what: &str, expected: usize, found: usize) {
        self.rule(rule, found == expected, format_args!("{found} {what} in place of {expected}"));
    }

    /// The answer to a request that the contract allows. A request for nothing, which a part may
    /// answer without its service, must not be the first.
    fn answer<T>(&self, result: Result<T>) -> T {
        match result {
            Ok(answer) => {
                self.answered.store(true, Ordering::Relaxed);
                answer
            }
            Err(error) => {
                self.reached(&error);
                self.rule(ANSWERS, false, error.chain());
                unreachable!("a rule that is broken panics")
            }
        }
    }

    /// Fails unless a request, called `what`, is refused with [`Error::InvalidInput`].
    fn refuses<T: Debug>(&self, rule: &str, what: &str, result: &Result<T>) {
        if let Err(error) = result {
            self.reached(error);
        }
        let refused = matches!(result, Err(Error::InvalidInput { .. }));
        self.rule(rule, refused, format_args!("{result:?} for {what}"));
    }

    /// Fails, with other words than for a broken rule, where `error` says that nobody answered.
    fn reached(&self, error: &Error) {
        if !error.is_transient() && !matches!(error, Error::Unavailable { .. }) {
            return;
        }
        let (part, error) = (&self.part, error.chain());
        match self.answered.load(Ordering::Relaxed) {
            false => {
                panic!("{part}: the service could not be reached, so nothing was checked: {error}")
            }
            true => panic!(
                "{part}: the service could no longer be reached, so the rest was not checked: {error}"
            ),
        }
    }
}

/// Whether two images differ by no more than rounding: 1 of 255.
fn alike(a: &Image, b: &Image) -> bool {
    (a.width(), a.height()) == (b.width(), b.height())
        && a.pixels().iter().zip(b.pixels()).all(|(x, y)| x.abs_diff(*y) <= 1)
}

/// A red and a blue picture, to tell parts that look at pictures from those that do not.
fn red_and_blue() -> [Image; 2] {
    [[255, 0, 0], [0, 0, 255]].map(|rgb| solid(64, 64, rgb))
}

/// Reference number `n`, of `picture`.
fn reference(n: usize, picture: Image) -> Reference {
    Reference {
        picture: picture.into(),
        caption: Caption::new(format!("a photo of thing {n}"), format!("thing {n}")),
        provenance: Provenance::new(Source::Uri(n.to_string()), "suite", 0.5, n),
    }
}
