//! Makes pretrained image generators draw what they do not know, without training: finds out what
//! a draft is missing, retrieves reference images for exactly that, and generates again with them.
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
//! On fakes, so that it runs anywhere. The README has the same with `Sdxl`, `IpAdapter`, `OpenAiVlm` and
//! a `Gallery` of one's own images.
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
//! # Features
//! | feature | adds |
//! |---|---|
//! | `image` (default) | picture files, conversions from and to the `image` crate |
//! | `openai` (default) | `OpenAiVlm` for any chat-completions service |
//! | `serde` | the trace as JSON |
//! | `tch` | SDXL with IP-Adapter-plus, FLUX.1 with OminiControl, CLIP and SigLIP on libtorch 2.11.0 |
//! | `gallery` | a folder of images that are embedded once and found ever after |
//! | `faiss` | approximate search with FAISS, built from source |
//! | `faiss-gpu` | the same with CUDA |
//! | `hub` | weights by repository name; needs Rust 1.95 |
//! | `milvus` | search in Milvus, from one process to a cluster |
//! | `testing` | fakes and conformance suites |
//! | `download-libtorch` | libtorch at build time |
//! | `doc-only` | documents and type-checks without libtorch |
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_op_in_unsafe_fn)]

#[cfg(any(feature = "faiss", feature = "hub", feature = "image"))]
mod atomic_file;
pub mod conditioner;
pub mod critic;
pub mod embedder;
mod error;
mod forward;
#[cfg(feature = "gallery")]
pub mod gallery;
pub mod generator;
#[cfg(feature = "hub")]
pub mod hub;
mod image;
pub mod index;
#[cfg(feature = "tch")]
pub mod models;
mod net;
pub mod pipeline;
mod pool;
pub mod reference;
pub mod retriever;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
pub mod vlm;

pub use conditioner::Conditioner;
pub use critic::Critic;
pub use embedder::{Embedder, EmbedderExt};
pub use error::{BoxError, Error, Result};
pub use generator::{Generator, GeneratorExt};
pub use image::Image;
pub use index::VectorIndex;
pub use pipeline::{RagError, RagOutcome, RagPipeline, RagRequest};
pub use retriever::Retriever;
pub use vlm::Vlm;
