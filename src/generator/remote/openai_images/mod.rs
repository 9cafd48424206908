//! [`OpenAiImages`]: any service with OpenAI's images interface.

mod builder;
mod previews;
mod profile;
mod reply;
mod request;
mod sd_server;
mod size;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::channel::mpsc::unbounded;
use futures::future::join;

use super::{Dialect, generate, picture};
use crate::conditioner::ConditioningKind;
use crate::generator::{Drawn, GenerateRequest, Generator, Progress};
use crate::image::Image;
use crate::net::client::Client;
use crate::{Result, pool};
use reply::{Found, Picture};
use request::{Defaults, Prepared};

pub use builder::OpenAiImagesBuilder;
pub use profile::ImagesProfile;

/// A generator behind OpenAI's images interface: OpenAI itself, Azure, vLLM-Omni, SGLang-Diffusion,
/// stable-diffusion.cpp's `sd-server`, and the servers and gateways that imitate them.
///
/// | Service | `base_url` | key | [profile](ImagesProfile) |
/// |---|---|---|---|
/// | OpenAI | the default | `OPENAI_API_KEY` | `OpenAi` |
/// | Azure | `https://RESOURCE.openai.azure.com/openai/v1` | [`header("api-key", …)`](OpenAiImagesBuilder::header) | `OpenAi` |
/// | Azure, by deployment | `https://RESOURCE.openai.azure.com/openai/deployments/NAME?api-version=…` | the same | `OpenAi` |
/// | vLLM-Omni | `http://localhost:8091/v1` | none, or what it was started with | `SelfHosted` |
/// | SGLang-Diffusion | `http://localhost:30000/v1` | none | `SelfHosted` |
/// | oMLX, mlx-vlm | where they listen, with `/v1` | none | `SelfHosted` |
/// | `sd-server` | `http://localhost:1234/v1`, model `sd-cpp-local` | none | `SdServer` |
/// | a gateway | its own | its own | by the model's name |
///
/// - Without references an image is drawn by `images/generations`, and with them by `images/edits`,
///   which gets them as PNG files in their order: prompts call them `image 1` and so on. A request is
///   one image; several of a call are sent side by side.
/// - **What a profile cannot carry is not sent, and [`Drawn::note`] says so**: OpenAI's models take no
///   negative prompt, steps or guidance. They take no seed either: [`Generator::repeats`] is false for
///   them, and for a service that has refused the seed.
/// - **Sizes**: OpenAI's models draw some sizes only: `gpt-image-1…` and `chatgpt-image…` 1024x1024,
///   1536x1024 and 1024x1536, `dall-e-3` and `dall-e-2` three each; all others any with sides in
///   multiples of 16 of at most 3,840 pixels, from 1:3 to 3:1, with 655,360 to 8,294,400 pixels. The
///   nearest is asked for, the image is left in the size in which it was drawn, and the note says so.
///   Where a request has a width or a height alone, the other is 1024 pixels. Without both, the service
///   chooses.
/// - Servers keep seeds in 63 bits: of larger ones these are sent.
/// - A field that a service does not know is left out, and the request repeated; see
///   [`adapt_parameters`](OpenAiImagesBuilder::adapt_parameters).
/// - Images are read in whatever form they come: base64, data URLs, links, several of them (the first
///   counts, all are charged), streams that nobody asked for, up to 128 MiB. A link is followed without
///   the key if it leads to another origin, and not at all if it leads from a service elsewhere to this
///   machine or its network; so are up to 5 redirects of it.
/// - **[`Drawn::usage`]** has the images that came, and the tokens if the service tells of them.
/// - A refusal on grounds of a policy is [`Error::Refused`](crate::Error::Refused), and is not tried
///   again. Transient errors are, as
///   [`Retry`](crate::middleware::Retry) does it, with replies that break off among them. Services may
///   charge for each attempt: with [`max_retries(0)`](OpenAiImagesBuilder::max_retries) there is one.
/// - The first error of several requests is that of the call: images of the others are lost, though
///   services charge for them. The pipeline asks for one image a call.
/// - Dropping the future ends the call, though services charge for what they have begun.
/// - The key is in no `Debug`, `Display` or error, even if the service echoes it, and errors quote no
///   pictures. Any executor will do.
///
/// Clones share the connections, and what is known of the fields. `Display` is the model's name.
///
/// ```no_run
/// use imagerag::generator::{GenerateRequest, GeneratorExt, OpenAiImages};
///
/// # fn main() -> imagerag::Result<()> {
/// let generator = OpenAiImages::new("gpt-image-2")?; // With the key in OPENAI_API_KEY.
/// let request = GenerateRequest::new("a quetzal at dawn").with_size(1536, 1024);
/// let drawn = futures::executor::block_on(generator.generate_one(&request))?;
/// drawn.image.save("quetzal.png")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct OpenAiImages(Arc<Shared>);

/// What the calls share, on whichever thread they are made.
struct Shared {
    client: Client,
    defaults: Defaults,
    concurrency: usize,
    /// The fields that the service has refused, by endpoint.
    refused: Mutex<BTreeSet<(&'static str, String)>>,
    /// Whether these are left out.
    adapts: bool,
}

impl OpenAiImages {
    /// The model called `model`, with the URL and the key in the environment variables
    /// `OPENAI_BASE_URL` and `OPENAI_API_KEY`.
    ///
    /// # Errors
    /// As [`OpenAiImagesBuilder::build`].
    pub fn new(model: impl Into<String>) -> Result<Self> {
        Self::builder(model).build()
    }

    /// Which fields the service is taken to have.
    pub fn profile(&self) -> ImagesProfile {
        self.0.defaults.profile
    }
}

impl Shared {
    fn refused(&self) -> MutexGuard<'_, BTreeSet<(&'static str, String)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call, with the partial images told to `progress` as they come.
    async fn ask(&self, sent: &Prepared, progress: &Progress) -> Result<Found> {
        let client = &self.client;
        let (sender, partials) = unbounded();
        let call = async move {
            // The sender ends with the call, and so does the wait for partial images.
            let watch = || sent.is_stream().then(|| previews::watch(sender.clone()));
            let read = |body| reply::read(body, client.service());
            let with = |request| sent.put_into(request);
            client.post_watched(sent.endpoint, with, reply::EXPECTED, &watch, read).await
        };
        let total = usize::from(self.defaults.partial_images);
        let (found, ()) =
            join(call, previews::show(partials, total, progress, client.service())).await;
        found
    }

    /// The image that was found, with what there is to tell of it.
    async fn drawn(&self, found: Found, mut sent: Prepared) -> Result<Drawn> {
        let client = &self.client;
        let image = match found.picture {
            Picture::Base64(base64) => picture(client.service(), base64).await?,
            Picture::Url(link) => {
                let bytes = client.download(&link).await?;
                let name = client.service().name.clone();
                let decode = move || Image::decode_reply(&name, &bytes);
                pool::run("decoding a reply", decode).await?
            }
        };
        let mut notes = std::mem::take(&mut sent.notes);
        if let Some(((width, height), rule)) = &sent.size
            && (image.width(), image.height()) != (*width, *height)
        {
            let rule = rule.iter().map(|rule| format!(": {rule}")).collect::<String>();
            let drawn = format!("{}x{}", image.width(), image.height());
            notes.push(format!("asked for {width}x{height}, drawn in {drawn}{rule}"));
        }
        notes.extend(sent.left_out_note());
        let revised = found.revised_prompt.filter(|prompt| !sent.is_prompt(prompt));
        notes.extend(revised.map(|prompt| format!("revised prompt: {prompt}")));
        let mut drawn = Drawn::from(image).with_usage(found.usage);
        drawn.note = (!notes.is_empty()).then(|| notes.join("; "));
        Ok(drawn)
    }
}

impl Dialect for Shared {
    fn name(&self) -> &str {
        &self.defaults.model
    }

    fn accepts(&self) -> &[ConditioningKind] {
        &[ConditioningKind::None, ConditioningKind::Images]
    }

    fn check(&self, request: &GenerateRequest) -> Result<()> {
        self.defaults.check(request)
    }

    /// Asks, and asks again without what the service refuses. Each refusal takes away at least one
    /// field, so that this ends. Only what was understood to be refused and then accepted without is
    /// remembered.
    async fn draw(self: Arc<Self>, request: GenerateRequest) -> Result<Drawn> {
        let request = request.told_once();
        let progress = request.progress.clone();
        let shared = Arc::clone(&self);
        let prepare = move || shared.defaults.prepare(&request);
        let mut sent = pool::run("encoding a request", prepare).await?;
        let known: Vec<String> = self
            .refused()
            .iter()
            .filter(|(endpoint, name)| {
                *endpoint == sent.endpoint && !self.defaults.fields.contains_key(name)
            })
            .map(|(_, name)| name.clone())
            .collect();
        sent.leave_out(&known);
        loop {
            let error = match self.ask(&sent, &progress).await {
                Ok(found) => {
                    let names = sent.left_out().iter().cloned();
                    self.refused().extend(names.map(|name| (sent.endpoint, name)));
                    return self.drawn(found, sent).await;
                }
                Err(error) => error,
            };
            let refused = match self.adapts {
                true => sent.refused(&self.defaults, &error),
                false => BTreeSet::new(),
            };
            if refused.is_empty() {
                return Err(error);
            }
            sent.leave_out(&refused);
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Generator for OpenAiImages {
    fn accepts(&self) -> &[ConditioningKind] {
        self.0.accepts()
    }

    fn image_mark(&self) -> Option<&str> {
        None
    }

    fn repeats(&self) -> bool {
        let takes_seed = self.0.defaults.profile != ImagesProfile::OpenAi;
        takes_seed && !self.0.refused().iter().any(|(_, name)| name == "seed")
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        generate(&self.0, self.0.concurrency, requests).await
    }
}

impl fmt::Debug for OpenAiImages {
    /// Without the fields of the caller, in which gateways take keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiImages")
            .field("model", &self.0.defaults.model)
            .field("profile", &self.profile())
            .field("client", &self.0.client)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for OpenAiImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.defaults.model)?;
        match f.alternate() {
            true => self.0.client.tell_settings(f, &self.0.defaults),
            false => Ok(()),
        }
    }
}
