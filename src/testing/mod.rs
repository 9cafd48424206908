//! Fakes of every part for your tests, and conformance suites that check your own parts against the
//! contracts of the traits.
//!
//! ```
//! use futures::executor::block_on;
//! use imagerag::testing::{FakeGenerator, conformance};
//!
//! block_on(conformance::generator(&FakeGenerator::new()));
//! ```
//!
//! A pipeline of fakes shows what your part is asked and what its answers lead to. Clones of a fake
//! share what it was asked:
//! ```
//! use futures::executor::block_on;
//! use imagerag::RagPipeline;
//! use imagerag::conditioner::ConditioningKind;
//! use imagerag::testing::{FakeConditioner, FakeCritic, FakeGenerator, FakeRetriever, solid};
//!
//! let tokens = ConditioningKind::Tokens { space: "colors".into() };
//! let generator = FakeGenerator::new().accepting(tokens);
//! let critic = FakeCritic::new().missing(["a red car"]); // Satisfied from then on.
//! let retriever = FakeRetriever::new([("a red car", solid(8, 8, [200, 0, 0]))]);
//! let pipeline = RagPipeline::builder()
//!     .generator(generator.clone())
//!     .critic(critic.clone())
//!     .retriever(retriever.clone())
//!     .conditioner(FakeConditioner::new("colors", 1))
//!     .build()?;
//!
//! block_on(pipeline.run("a car race"))?;
//! assert_eq!(critic.requests()[0].prompt, "a car race");
//! assert_eq!(retriever.captions()[0].text, "a red car");
//! let prompts = generator.requests().into_iter().map(|request| request.prompt);
//! let conditioned = "According to these examples of a red car, generate a car race";
//! assert_eq!(prompts.collect::<Vec<_>>(), ["a car race", conditioned]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod conformance;
mod fake_conditioner;
mod fake_critic;
mod fake_embedder;
mod fake_generator;
mod fake_retriever;
mod fake_vlm;

pub use fake_conditioner::FakeConditioner;
pub use fake_critic::FakeCritic;
pub use fake_embedder::FakeEmbedder;
pub use fake_generator::FakeGenerator;
pub use fake_retriever::FakeRetriever;
pub use fake_vlm::FakeVlm;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// Has a fake called by its type.
macro_rules! named {
    ($($fake:ident)*) => {
        $(impl std::fmt::Display for $fake {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($fake))
            }
        })*
    };
}

named!(FakeCritic FakeEmbedder FakeGenerator FakeVlm);

/// An image of one colour.
pub fn solid(width: u32, height: u32, rgb: [u8; 3]) -> crate::Image {
    let (width, height) = (width.max(1), height.max(1));
    crate::Image::new(width, height, rgb.repeat(width as usize * height as usize))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A colour that depends on `key` alone.
fn colour_of(key: impl Hash) -> [u8; 3] {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let [r, g, b, ..] = hasher.finish().to_le_bytes();
    [r, g, b]
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets other futures of the same task run, as a part that waits would.
async fn pause() {
    struct Once(bool);
    impl Future for Once {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            if self.0 {
                return Poll::Ready(());
            }
            self.0 = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    }
    Once(false).await;
}

/// The page's example is run with the others.
#[cfg(doctest)]
#[doc = include_str!("../../docs/adding_a_backend.md")]
struct AddingABackend;

/// So are those of the page on retrieval.
#[cfg(all(doctest, feature = "openai"))]
#[doc = include_str!("../../docs/retrieval.md")]
struct Retrieval;

/// And those of the page for users of diffusers.
#[cfg(all(doctest, feature = "hub", feature = "tch"))]
#[doc = include_str!("../../docs/from_diffusers.md")]
struct FromDiffusers;
