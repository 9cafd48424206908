//! [`OpenAiVlm`]: any service with OpenAI's chat-completions interface.

mod builder;
mod logprobs;
mod parameters;
mod reply;
mod request;
mod stream;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{ChatReply, ChatRequest, Vlm};
use crate::net::client::Client;
use crate::net::pictures::Pictures;
use crate::{Error, Result, net, pool};
use parameters::Parameters;
use request::Defaults;

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
/// | llama.cpp's server | `http://localhost:8080/v1` | none, or what it was started with |
///
/// - Pictures are sent as JPEG data URLs, scaled down if a side is too long. Each is encoded once,
///   even if several messages have it.
/// - Transient errors (time-outs, broken connections, 408, 409, 425, 429, 5xx) are retried as
///   [`Retry`](crate::middleware::Retry) does; `Retry-After` is honoured. So are replies that hold
///   nothing although the status is 200: no body, no choices, an empty message without a finish
///   reason, the finish reason `error`, a stream that breaks off. An account without credit is told
///   at once, though its status is 429. A model that ends by itself (`stop`) without a
///   word has replied with an empty text.
/// - Replies are read in whatever form they come: as a stream though none was asked for, compressed,
///   in Ollama's own interface, with `NaN` or half of a surrogate pair in their JSON.
/// - A refusal is a [`ChatReply::refusal`] in whatever form it comes: as a field, a finish reason, or
///   an error of the service's content policy.
/// - Of several choices the first by their `index` is the reply. Content that is no text (an object
///   of structured output, a number) is its JSON.
/// - A parameter that the model refuses (the temperature, the name of the longest reply's field, a JSON
///   schema, log-probabilities) is left out or renamed, and the request repeated; see
///   [`adapt_parameters`](OpenAiVlmBuilder::adapt_parameters).
/// - A reply of reasoning alone is an error that says so.
/// - The key comes only from the caller or the environment. It is in no `Debug`, `Display` or
///   error, even if the service echoes it. Redirects are not followed, so that no other host gets
///   the key.
/// - Any executor will do: the network requests run on a thread of the crate. Dropping the future
///   ends the call.
///
/// Clones share the connections, and what is known of the parameters. `Display` is the model's name; in
/// the form `{:#}` with the address and every setting that may change a reply. Of further fields it has
/// the names and one hash of all, since gateways take keys in them.
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
    defaults: Defaults,
    /// The builder's settings of what is sent, in words.
    settings: String,
    pictures: Pictures,
    /// What the service takes, as far as its replies have told.
    parameters: Mutex<Parameters>,
    /// Whether they change when it refuses one.
    adapts: bool,
}

impl Shared {
    fn parameters(&self) -> MutexGuard<'_, Parameters> {
        self.parameters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and asks again without what the service refuses. Each refusal takes away at least one
    /// parameter, so that this ends. Only what was understood to be refused and then accepted
    /// without is remembered.
    async fn chat(self: Arc<Self>, request: Arc<ChatRequest>) -> Result<ChatReply> {
        let client = &self.client;
        let mut parameters = self.parameters().clone();
        loop {
            let (shared, request) = (Arc::clone(&self), Arc::clone(&request));
            let sent = parameters.clone();
            let body = pool::run("encoding a request", move || {
                let mut body = request::body(&shared.defaults, &sent, &shared.pictures, &request)?;
                let text = body.to_string();
                body["messages"].take(); // They are large, and below only the rest is of interest.
                Ok((text, body))
            });
            let (text, sent) = body.await?;
            let read = |body| reply::read(&body, client.service());
            let reply = client.post_json(ENDPOINT, &text, reply::EXPECTED, read).await;
            // Some services refuse by an error: it is a refusal all the same.
            let reply = match reply {
                Err(Error::Refused { reason, .. }) => {
                    return Ok(ChatReply::default().with_refusal(reason));
                }
                reply => reply,
            };
            let fewer = match &reply {
                Err(error) if self.adapts => {
                    parameters.without_refused(&sent, &self.defaults.fields, error)
                }
                _ => None,
            };
            match fewer {
                Some(fewer) => parameters = fewer,
                None => {
                    if reply.is_ok() {
                        self.parameters().keep(parameters);
                    }
                    return reply;
                }
            }
        }
    }
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
        let Shared { client, defaults, settings, .. } = &*self.0;
        f.write_str(&defaults.model)?;
        match f.alternate() {
            true => write!(f, " at {}, {settings}", client.base_address()),
            false => Ok(()),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Vlm for OpenAiVlm {
    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply> {
        request::check(request)?;
        let exchange = Arc::clone(&self.0).chat(Arc::new(request.clone()));
        net::run(&self.0.defaults.model, exchange).await
    }
}

/// The body of a reply of some service, read as that of any is.
#[cfg(fuzzing)]
pub(crate) fn read_completion(body: &[u8]) -> Result<ChatReply> {
    use crate::net::reply::{Reply, Service};
    let service = Service::new("service");
    let reply = Reply::new(200, body.to_vec()).decoded(&service, builder::API.max_reply)?;
    reply::read(&reply.json(&service, reply::EXPECTED)?, &service)
}
