//! Draws a prompt with any FLUX.1 checkpoint, plain or with a reference image through OminiControl.
//!
//! ```text
//! cargo xtask cargo -- run --release --features tch --example flux_omini -- \
//!     --model FLUX.1-schnell/ --lora omini/subject_512.safetensors --reference cassowary.jpg \
//!     --prompt "this item stands in the snow" --width 512 --height 512 --steps 8 --out snow.png
//! ```
//!
//! With the small random checkpoint of the tests, whose tokens are 4 pixels wide,
//!
//! ```text
//!     --model tests/fixtures/flux/schnell --lora tests/fixtures/omini/schnell_full.safetensors \
//!     --reference tests/fixtures/omini/wide.png --condition-size 32 --position-delta 0,16 \
//!     --prompt "this item stands in the snow" --width 64 --height 64 --out snow.png
//! ```
//!
//! prints
//!
//! ```text
//! loaded     FLUX(schnell) on cpu in f32, 11.8ms
//! drawn      64x64, 4 steps, 88.6ms
//! wrote      snow.png
//! ```
//!
//! In f32 on the CPU the image is the one that diffusers' `FluxPipeline` gives for the same settings
//! and `torch.Generator("cpu").manual_seed(SEED)`; with a reference, that of OminiControl's own
//! program after `torch.manual_seed(SEED)`.

#[path = "support/command.rs"]
mod command;
#[path = "support/conditioning.rs"]
mod conditioning;
#[path = "support/delta.rs"]
mod delta;
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
use delta::delta;
use imagerag::Image;
use imagerag::conditioner::{ConditionLatents, OminiControl, PromptTemplate};
use imagerag::generator::Flux;
use picture::Picture;
use place::place;

use command::tell;

/// Draws a prompt with a FLUX.1 checkpoint, plain or with a reference image.
#[derive(Parser)]
struct Options {
    /// The checkpoint: a folder in diffusers' layout, or the name of a repository.
    #[arg(long, value_name = "DIR_OR_REPO")]
    model: String,
    /// OminiControl's file, such as omini/subject_512.safetensors.
    #[arg(long, value_name = "FILE")]
    lora: Option<String>,
    /// Rows and columns that the reference is moved by, in tokens of 16 pixels: what the file was trained with;
    /// its own by default, where its name is known.
    #[arg(long, value_name = "R,C", requires = "lora", value_parser = delta)]
    #[arg(allow_hyphen_values = true)]
    position_delta: Option<(i32, i32)>,
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
    #[command(flatten)]
    picture: Picture,
}

fn main() -> ExitCode {
    command::end(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let picture = &options.picture;
    command::prepare(&picture.out)?;
    let reference = options.reference.as_ref().map(Image::open).transpose()?;
    let mut request = drawing::request(picture, options.steps, options.guidance, None)?;
    let lora = options.lora.as_deref().map(place).transpose()?;

    let began = Instant::now();
    let Picture { device, dtype, .. } = *picture;
    let mut flux = Flux::builder(place(&options.model)?).device(device).dtype(dtype);
    if let Some(tokens) = options.max_sequence_length {
        flux = flux.max_sequence_length(tokens);
    }
    if let Some(lora) = &lora {
        flux = flux.omini_control(lora);
    }
    let flux = flux.load()?;
    tell!("loaded     {flux} on {device} in {dtype}, {:.1?}", began.elapsed());

    if let Some((lora, image)) = lora.zip(reference) {
        let mut conditioner = OminiControl::builder(lora)
            .pixels_per_token(flux.size_multiple())
            .condition_size(options.condition_size)
            .strength(options.strength)
            .latents(options.condition_latents)
            .template(PromptTemplate::Plain);
        if let Some((rows, columns)) = options.position_delta {
            conditioner = conditioner.position_delta(rows, columns);
        }
        let conditioner = conditioner.build()?;
        request.conditioning = conditioning(&conditioner, &picture.prompt, vec![image])?;
    }
    drawing::draw(&flux, request, picture)
}
