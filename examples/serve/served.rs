//! What is served: a pipeline, the generator without the loop, and perhaps an embedder.

use std::sync::Arc;

use imagerag::{Conditioner, Embedder, Generator, RagPipeline};

/// The parts behind the routes, whatever they are.
pub(crate) struct Served {
    /// What it is, in words for whoever started the server.
    pub(crate) name: String,
    /// A prompt to try it with.
    pub(crate) example: String,
    /// The model `imagerag`.
    pub(crate) pipeline: RagPipeline,
    /// The model `imagerag-draft`: what draws, without the loop.
    pub(crate) generator: Arc<dyn Generator>,
    /// What prepares a client's pictures for that generator; without one, edits are refused. It should
    /// leave prompts as they are ([`PromptTemplate::Plain`](imagerag::conditioner::PromptTemplate)).
    pub(crate) conditioner: Option<Arc<dyn Conditioner>>,
    /// The model `imagerag-embed`.
    pub(crate) embedder: Option<Arc<dyn Embedder>>,
    /// Where a request says nothing: denoising steps.
    pub(crate) steps: Option<usize>,
    /// Where a request says nothing: strength of the prompt.
    pub(crate) guidance_scale: Option<f64>,
}
