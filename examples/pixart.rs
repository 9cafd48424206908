//! Draws a prompt with any PixArt-Σ checkpoint.
//!
//! ```text
//! cargo xtask cargo -- run --release --features tch --example pixart -- \
//!     --model PixArt-Sigma-XL-2-1024-MS/ --prompt "a cassowary in the snow" \
//!     --width 1200 --height 800 --dtype bf16 --device cuda:0 --out snow.png
//! ```
//!
//! With the small random checkpoint of the tests,
//!
//! ```text
//!     --model tests/fixtures/pixart/sigma --prompt "a cassowary in the snow" --steps 4 --out snow.png
//! ```
//!
//! prints
//!
//! ```text
//! loaded     PixArt-Sigma(sigma, DPM-Solver++) on cpu in f32, 11.5ms
//! drawn      256x256, 4 steps, 213.5ms
//! wrote      snow.png
//! ```
//!
//! In f32 on the CPU the image is the one that diffusers' `PixArtSigmaPipeline` gives for the same
//! settings and `torch.Generator("cpu").manual_seed(SEED)`, where `beautifulsoup4` and `ftfy` are
//! installed; where they are not, that of `--no-clean-caption`.

#[path = "support/command.rs"]
mod command;
#[path = "support/drawing.rs"]
mod drawing;
#[path = "support/picture.rs"]
mod picture;
#[path = "support/place.rs"]
mod place;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use imagerag::generator::PixArtSigma;
use imagerag::models::SchedulerKind;
use picture::Picture;
use place::place;

use command::tell;

/// Draws a prompt with a PixArt-Σ checkpoint.
#[derive(Parser)]
struct Options {
    /// The checkpoint: a folder in diffusers' layout, or the name of a repository.
    #[arg(long, value_name = "DIR_OR_REPO")]
    model: String,
    /// What not to draw; nothing by default.
    #[arg(long, value_name = "PROMPT")]
    negative_prompt: Option<String>,
    /// The most tokens of a prompt that the text encoder reads; 300 by default.
    #[arg(long, value_name = "N")]
    max_sequence_length: Option<usize>,
    /// Makes the prompt lower case, and changes nothing else in it.
    #[arg(long)]
    no_clean_caption: bool,
    /// Draws the size that is asked for itself, in place of the nearest one of the training, which is then
    /// scaled and cut to it.
    #[arg(long)]
    no_resolution_binning: bool,
    /// Denoising steps; 20 by default.
    #[arg(long)]
    steps: Option<usize>,
    /// Guidance, off up to 1; 4.5 by default.
    #[arg(long, allow_negative_numbers = true)]
    guidance: Option<f64>,
    /// Another scheduler than the checkpoint's: euler, ddim, dpm++ or lcm.
    #[arg(long)]
    scheduler: Option<SchedulerKind>,
    #[command(flatten)]
    picture: Picture,
}

fn main() -> ExitCode {
    command::end(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let picture = &options.picture;
    command::prepare(&picture.out)?;
    let negative_prompt = options.negative_prompt.as_deref();
    let request = drawing::request(picture, options.steps, options.guidance, negative_prompt)?;

    let began = Instant::now();
    let Picture { device, dtype, .. } = *picture;
    let mut pixart = PixArtSigma::builder(place(&options.model)?)
        .device(device)
        .dtype(dtype)
        .clean_caption(!options.no_clean_caption)
        .resolution_binning(!options.no_resolution_binning);
    if let Some(tokens) = options.max_sequence_length {
        pixart = pixart.max_sequence_length(tokens);
    }
    if let Some(kind) = options.scheduler {
        pixart = pixart.scheduler(kind);
    }
    let pixart = pixart.load()?;
    tell!("loaded     {pixart} on {device} in {dtype}, {:.1?}", began.elapsed());
    drawing::draw(&pixart, request, picture)
}
