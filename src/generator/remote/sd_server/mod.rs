//! [`SdServer`]: requests to jobs of stable-diffusion.cpp's server, and these to images.

mod builder;
mod capabilities;
mod job;
mod request;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::lock::Mutex;

use super::{Dialect, picture};
use crate::conditioner::{Conditioning, ConditioningKind, MarkStyle};
use crate::error::require;
use crate::generator::{Drawn, GenerateRequest, Generator};
use crate::net::client::Client;
use crate::{Result, pool};
use capabilities::Capabilities;
use job::Job;
use request::Settings;

pub use builder::SdServerBuilder;
pub use request::{References, SdGuidance};

/// The interface of the server, under its root.
const ROOT: &str = "sdcpp/v1";

/// A model behind `sd-server`, the server of
/// [stable-diffusion.cpp](https://github.com/leejet/stable-diffusion.cpp), by its own interface of
/// jobs: SD 1.5 and SDXL with IP-Adapter(-plus), FLUX, and models that edit, such as FLUX Kontext,
/// FLUX.2 and Qwen-Image-Edit; on CPU, CUDA, Vulkan, Metal or ROCm, without libtorch here.
///
/// The method of the paper on SDXL is `sd-server -m sd_xl_base_1.0.safetensors --clip_vision
/// clip_vision_h.safetensors --ip-adapter ip-adapter-plus_sdxl_vit-h.safetensors`, and:
/// ```no_run
/// use imagerag::conditioner::InPrompt;
/// use imagerag::generator::{References, SdServer};
///
/// let generator = SdServer::builder()
///     .base_url("http://localhost:1234")
///     .references(References::IpAdapter)
///     .ip_adapter_strength(0.5)
///     .build()?;
/// // An IP-Adapter takes one reference, which no prompt names.
/// # let builder = imagerag::RagPipeline::builder();
/// let builder = builder.generator(generator).conditioner(InPrompt::new(1)?);
/// # Ok::<(), imagerag::Error>(())
/// ```
///
/// | of a request | is sent as |
/// |---|---|
/// | prompt, negative prompt | themselves. The server knows no `<lora:…>` in prompts: use [`lora`](SdServerBuilder::lora) |
/// | width, height | themselves, raised to the server's least. The server rounds them up to what the model draws, and crops references to that shape |
/// | steps | `sample_steps`; the server takes at most 100 |
/// | guidance scale | as [`SdGuidance`] says |
/// | seed | itself without its highest bit, because the server reads negative seeds as random ones |
/// | references | as [`References`] says, as PNG |
///
/// - What a request leaves out is as the server was started, such as with `--steps 28 -W 1024 -H
///   1024`.
/// - What became of a request in another way than it asked is in [`Drawn::note`]: another size,
///   steps that were cut, the jobs before it in the server's queue.
/// - [`build`](SdServerBuilder::build) sends nothing. The first image asks the server what it can
///   do, and the answer is kept. Sizes above its limits, samplers, schedulers and LoRAs that it
///   does not have are then [`Error::InvalidInput`](crate::Error::InvalidInput); the server itself
///   leaves out in silence what it does not know.
/// - The server draws one image at a time and tells of no steps:
///   [`Progress`](crate::generator::Progress) is never called. A queue that is full (429) is asked
///   again, as [`max_retries`](SdServerBuilder::max_retries) says; an unanswered question about a
///   job too. A job whose submission was not answered is not submitted again, because the server may
///   have taken it.
/// - The first error of several requests is that of the call, and what the others drew is lost. The
///   pipeline asks for one image a call.
/// - Dropping the future cancels the job. A server that has begun to draw it may not be able to
///   stop.
/// - A job that fails is [`Error::Backend`](crate::Error::Backend) with the server's words, and so
///   is one that somebody else cancels, or whose state stays unknown. A refusal on grounds of a policy
///   is [`Error::Refused`](crate::Error::Refused). One that the server does not know any more, because it was
///   restarted, is [`Error::Service`](crate::Error::Service) with status 404 or 410.
///
/// Clones share the connections. `Display` is `sd-server`.
#[derive(Clone, Debug)]
pub struct SdServer(Arc<Shared>);

/// What the calls share.
#[derive(Debug)]
struct Shared {
    client: Client,
    settings: Settings,
    concurrency: usize,
    /// The longest that a job may take, and the longest wait between two questions about it.
    job_timeout: Duration,
    poll_interval: Duration,
    /// What the server can do, once it has been asked.
    capabilities: Mutex<Option<Arc<Capabilities>>>,
}

impl Shared {
    async fn capabilities(&self) -> Result<Arc<Capabilities>> {
        let mut known = self.capabilities.lock().await;
        if let Some(known) = &*known {
            return Ok(Arc::clone(known));
        }
        let service = self.client.service();
        let read = |body| Capabilities::read(&body, service);
        let endpoint = format!("{ROOT}/capabilities");
        let read = self.client.get_json(&endpoint, capabilities::EXPECTED, read).await?;
        Ok(Arc::clone(known.insert(Arc::new(read))))
    }
}

impl Dialect for Shared {
    fn name(&self) -> &str {
        NAME
    }

    fn accepts(&self) -> &[ConditioningKind] {
        &[ConditioningKind::None, ConditioningKind::Images]
    }

    fn check(&self, request: &GenerateRequest) -> Result<()> {
        let Conditioning::Images(images) = &request.conditioning else { return Ok(()) };
        let fits = self.settings.references != References::IpAdapter || images.len() <= 1;
        require(fits, "references for an IP-Adapter", "1: give InPrompt room for one", images.len())
    }

    async fn draw(self: Arc<Self>, request: GenerateRequest) -> Result<Drawn> {
        let capabilities = self.capabilities().await?;
        let asked = (request.width, request.height);
        let (settings, service) = (self.settings.clone(), self.client.service().name.clone());
        let (body, mut notes) = pool::run("encoding a request", move || {
            request::body(&settings, &capabilities, &service, &request)
        })
        .await?;
        let job = Job::submit(&self, body).await?;
        let (image, jobs_before) = job.finish(self.poll_interval, self.job_timeout).await?;
        let image = picture(self.client.service(), image).await?;
        if jobs_before > 0 {
            notes.push(format!("jobs before it in the queue: {jobs_before}"));
        }
        let (width, height) = (image.width(), image.height());
        if asked.0.is_some_and(|asked| asked != width)
            || asked.1.is_some_and(|asked| asked != height)
        {
            let side = |side: Option<u32>| side.map_or("any".to_owned(), |side| side.to_string());
            let (asked_width, asked_height) = (side(asked.0), side(asked.1));
            notes
                .push(format!("asked for {asked_width}x{asked_height}, drawn in {width}x{height}"));
        }
        let drawn = Drawn::from(image);
        Ok(if notes.is_empty() { drawn } else { drawn.with_note(notes.join("; ")) })
    }
}

/// What it is called in traces and errors.
const NAME: &str = "sd-server";

impl fmt::Display for SdServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        match f.alternate() {
            true => self.0.client.tell_settings(f, &self.0.settings),
            false => Ok(()),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Generator for SdServer {
    fn accepts(&self) -> &[ConditioningKind] {
        self.0.accepts()
    }

    /// `image {n}` with [`References::RefImages`]. An IP-Adapter's model does not read of its
    /// references in the prompt, so that otherwise they are unnamed.
    fn image_mark(&self) -> Option<&str> {
        Some(match self.0.settings.references {
            References::RefImages => MarkStyle::Image.mark(),
            References::Auto | References::IpAdapter => MarkStyle::Unnamed.mark(),
        })
    }

    fn repeats(&self) -> bool {
        true
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        super::generate(&self.0, self.0.concurrency, requests).await
    }
}
