//! Makes pretrained image generators draw what they do not know, without training. It draws a
//! draft, asks a vision-language model what the draft is missing, retrieves reference images of
//! exactly that, and draws again with them.
//!
//! ```text
//!            prompt
//!              │
//!              ▼
//!   ┌───── Generator ─────┐ draft, later image
//!   │                     ▼
//!   │                  Critic ── it matches ──────────────▶ image
//!   │                     │ what is missing, as captions
//!   │                     ▼
//!   │                 Retriever ── nothing useful ────────▶ best image so far
//!   │                     │ references
//!   │                     ▼
//!   │                Conditioner
//!   │                     │ a conditioned request
//!   └─────◀───────────────┘
//! ```
//!
//! After *ImageRAG: Dynamic Image Retrieval for Reference-Guided Image Generation*; the files of
//! [`pipeline`] follow the paper's sections.
//!
//! # Quick start
//! This example uses fakes, so that it runs anywhere. The README has the same with
//! services, and with `Sdxl`, `IpAdapter` and a `Gallery` of your own images.
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use futures::executor::block_on;
//! use imagerag::conditioner::InPrompt;
//! use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm, solid};
//! use imagerag::{RagPipeline, RagRequest};
//!
//! let gallery = [("a red car", solid(64, 64, [200, 0, 0])),
//!                ("a quetzal on a branch", solid(64, 64, [0, 140, 70]))];
//! let pipeline = RagPipeline::builder()
//!     .generator(FakeGenerator::new())
//!     .vlm(FakeVlm::new(["no", "a quetzal", "a photo of a quetzal"]))
//!     .retriever(FakeRetriever::new(gallery))
//!     .conditioner(InPrompt::new(3)?)
//!     .build()?;
//!
//! let outcome = block_on(pipeline.run(RagRequest::new("a quetzal at dawn").with_seed(7)))?;
//! assert_eq!(outcome.references[0].provenance.source.to_string(), "a quetzal on a branch");
//! assert_eq!(outcome.stop.to_string(), "every round is done");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Any executor will do, `#[tokio::main]` as well as `block_on`. A part of your own on reqwest or
//! tokio must be polled inside tokio's runtime:
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # use imagerag::{RagPipeline, conditioner::InPrompt};
//! # use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm, solid};
//! # fn pipeline() -> imagerag::Result<RagPipeline> {
//! #     RagPipeline::builder()
//! #         .generator(FakeGenerator::new())
//! #         .vlm(FakeVlm::new(["yes"]))
//! #         .retriever(FakeRetriever::new([("a quetzal", solid(64, 64, [0, 140, 70]))]))
//! #         .conditioner(InPrompt::new(3)?)
//! #         .build()
//! # }
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let outcome = pipeline()?.run("a quetzal at dawn").await?;
//!     println!("{}", outcome.stop);
//!     Ok(())
//! }
//! ```
//!
//! # Features
//! | feature | adds |
//! |---|---|
//! | `image` (default) | image files; conversions from and to the crate `image` |
//! | `openai` (default) | what is behind services: `OpenAiVlm`, `OpenAiImages`, `GeminiImages`, `SdServer`, `RemoteEmbedder`, `WebRetriever` |
//! | `serde` | the trace of a request as JSON |
//! | `tch` | SDXL with IP-Adapter-plus, FLUX.1 with OminiControl, PixArt-Σ, CLIP and SigLIP on libtorch 2.11.0 |
//! | `gallery` (default) | `Gallery`: a folder of images that are embedded once |
//! | `evaluation` | the paper's experiments on your own data: metrics, statistics, reports |
//! | `faiss` | search with FAISS, which is built from source |
//! | `faiss-gpu` | FAISS on GPUs |
//! | `hub` | weights by repository name from the Hugging Face Hub; needs Rust 1.95 |
//! | `milvus` | search in Milvus |
//! | `testing` | fakes of all parts, and suites that check your own parts |
//! | `download-libtorch` | downloads libtorch at build time |
//! | `doc-only` | type-checks and documents without libtorch |
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_op_in_unsafe_fn)]

#[cfg(any(feature = "faiss", feature = "hub", feature = "image"))]
mod atomic_file;
pub mod conditioner;
pub mod critic;
pub mod embedder;
mod error;
#[cfg(feature = "evaluation")]
pub mod evaluation;
#[cfg(all(feature = "image", feature = "serde"))]
mod folder;
mod forward;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "gallery")]
pub mod gallery;
pub mod generator;
#[cfg(feature = "hub")]
pub mod hub;
mod image;
pub mod index;
mod lenient;
#[cfg(any(feature = "evaluation", feature = "openai"))]
mod license;
pub mod middleware;
#[cfg(feature = "tch")]
pub mod models;
mod named;
mod net;
#[cfg(all(feature = "image", feature = "serde"))]
mod page;
#[cfg(all(feature = "image", feature = "serde"))]
mod path_text;
pub mod pipeline;
mod pool;
pub mod reference;
#[cfg(feature = "image")]
mod regular_file;
pub mod retriever;
#[cfg(feature = "serde")]
mod seconds;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
mod usage;
pub mod vlm;
#[cfg(any(feature = "hub", feature = "tch"))]
mod weight_name;

pub use async_trait::async_trait;
pub use conditioner::Conditioner;
pub use critic::Critic;
pub use embedder::{Embedder, EmbedderExt};
pub use error::{BoxError, Chain, Error, Result};
pub use generator::{Generator, GeneratorExt};
pub use image::Image;
pub use index::VectorIndex;
pub use pipeline::{RagError, RagOutcome, RagPipeline, RagRequest};
pub use retriever::{Reranker, Retriever};
pub use usage::{Price, Usage};
pub use vlm::Vlm;
