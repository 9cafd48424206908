//! [`GeminiImages`]: requests to Gemini's `generateContent`, and its replies to images.

mod builder;
mod model;
mod reply;
mod request;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Dialect, picture};
use crate::conditioner::{Conditioning, ConditioningKind, MarkStyle};
use crate::error::require;
use crate::generator::{Drawn, GenerateRequest, Generator};
use crate::net::client::Client;
use crate::{Result, Usage, pool};
use reply::Outcome;
use request::Settings;

pub use builder::GeminiImagesBuilder;

/// One of Google's Gemini models that draw, by its native interface
/// (`models/{model}:generateContent`): the one of them that takes references. Beside Google itself,
/// gateways that hand it on, such as LiteLLM, and Vertex AI.
///
/// ```no_run
/// use imagerag::conditioner::InPrompt;
/// use imagerag::generator::GeminiImages;
///
/// let generator = GeminiImages::new("gemini-3.1-flash-image")?; // With GEMINI_API_KEY.
/// # let builder = imagerag::RagPipeline::builder();
/// let builder = builder.generator(generator).conditioner(InPrompt::new(14)?);
/// # Ok::<(), imagerag::Error>(())
/// ```
///
/// | Model | references | aspect ratios | sizes |
/// |---|---|---|---|
/// | `gemini-2.5-flash-image` | 3 | 1:1, 2:3, 3:2, 3:4, 4:3, 4:5, 5:4, 9:16, 16:9, 21:9 | 1K |
/// | `gemini-3-pro-image` | 14 | the same | 1K, 2K, 4K |
/// | `gemini-3.1-flash-lite-image` | 14 | the same, and 1:4, 4:1, 1:8, 8:1 | 1K |
/// | `gemini-3.1-flash-image`, `gemini-nano-banana-2.1`, and every other | 14 | the same, and 1:4, 4:1, 1:8, 8:1 | 512, 1K, 2K, 4K |
///
/// - **Size**: the model takes none in pixels. Of a request that asks for a width and a height, the
///   nearest aspect ratio and the size nearest in area are sent (1K is one megapixel, 2K are four,
///   4K sixteen, 512 a quarter); [`Drawn::note`] says so where the image has another size. A
///   request without a size leaves it to the model.
/// - **Not taken** are seed, negative prompt, steps and guidance scale; the note names those that a
///   request sets, but for the seed. [`repeats`](Generator::repeats) is false: the same request
///   gives another image each time.
/// - **References** are sent as JPEG behind the prompt, in their order, which names them `image 1`
///   and so on. Larger ones are scaled down, and all of them more if they do not fit into Gemini's
///   limit of 20 MB.
/// - A refusal on grounds of policy, which comes with status 200, is
///   [`Error::Refused`](crate::Error::Refused) with Gemini's reason, such as `IMAGE_SAFETY`. A
///   reply without an image for no reason (`NO_IMAGE`, `IMAGE_OTHER`) is asked for once more; one
///   that is words alone is [`Error::InvalidReply`](crate::Error::InvalidReply) with them.
/// - The first error of several requests is that of the call: images of the others are lost, though
///   Google charges for them. The pipeline asks for one image a call.
/// - Text beside the image goes into the note, and what the model charges into [`Drawn::usage`]:
///   tokens, thoughts among them, and one image. Interim images of its thoughts are left out.
/// - Transient errors are retried, `Retry-After` and Gemini's own `RetryInfo` are honoured.
/// - The key is in no `Debug`, `Display` or error, and redirects are not followed.
///
/// Clones share the connections. `Display` is the model's name.
#[derive(Clone, Debug)]
pub struct GeminiImages(Arc<Shared>);

/// What the calls share.
#[derive(Debug)]
struct Shared {
    client: Client,
    settings: Settings,
    concurrency: usize,
}

impl GeminiImages {
    /// The model called `model`, with the key in the environment variable `GEMINI_API_KEY` or
    /// `GOOGLE_API_KEY`.
    ///
    /// # Errors
    /// As [`GeminiImagesBuilder::build`].
    pub fn new(model: impl Into<String>) -> Result<Self> {
        Self::builder(model).build()
    }
}

impl Dialect for Shared {
    fn name(&self) -> &str {
        &self.settings.model
    }

    fn accepts(&self) -> &[ConditioningKind] {
        &[ConditioningKind::None, ConditioningKind::Images]
    }

    fn check(&self, request: &GenerateRequest) -> Result<()> {
        let Conditioning::Images(images) = &request.conditioning else { return Ok(()) };
        let (found, most) = (images.len(), self.settings.max_references);
        let what = format!("references for {}", self.settings.model);
        require(found <= most, what, format!("at most {most}"), found)
    }

    async fn draw(self: Arc<Self>, request: GenerateRequest) -> Result<Drawn> {
        let settings = self.settings.clone();
        let asked = (request.width, request.height);
        let sent = pool::run("encoding a request", move || request::body(&settings, &request));
        let (body, mut notes) = sent.await?;
        let (image, text, usage) = self.ask(&body).await?;
        let image = picture(self.client.service(), image).await?;
        let size = (image.width(), image.height());
        if let (Some(width), Some(height)) = asked
            && size != (width, height)
        {
            notes.push(format!("asked for {width}x{height}, drawn in {}x{}", size.0, size.1));
        }
        notes.extend(text.map(|text| format!("the model says: {text}")));
        let mut image = Drawn::from(image).with_usage(usage);
        image.note = (!notes.is_empty()).then(|| notes.join("; "));
        Ok(image)
    }
}

impl Shared {
    /// The image for `body` in base64, asked for once more where there is none for no reason; the
    /// words beside it; and what was used.
    async fn ask(&self, body: &str) -> Result<(String, Option<String>, Usage)> {
        let service = self.client.service();
        let endpoint = format!("models/{}:generateContent", self.settings.model);
        let read = |body| reply::read(&body, service);
        let ask = || self.client.post_json(&endpoint, body, reply::EXPECTED, read);
        let mut usage = Usage::default();
        let mut nothing = None;
        loop {
            match (ask().await?, &nothing) {
                (Outcome::Image { image, text, used }, _) => {
                    return Ok((image, text, usage + used));
                }
                (Outcome::Nothing { reason, used }, None) => {
                    usage += used;
                    nothing = Some(reason);
                }
                (Outcome::Nothing { reason, .. }, Some(before)) => {
                    let found = format!("none, twice: {before}, {reason}");
                    return Err(service.invalid_reply(reply::EXPECTED, &found));
                }
            }
        }
    }
}

impl fmt::Display for GeminiImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.settings.model)?;
        match f.alternate() {
            true => self.0.client.tell_settings(f, &self.0.settings),
            false => Ok(()),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Generator for GeminiImages {
    fn accepts(&self) -> &[ConditioningKind] {
        self.0.accepts()
    }

    fn image_mark(&self) -> Option<&str> {
        Some(MarkStyle::Image.mark())
    }

    fn repeats(&self) -> bool {
        false
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        super::generate(&self.0, self.0.concurrency, requests).await
    }
}
