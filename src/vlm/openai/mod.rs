//! [`OpenAiVlm`]: any service with OpenAI's chat-completions interface.

mod builder;
mod reply;
mod request;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{ChatReply, ChatRequest, Vlm};
use crate::net::client::Client;
use crate::net::pictures::Pictures;
use crate::{Result, net, pool};
use request::Dialect;

pub use builder::OpenAiVlmBuilder;

/// Where chat completions are, under the base URL.
const ENDPOINT: &str = "chat/completions";

/// A vision-language model behind OpenAI's chat-completions interface: OpenAI itself, Gemini's
/// compatible endpoint, vLLM, Ollama, mistral.rs and the gateways that imitate them.
///
/// | Service | `base_url` | key |
/// |---|---|---|
/// | OpenAI | the default | `OPENAI_API_KEY` |
/// | Gemini | `https://generativelanguage.googleapis.com/v1beta/openai` | Gemini's |
/// | vLLM | `http://localhost:8000/v1` | none, or what it was started with |
/// | Ollama | `http://localhost:11434/v1` | none |
/// | mistral.rs | `http://localhost:1234/v1` | none |
///
/// - Pictures are sent as JPEG data URLs, scaled down if a side is too long. Each is encoded once,
///   even if several messages have it.
/// - Transient errors (time-outs, broken connections, 408, 409, 425, 429, 5xx) are retried as
///   [`Retry`](crate::middleware::Retry) does; `Retry-After` is honoured.
/// - The key comes only from the caller or the environment. It is in no `Debug`, `Display` or
///   error, even if the service echoes it. Redirects are not followed, so that no other host gets
///   the key.
/// - Any executor will do: the network requests run on a thread of the crate. Dropping the future
///   ends the call.
///
/// Clones share the connections. `Display` is the model's name.
///
/// ```no_run
/// use imagerag::vlm::{ChatRequest, Message, OpenAiVlm, Vlm};
///
/// # fn main() -> imagerag::Result<()> {
/// let vlm = OpenAiVlm::builder("qwen2.5vl:7b").base_url("http://localhost:11434/v1").build()?;
/// let draft = imagerag::Image::open("draft.png")?;
/// let question = Message::user("Does this image show a golden retriever?").with_images([draft]);
/// let reply = futures::executor::block_on(vlm.chat(&ChatRequest::new(vec![question])))?;
/// println!("{}", reply.text);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct OpenAiVlm(Arc<Shared>);

/// What the calls share, on whichever thread they are made.
#[derive(Debug)]
struct Shared {
    client: Client,
    dialect: Dialect,
    pictures: Pictures,
}

impl OpenAiVlm {
    /// The model called `model`, with the URL and the key in the environment variables
    /// `OPENAI_BASE_URL` and `OPENAI_API_KEY`.
    ///
    /// # Errors
    /// As [`OpenAiVlmBuilder::build`].
    pub fn new(model: impl Into<String>) -> Result<Self> {
        Self::builder(model).build()
    }
}

impl fmt::Display for OpenAiVlm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.dialect.model)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Vlm for OpenAiVlm {
    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply> {
        request::check(request)?;
        let (shared, request) = (Arc::clone(&self.0), request.clone());
        let exchange = async move {
            let (client, encoder) = (&shared.client, Arc::clone(&shared));
            let body = pool::run("encoding a request", move || {
                Ok(request::body(&encoder.dialect, &encoder.pictures, &request)?.to_string())
            });
            let body = body.await?;
            let completion = client.post_json(ENDPOINT, &body, reply::EXPECTED).await?;
            reply::read(&completion, client.service())
        };
        net::run(&self.0.dialect.model, exchange).await
    }
}

/// The body of a reply of some service, read as that of any is.
#[cfg(fuzzing)]
pub(crate) fn read_completion(body: &[u8]) -> Result<ChatReply> {
    use crate::net::reply::{Reply, Service};
    use crate::net::secrets::Secrets;
    let service = Service { name: "service".into(), secrets: Secrets::default() };
    reply::read(&Reply::new(200, body.to_vec()).json(&service, reply::EXPECTED)?, &service)
}
