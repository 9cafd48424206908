//! The command line to what is served.

use std::error::Error;

use clap::Args;

use super::served::Served;

/// What draws. A pipeline of your own is served by a line in [`Source::open`] that makes a [`Served`] of it.
#[derive(Args)]
pub(crate) struct Source {
    #[command(flatten)]
    which: Which,
    /// The tiny world: where the models compute: cpu, cuda or cuda:1.
    #[arg(long, default_value = "cpu", conflicts_with_all = ["services", "fake"])]
    device: String,
    /// The tiny world: what they compute in: f32, f16 or bf16.
    #[arg(long, default_value = "f32", conflicts_with_all = ["services", "fake"])]
    dtype: String,
    #[cfg(all(feature = "gallery", feature = "openai"))]
    #[command(flatten)]
    services: super::services::Services,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Serves the models and the gallery that the repository carries, which draw small animals. Needs the
    /// feature `tch`.
    #[arg(long)]
    tinyworld: bool,
    /// Serves the loop over services: what --images-url draws, --vlm-url judges and --embeddings-url
    /// embeds, with the pictures of --pictures.
    #[arg(long)]
    services: bool,
    /// Serves parts that draw colours, for tests of clients. Needs the feature `testing`.
    #[arg(long)]
    fake: bool,
}

impl Source {
    /// Loads everything.
    pub(crate) fn open(&self) -> Result<Served, Box<dyn Error>> {
        match self.which {
            Which { tinyworld: true, .. } => self.tinyworld(),
            Which { services: true, .. } => self.services(),
            _ => fake(),
        }
    }

    #[cfg(feature = "tch")]
    fn tinyworld(&self) -> Result<Served, Box<dyn Error>> {
        Ok(super::world::open(self.device.parse()?, self.dtype.parse()?)?)
    }

    #[cfg(not(feature = "tch"))]
    fn tinyworld(&self) -> Result<Served, Box<dyn Error>> {
        let Self { device, dtype, .. } = self;
        Err(format!("--tinyworld on {device} in {dtype}: build with --features tch").into())
    }

    #[cfg(all(feature = "gallery", feature = "openai"))]
    fn services(&self) -> Result<Served, Box<dyn Error>> {
        use std::sync::Arc;

        use imagerag::conditioner::{InPrompt, PromptTemplate};

        let (generator, embedder, pipeline) = self.services.parts()?;
        // Whoever asks for the generator alone names the pictures in the prompt: `image 1`.
        let own = InPrompt::new(16)?.with_mark("").with_template(PromptTemplate::Plain)?;
        Ok(Served {
            name: format!(
                "{generator}, and what it does not know from {}",
                self.services.references()
            ),
            pipeline: pipeline.conditioner(InPrompt::default()).build()?,
            generator: Arc::new(generator),
            conditioner: Some(Arc::new(own)),
            embedder: Some(Arc::new(embedder)),
            example: format!("a photo of {}", self.services.example()),
            steps: None,
            guidance_scale: None,
        })
    }

    #[cfg(not(all(feature = "gallery", feature = "openai")))]
    #[allow(clippy::unused_self, reason = "it has no options then")]
    fn services(&self) -> Result<Served, Box<dyn Error>> {
        Err("--services: build with --features gallery,openai".into())
    }
}

#[cfg(feature = "testing")]
fn fake() -> Result<Served, Box<dyn Error>> {
    Ok(super::fakes::open()?)
}

#[cfg(not(feature = "testing"))]
fn fake() -> Result<Served, Box<dyn Error>> {
    Err("--fake: build with --features testing".into())
}
