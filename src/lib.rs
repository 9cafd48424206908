//! Makes pretrained image generators draw what they do not know, without training.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_op_in_unsafe_fn)]

pub mod conditioner;
pub mod critic;
mod error;
mod forward;
pub mod generator;
#[cfg(feature = "hub")]
pub mod hub;
mod image;
#[cfg(feature = "tch")]
pub mod models;
#[cfg(any(feature = "hub", feature = "openai"))]
mod net;
pub mod pipeline;
pub mod retriever;
#[cfg(feature = "testing")]
pub mod testing;
pub mod vlm;

pub use conditioner::Conditioner;
pub use critic::Critic;
pub use error::{BoxError, Error, Result};
pub use generator::Generator;
pub use image::Image;
pub use pipeline::{RagError, RagOutcome, RagPipeline, RagRequest};
pub use retriever::{Embedder, Retriever, VectorIndex};
pub use vlm::Vlm;
