//! What the command line says of the backend to a generator, and the conditioner that fits it.

use std::error::Error;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use imagerag::conditioner::{IpAdapter, OminiControl, PromptTemplate};
use imagerag::generator::{Flux, Sdxl};
use imagerag::models::{DType, Device, SchedulerKind};
use imagerag::{Conditioner, Generator};

use crate::delta::delta;
use crate::place::place;

/// What draws, and with which adapter.
#[derive(Args)]
pub(crate) struct Backend {
    /// sdxl with IP-Adapter-plus, or flux with OminiControl.
    #[arg(long, value_enum, default_value_t)]
    backend: Kind,
    /// The checkpoint: a folder in diffusers' layout, or the name of a repository.
    #[arg(long, value_name = "DIR_OR_REPO")]
    model: String,
    /// sdxl: the adapter's file, such as ip-adapter-plus_sdxl_vit-h.safetensors.
    #[arg(long, value_name = "FILE")]
    ip_adapter: Option<String>,
    /// sdxl: the adapter's image encoder: a folder, or a folder of a repository.
    #[arg(long, value_name = "DIR")]
    image_encoder: Option<String>,
    /// flux: OminiControl's file, such as omini/subject_512.safetensors.
    #[arg(long, value_name = "FILE")]
    lora: Option<String>,
    /// flux: rows and columns of 16 pixels that the reference is moved by; the file's own by default,
    /// where its name is known.
    #[arg(long, value_name = "R,C", value_parser = delta, allow_hyphen_values = true)]
    position_delta: Option<(i32, i32)>,
    /// flux: width and height that the reference is resized to, in pixels.
    #[arg(long, value_name = "N", default_value_t = 512)]
    condition_size: u32,
    /// Strength of the references; 0 means none. 0.5 by default for sdxl, 1 for flux.
    #[arg(long)]
    scale: Option<f64>,
    /// References for one image.
    #[arg(long, default_value_t = 1)]
    capacity: usize,
    /// Leaves the prompt as it is where there are references.
    #[arg(long)]
    plain_prompt: bool,
    /// sdxl: euler, ddim, dpm++ or lcm; the checkpoint's own by default.
    #[arg(long)]
    scheduler: Option<SchedulerKind>,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Kind {
    #[default]
    Sdxl,
    Flux,
}

/// A generator and a conditioner that fit each other.
type Parts = (Arc<dyn Generator>, Arc<dyn Conditioner>);

impl Backend {
    /// Loads both.
    pub(crate) fn load(&self, device: Device, dtype: DType) -> Result<Parts, Box<dyn Error>> {
        let template = match self.plain_prompt {
            true => PromptTemplate::Plain,
            false => PromptTemplate::Examples,
        };
        match self.backend {
            Kind::Sdxl => self.sdxl(template, device, dtype),
            Kind::Flux => self.flux(template, device, dtype),
        }
    }

    fn sdxl(
        &self,
        template: PromptTemplate,
        device: Device,
        dtype: DType,
    ) -> Result<Parts, Box<dyn Error>> {
        let adapter = place(needed("--ip-adapter", &self.ip_adapter)?)?;
        let encoder = place(needed("--image-encoder", &self.image_encoder)?)?;
        let conditioner = IpAdapter::load(&adapter, encoder, device, dtype)?
            .with_scale(self.scale.unwrap_or(0.5))
            .with_capacity(self.capacity)
            .with_template(template)?;
        let mut generator =
            Sdxl::builder(place(&self.model)?).device(device).dtype(dtype).ip_adapter(&adapter);
        if let Some(scheduler) = self.scheduler {
            generator = generator.scheduler(scheduler);
        }
        Ok((Arc::new(generator.load()?), Arc::new(conditioner)))
    }

    fn flux(
        &self,
        template: PromptTemplate,
        device: Device,
        dtype: DType,
    ) -> Result<Parts, Box<dyn Error>> {
        let lora = place(needed("--lora", &self.lora)?)?;
        let mut conditioner = OminiControl::builder(&lora)
            .condition_size(self.condition_size)
            .strength(self.scale.unwrap_or(1.0))
            .capacity(self.capacity)
            .template(template);
        if let Some((rows, columns)) = self.position_delta {
            conditioner = conditioner.position_delta(rows, columns);
        }
        let generator = Flux::builder(place(&self.model)?)
            .device(device)
            .dtype(dtype)
            .omini_control(&lora)
            .load()?;
        let conditioner = conditioner.pixels_per_token(generator.size_multiple()).build()?;
        Ok((Arc::new(generator), Arc::new(conditioner)))
    }
}

/// The value of the option `name`, which this backend cannot do without.
fn needed<'a>(name: &str, value: &'a Option<String>) -> Result<&'a str, String> {
    value.as_deref().ok_or_else(|| format!("{name}: this backend needs it"))
}
