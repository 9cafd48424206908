//! [`Retry`] and [`Limit`] wrap any part whose calls can fail in passing, or cost; [`Balance`] makes
//! one part of several.
//!
//! Each is itself a part of the same kind: a generator in a `Retry` is a generator.
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use imagerag::middleware::{Limit, Retry};
//! use imagerag::testing::FakeGenerator;
//!
//! // At most 2 calls at the same time, each made up to 4 times.
//! let generator = Limit::new(Retry::new(FakeGenerator::new(), 3), 2)?;
//! assert_eq!(generator.to_string(), "Limit(Retry(FakeGenerator, 3), 2)");
//! # Ok::<(), imagerag::Error>(())
//! ```
//!
//! The order decides what a call that waits to be made again does to the others:
//! - `Limit(Retry(part))` counts it: its slot stays taken while it waits. A service that is
//!   overloaded gets fewer calls until it recovers. Choose this for a service that answers 429 or
//!   503 when it has too much to do.
//! - `Retry(Limit(part))` does not: its slot is free while it waits, and another call takes it. No
//!   capacity lies idle. Choose this where calls fail one by one, such as by broken connections.
//!
//! Several GPUs are several generators, several machines several addresses. A [`Balance`] over them
//! asks the one that is least busy, and does without those that fail:
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use futures::executor::block_on;
//! use imagerag::Generator;
//! use imagerag::generator::GenerateRequest;
//! use imagerag::middleware::Balance;
//! use imagerag::testing::FakeGenerator;
//!
//! // Two `Sdxl`, for instance, one on `Device::Cuda(0)` and one on `Device::Cuda(1)`.
//! let [first, second] = [FakeGenerator::new(), FakeGenerator::new()];
//! let generator = Balance::generators([first, second])?;
//!
//! // Each draws half of a batch.
//! let batch: Vec<_> = (0..8).map(|seed| GenerateRequest::new("a quetzal").with_seed(seed)).collect();
//! assert_eq!(block_on(generator.generate(&batch))?.len(), 8);
//! for member in generator.members() {
//!     println!("{}: {} images, {} failures", member.name, member.answered, member.failed);
//!     assert_eq!(member.answered, 4);
//! }
//! # Ok::<(), imagerag::Error>(())
//! ```

mod balance;
mod limit;
mod retry;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

use crate::Result;
use crate::conditioner::{ConditionRequest, Conditioned, Conditioner, ConditioningKind};
use crate::critic::{Critic, Critique, CritiqueRequest};
use crate::embedder::{Batching, Embedded, Embedder, Embedding, Gathered, PartlyEmbedded};
use crate::generator::{Drawn, GenerateRequest, Generator};
use crate::image::Image;
use crate::index::{Hits, IdSet, VectorIndex};
use crate::reference::Reference;
use crate::retriever::{Ranking, RerankRequest, Reranker, RetrieveRequest, Retriever};
use crate::vlm::{ChatReply, ChatRequest, Vlm};

pub use balance::{Balance, MemberStatus};
pub use limit::Limit;
pub use retry::Retry;

/// Makes `$Wrapper<P>` every kind of part that `P` is.
macro_rules! wraps_parts {
    ($Wrapper:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: Vlm> Vlm for $Wrapper<P> {
            async fn chat(&self, request: &ChatRequest) -> Result<ChatReply> {
                self.call(|| self.inner.chat(request)).await
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: Critic> Critic for $Wrapper<P> {
            async fn critique(&self, request: &CritiqueRequest) -> Result<Critique> {
                self.call(|| self.inner.critique(request)).await
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: Generator> Generator for $Wrapper<P> {
            fn accepts(&self) -> &[ConditioningKind] {
                self.inner.accepts()
            }
            fn image_mark(&self) -> Option<&str> {
                self.inner.image_mark()
            }
            fn repeats(&self) -> bool {
                self.inner.repeats()
            }
            async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
                let requests = Self::requests(requests);
                self.call(|| self.inner.generate(&requests)).await
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: Embedder> Embedder for $Wrapper<P> {
            fn dim(&self) -> usize {
                self.inner.dim()
            }
            async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
                self.call(|| self.inner.embed_texts(texts)).await
            }
            async fn embed_images(&self, images: &[Image]) -> Result<Embedded> {
                self.call(|| self.inner.embed_images(images)).await
            }
            async fn embed_images_partly(&self, images: &[Image]) -> PartlyEmbedded {
                let gathered = Gathered::new(images.len());
                let outcome = self.call(|| gathered.ask(&self.inner, images)).await;
                gathered.end(outcome)
            }
            fn preprocess(&self, image: &Image) -> Image {
                self.inner.preprocess(image)
            }
            fn batching(&self) -> Batching {
                self.inner.batching()
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: Retriever> Retriever for $Wrapper<P> {
            async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
                self.call(|| self.inner.retrieve(request)).await
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: Reranker> Reranker for $Wrapper<P> {
            async fn rank(&self, request: &RerankRequest) -> Result<Vec<Ranking>> {
                self.call(|| self.inner.rank(request)).await
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: Conditioner> Conditioner for $Wrapper<P> {
            fn produces(&self) -> ConditioningKind {
                self.inner.produces()
            }
            fn capacity(&self) -> usize {
                self.inner.capacity()
            }
            async fn condition(&self, request: &ConditionRequest) -> Result<Conditioned> {
                self.call(|| self.inner.condition(request)).await
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: VectorIndex> VectorIndex for $Wrapper<P> {
            fn dim(&self) -> usize {
                self.inner.dim()
            }
            async fn count(&self) -> Result<usize> {
                self.call(|| self.inner.count()).await
            }
            async fn search(&self, queries: &[Embedding], limit: usize) -> Result<Hits> {
                self.call(|| self.inner.search(queries, limit)).await
            }
            async fn search_among(
                &self,
                queries: &[Embedding],
                limit: usize,
                ids: &IdSet,
            ) -> Result<Hits> {
                self.call(|| self.inner.search_among(queries, limit, ids)).await
            }
        }
    };
}

wraps_parts!(Retry);
wraps_parts!(Limit);
