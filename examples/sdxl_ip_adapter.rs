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
#[path = "support/place.rs"]
mod place;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use futures::executor::block_on;
use imagerag::conditioner::{Conditioner, Conditioning, IpAdapter, PromptTemplate};
use imagerag::generator::{GenerateRequest, Generator, Progress, Sdxl};
use imagerag::models::{DType, Device, SchedulerKind};
use imagerag::retriever::{Caption, Provenance, Reference, Source};
use imagerag::{Image, Result};
use indicatif::{ProgressBar, ProgressStyle};
use place::place;

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
    /// What to draw. It goes to the text encoders as it is.
    #[arg(long)]
    prompt: String,
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
    /// Seed of the starting noise.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Width in pixels; the checkpoint's own by default.
    #[arg(long)]
    width: Option<u32>,
    /// Height in pixels; the checkpoint's own by default.
    #[arg(long)]
    height: Option<u32>,
    /// euler, ddim or dpm++; the checkpoint's own by default.
    #[arg(long)]
    scheduler: Option<SchedulerKind>,
    /// cpu, cuda or cuda:1.
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// f32, f16 or bf16.
    #[arg(long, default_value = "f32")]
    dtype: DType,
    /// Where the image goes.
    #[arg(long, value_name = "IMG.png")]
    out: PathBuf,
}

fn main() -> ExitCode {
    command::end(run(Options::parse()))
}

fn run(options: Options) -> std::result::Result<(), Box<dyn Error>> {
    command::prepare(&options.out)?;
    let references: Vec<Image> =
        options.references.iter().map(Image::open).collect::<Result<_>>()?;

    let began = Instant::now();
    let mut sdxl =
        Sdxl::builder(place(&options.model)?).device(options.device).dtype(options.dtype);
    if let Some(kind) = options.scheduler {
        sdxl = sdxl.with_scheduler(kind);
    }
    let mut request = GenerateRequest::new(&options.prompt);
    if let Some((adapter, encoder)) =
        options.ip_adapter.as_ref().zip(options.image_encoder.as_ref())
    {
        let adapter = place(adapter)?;
        if !references.is_empty() {
            let conditioner =
                IpAdapter::load(&adapter, place(encoder)?, options.device, options.dtype)?
                    .with_scale(options.scale)
                    .with_capacity(references.len())
                    .with_template(PromptTemplate::Plain);
            request.conditioning = conditioning(&conditioner, &options.prompt, references)?;
        }
        sdxl = sdxl.with_ip_adapter(adapter);
    }
    let sdxl = sdxl.load()?;
    let Options { device, dtype, .. } = options;
    println!("loaded     {sdxl} on {device} in {dtype}, {:.1?}", began.elapsed());

    request.negative_prompt = options.negative_prompt;
    (request.seed, request.steps) = (options.seed, Some(options.steps));
    (request.width, request.height) = (options.width, options.height);
    request.guidance_scale = Some(options.guidance);
    let style =
        ProgressStyle::with_template("drawing    [{bar:30}] {pos}/{len} steps, {eta} left")?;
    let bar = ProgressBar::new(options.steps as u64).with_style(style);
    let shown = bar.clone();
    request.progress = Progress::new(move |step| {
        shown.set_length(step.total as u64);
        shown.set_position(step.index as u64);
    });
    let began = Instant::now();
    let images = block_on(sdxl.generate(&[request]));
    bar.finish_and_clear();
    for image in images? {
        let (width, height, steps) = (image.width(), image.height(), options.steps);
        println!("drawn      {width}x{height}, {steps} steps, {:.1?}", began.elapsed());
        image.save(&options.out)?;
    }
    println!("wrote      {}", options.out.display());
    Ok(())
}

/// The images as the generator consumes them.
fn conditioning(adapter: &IpAdapter, prompt: &str, images: Vec<Image>) -> Result<Conditioning> {
    let references: Vec<_> = images
        .into_iter()
        .enumerate()
        .map(|(n, image)| Reference {
            image,
            caption: Caption::concept(prompt),
            provenance: Provenance::new(Source::Caller(n), "caller", 1.0, n),
        })
        .collect();
    Ok(block_on(adapter.condition(prompt, &references))?.conditioning)
}
