//! Draws a prompt with any FLUX.1 checkpoint, plain or with a reference image through OminiControl.
//!
//! ```text
//! cargo xtask cargo -- run --release --features tch --example flux_omini -- \
//!     --model FLUX.1-schnell/ --lora omini/subject_512.safetensors --reference cassowary.jpg \
//!     --prompt "this item stands in the snow" --width 512 --height 512 --steps 8 --out snow.png
//! ```
//!
//! prints
//!
//! ```text
//! loaded     FLUX(FLUX.1-schnell) on cpu in f32, 61.0s
//! drawn      512x512, 8 steps, 702.4s
//! wrote      snow.png
//! ```
//!
//! In f32 on the CPU the image is the one that diffusers' `FluxPipeline` gives for the same settings
//! and `torch.Generator("cpu").manual_seed(SEED)`; with a reference, that of OminiControl's own
//! program after `torch.manual_seed(SEED)`.

#[path = "support/command.rs"]
mod command;
#[path = "support/delta.rs"]
mod delta;
#[path = "support/place.rs"]
mod place;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use delta::delta;
use futures::executor::block_on;
use imagerag::conditioner::{
    ConditionLatents, Conditioner, Conditioning, OminiControl, PromptTemplate,
};
use imagerag::generator::{Flux, GenerateRequest, Generator, Progress};
use imagerag::models::{DType, Device};
use imagerag::retriever::{Caption, Provenance, Reference, Source};
use imagerag::{Image, Result};
use indicatif::{ProgressBar, ProgressStyle};
use place::place;

/// Draws a prompt with a FLUX.1 checkpoint, plain or with a reference image.
#[derive(Parser)]
struct Options {
    /// The checkpoint: a folder in diffusers' layout, or the name of a repository.
    #[arg(long, value_name = "DIR_OR_REPO")]
    model: String,
    /// OminiControl's file, such as omini/subject_512.safetensors.
    #[arg(long, value_name = "FILE")]
    lora: Option<String>,
    /// Rows and columns of 16 pixels that the reference is moved by: what the file was trained with;
    /// its own by default, where its name is known.
    #[arg(long, value_name = "R,C", requires = "lora", value_parser = delta)]
    #[arg(allow_hyphen_values = true)]
    position_delta: Option<(i32, i32)>,
    /// What to draw. It goes to the text encoders as it is.
    #[arg(long)]
    prompt: String,
    /// An image to take as an example.
    #[arg(long, value_name = "IMG", requires = "lora")]
    reference: Option<PathBuf>,
    /// Width and height that the middle of the reference is resized to, in pixels.
    #[arg(long, value_name = "N", default_value_t = 512)]
    condition_size: u32,
    /// Strength of the reference; 0 means none, 1 as trained.
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    strength: f64,
    /// Which latents stand for the reference: sample or mean.
    #[arg(long, default_value_t)]
    condition_latents: ConditionLatents,
    /// Denoising steps; 4 or 28 by default, as the checkpoint is schnell or dev.
    #[arg(long)]
    steps: Option<usize>,
    /// Guidance, for checkpoints that are told it; 3.5 by default.
    #[arg(long, allow_negative_numbers = true)]
    guidance: Option<f64>,
    /// Tokens of the prompt that T5 reads; 256 or 512 by default, as the checkpoint is schnell or dev.
    #[arg(long, value_name = "N")]
    max_sequence_length: Option<usize>,
    /// Seed of the starting noise, and of the reference's sample after it.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Width in pixels; the checkpoint's own by default.
    #[arg(long)]
    width: Option<u32>,
    /// Height in pixels; the checkpoint's own by default.
    #[arg(long)]
    height: Option<u32>,
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
    command::end(run(&Options::parse()))
}

fn run(options: &Options) -> std::result::Result<(), Box<dyn Error>> {
    command::prepare(&options.out)?;
    let reference = options.reference.as_ref().map(Image::open).transpose()?;
    let lora = options.lora.as_deref().map(place).transpose()?;

    let began = Instant::now();
    let Options { device, dtype, .. } = *options;
    let mut flux = Flux::builder(place(&options.model)?).device(device).dtype(dtype);
    if let Some(tokens) = options.max_sequence_length {
        flux = flux.with_max_sequence_length(tokens);
    }
    if let Some(lora) = &lora {
        flux = flux.with_omini_control(lora);
    }
    let flux = flux.load()?;
    println!("loaded     {flux} on {device} in {dtype}, {:.1?}", began.elapsed());

    let mut request = GenerateRequest::new(&options.prompt);
    (request.seed, request.steps) = (options.seed, options.steps);
    (request.width, request.height) = (options.width, options.height);
    request.guidance_scale = options.guidance;
    if let Some((lora, image)) = lora.zip(reference) {
        request.conditioning = conditioning(options, &lora, flux.size_multiple(), image)?;
    }
    let style =
        ProgressStyle::with_template("drawing    [{bar:30}] {pos}/{len} steps, {eta} left")?;
    let bar = ProgressBar::new(0).with_style(style);
    let shown = bar.clone();
    request.progress = Progress::new(move |step| {
        shown.set_length(step.total as u64);
        shown.set_position(step.index as u64);
    });
    let began = Instant::now();
    let images = block_on(flux.generate(std::slice::from_ref(&request)));
    let steps = bar.position();
    bar.finish_and_clear();
    for image in images? {
        let (width, height) = (image.width(), image.height());
        for warning in request.conditioning.warnings(width, height) {
            println!("warning    {warning}");
        }
        println!("drawn      {width}x{height}, {steps} steps, {:.1?}", began.elapsed());
        image.save(&options.out)?;
    }
    println!("wrote      {}", options.out.display());
    Ok(())
}

/// The image as the generator consumes it.
fn conditioning(options: &Options, lora: &Path, token: u32, image: Image) -> Result<Conditioning> {
    let mut conditioner = OminiControl::builder(lora)
        .with_pixels_per_token(token)
        .with_condition_size(options.condition_size)
        .with_strength(options.strength)
        .with_latents(options.condition_latents)
        .with_template(PromptTemplate::Plain);
    if let Some((rows, columns)) = options.position_delta {
        conditioner = conditioner.with_position_delta(rows, columns);
    }
    let reference = Reference {
        image,
        caption: Caption::concept(&options.prompt),
        provenance: Provenance::new(Source::Caller(0), "caller", 1.0, 0),
    };
    Ok(block_on(conditioner.build()?.condition(&options.prompt, &[reference]))?.conditioning)
}
