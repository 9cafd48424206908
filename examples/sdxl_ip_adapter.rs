//! Draws a prompt with any SDXL checkpoint, plain or with reference images through IP-Adapter-plus.
//!
//! ```text
//! cargo xtask cargo -- run --release --features tch --example sdxl_ip_adapter -- \
//!     --model stable-diffusion-xl-base-1.0/ \
//!     --ip-adapter ip-adapter-plus_sdxl_vit-h.safetensors --image-encoder image_encoder/ \
//!     --reference cassowary.jpg --scale 0.6 --prompt "a cassowary in the snow" --out snow.png
//! ```
//!
//! prints
//!
//! ```text
//! loaded     SDXL(stable-diffusion-xl-base-1.0, Euler) on cpu in f32, 12.3s
//! drawn      1024x1024, 50 steps, 1204.1s
//! wrote      snow.png
//! ```
//!
//! In f32 on the CPU the image is the one that diffusers' `StableDiffusionXLPipeline` gives for the
//! same settings and `torch.Generator("cpu").manual_seed(SEED)`; several references are
//! `ip_adapter_image=[[first, second]]`.

#[path = "support/command.rs"]
mod command;
#[path = "support/conditioning.rs"]
mod conditioning;
#[path = "support/drawing.rs"]
mod drawing;
#[path = "support/picture.rs"]
mod picture;
#[path = "support/place.rs"]
mod place;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use conditioning::conditioning;
use imagerag::Image;
use imagerag::conditioner::{IpAdapter, PromptTemplate};
use imagerag::generator::Sdxl;
use imagerag::models::SchedulerKind;
use picture::Picture;
use place::place;

use command::tell;

/// Draws a prompt with an SDXL checkpoint, plain or with reference images.
#[derive(Parser)]
struct Options {
    /// The checkpoint: a folder in diffusers' layout, or the name of a repository.
    #[arg(long, value_name = "DIR_OR_REPO")]
    model: String,
    /// The adapter's file, such as ip-adapter-plus_sdxl_vit-h.safetensors.
    #[arg(long, value_name = "FILE", requires = "image_encoder")]
    ip_adapter: Option<String>,
    /// The adapter's image encoder: a folder, or a folder of a repository.
    #[arg(long, value_name = "DIR", requires = "ip_adapter")]
    image_encoder: Option<String>,
    /// What not to draw.
    #[arg(long)]
    negative_prompt: Option<String>,
    /// An image to take as an example; may be given several times.
    #[arg(long = "reference", value_name = "IMG", requires = "ip_adapter")]
    references: Vec<PathBuf>,
    /// Strength of the references; 0 means none.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Denoising steps.
    #[arg(long, default_value_t = 50)]
    steps: usize,
    /// Strength of the prompt; 1 and below turn guidance off.
    #[arg(long, default_value_t = 5.0, allow_negative_numbers = true)]
    guidance: f64,
    /// euler, ddim, dpm++ or lcm; the checkpoint's own by default.
    #[arg(long)]
    scheduler: Option<SchedulerKind>,
    /// Reads prompts of more than 77 tokens whole, as lpw_stable_diffusion_xl does.
    #[arg(long)]
    long_prompts: bool,
    /// A variant of the weights, such as fp16; the most precise one by default.
    #[arg(long)]
    variant: Option<String>,
    #[command(flatten)]
    picture: Picture,
}

fn main() -> ExitCode {
    command::end(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let picture = &options.picture;
    command::prepare(&picture.out)?;
    let references: Vec<Image> =
        options.references.iter().map(Image::open).collect::<imagerag::Result<_>>()?;
    let (steps, guidance) = (Some(options.steps), Some(options.guidance));
    let negative_prompt = options.negative_prompt.as_deref();
    let mut request = drawing::request(picture, steps, guidance, negative_prompt)?;

    let began = Instant::now();
    let Picture { device, dtype, .. } = *picture;
    let mut sdxl = Sdxl::builder(place(&options.model)?)
        .device(device)
        .dtype(dtype)
        .long_prompts(options.long_prompts);
    if let Some(variant) = &options.variant {
        sdxl = sdxl.variant(variant);
    }
    if let Some(kind) = options.scheduler {
        sdxl = sdxl.scheduler(kind);
    }
    if let Some((adapter, encoder)) =
        options.ip_adapter.as_ref().zip(options.image_encoder.as_ref())
    {
        let adapter = place(adapter)?;
        if !references.is_empty() {
            let conditioner = IpAdapter::load(&adapter, place(encoder)?, device, dtype)?
                .with_scale(options.scale)
                .with_capacity(references.len())
                .with_template(PromptTemplate::Plain)?;
            request.conditioning = conditioning(&conditioner, &picture.prompt, references)?;
        }
        sdxl = sdxl.ip_adapter(adapter);
    }
    let sdxl = sdxl.load()?;
    tell!("loaded     {sdxl} on {device} in {dtype}, {:.1?}", began.elapsed());
    drawing::draw(&sdxl, request, picture)
}
