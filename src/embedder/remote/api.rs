//! [`EmbeddingApi`]: the kinds of services that a `RemoteEmbedder` can ask.

use super::dialect::Dialect;
use super::{cohere, gemini, infinity, jina, openai, vllm, voyage};
use crate::named::named;

/// How a service wants its inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EmbeddingApi {
    /// vLLM's chat form of `/v1/embeddings`: one conversation a request. Most models want no more than
    /// the text or the picture; others have
    /// [templates](super::RemoteEmbedderBuilder::text_messages).
    #[default]
    Vllm,
    /// Jina's `/v1/embeddings`: `input: [{"text": …}]` or `[{"image": …}]`, with the tasks
    /// `retrieval.query` and `retrieval.passage`.
    Jina,
    /// Infinity's `/embeddings`: a list of strings and their `modality`.
    Infinity,
    /// OpenAI's `/v1/embeddings`: a list of strings, in which pictures are data URLs, as LiteLLM takes
    /// them for the multimodal models behind it. **A model of texts alone reads such a URL as a text**,
    /// and gives it an embedding that says nothing of the picture.
    OpenAi,
    /// Cohere's `/v2/embed`: `search_query` and `search_document`.
    Cohere,
    /// Voyage's `/v1/multimodalembeddings`: `query` and `document`.
    Voyage,
    /// Gemini's `batchEmbedContents`. The task of a text is a part of the text: see
    /// [`text_template`](super::RemoteEmbedderBuilder::text_template).
    Gemini,
}

impl EmbeddingApi {
    pub(super) fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::Vllm => &vllm::Vllm,
            Self::Jina => &jina::Jina,
            Self::Infinity => &infinity::Infinity,
            Self::OpenAi => &openai::OpenAi,
            Self::Cohere => &cohere::Cohere,
            Self::Voyage => &voyage::Voyage,
            Self::Gemini => &gemini::Gemini,
        }
    }
}

named!(EmbeddingApi, "embedding API", {
    Vllm: "vllm",
    Jina: "jina",
    Infinity: "infinity",
    OpenAi: "openai",
    Cohere: "cohere",
    Voyage: "voyage",
    Gemini: "gemini",
});
