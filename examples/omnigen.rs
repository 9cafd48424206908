//! Draws a prompt with OmniGen, plain or with images that the prompt names.
//!
//! ```text
//! cargo xtask cargo -- run --release --features tch --example omnigen -- \
//!     --model OmniGen-v1-diffusers/ --device cuda --dtype bf16 \
//!     --prompt "the bird <img><|image_1|></img> on the roof of <img><|image_2|></img>" \
//!     --reference cassowary.jpg --reference station.jpg --out roof.png
//! ```
//!
//! With the small random checkpoint of the tests,
//!
//! ```text
//!     --model tests/fixtures/omnigen/plain --reference tests/fixtures/omnigen/wide.png \
//!     --prompt "a bird like <img><|image_1|></img> on a branch" --width 64 --height 48 --steps 4 \
//!     --out bird.png
//! ```
//!
//! prints
//!
//! ```text
//! loaded     OmniGen(plain) on cpu in f32, 7.9ms
//! memory     rows of 102, 89, 339 tokens; weights 223.8 kB, keys and values 252.9 kB; beside the weights 1.1 MB with a cache on the device, 1.0 MB with one in host memory
//! drawn      64x48, 4 steps, 15.7ms
//! wrote      bird.png
//! ```
//!
//! In f32 on the CPU the image is the one that diffusers' `OmniGenPipeline` gives for the same settings
//! after `torch.manual_seed(SEED)`, where transformers reads the tokenizer as its file says (see
//! `--tokenizer-reading`); with `--reference-latents mean`, that of mean latents and
//! `torch.Generator("cpu").manual_seed(SEED)`.

#[path = "support/command.rs"]
mod command;
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
use imagerag::Image;
use imagerag::conditioner::{ConditionLatents, Conditioning};
use imagerag::generator::{KvCache, OmniGen, RopePositions};
use imagerag::models::TokenizerReading;
use picture::Picture;
use place::place;

use command::tell;

/// Draws a prompt with OmniGen, plain or with images that the prompt names.
#[derive(Parser)]
struct Options {
    /// The checkpoint: a folder in diffusers' layout or in that of OmniGen's authors, or the name of a
    /// repository.
    #[arg(long, value_name = "DIR_OR_REPO")]
    model: String,
    /// An image that the prompt names as <img><|image_1|></img>; the next is <img><|image_2|></img>, and
    /// so on.
    #[arg(long = "reference", value_name = "IMG")]
    references: Vec<PathBuf>,
    /// Strength of the prompt; 1 is off.
    #[arg(long, default_value_t = 2.5, allow_negative_numbers = true)]
    guidance: f64,
    /// Strength of the references; 1 is off.
    #[arg(long, default_value_t = 1.6, allow_negative_numbers = true)]
    image_guidance: f64,
    /// What not to draw; OmniGen's own list of flaws by default.
    #[arg(long)]
    negative_prompt: Option<String>,
    /// The longest side of a reference, in pixels; larger ones are made smaller.
    #[arg(long, value_name = "N", default_value_t = 1024)]
    max_input_image_size: u32,
    /// Gives the image the size of the reference that the prompt names first.
    #[arg(long)]
    use_input_image_size_as_output: bool,
    /// Which latents stand for a reference: sample or mean.
    #[arg(long, default_value_t)]
    reference_latents: ConditionLatents,
    /// Where the rows of a batch stand: as in diffusers, or each with its own positions.
    #[arg(long, value_name = "diffusers|own", default_value_t)]
    rope_positions: RopePositions,
    /// How the tokenizer's files are understood: as they say, or as transformers 5 rebuilds a
    /// LlamaTokenizer.
    #[arg(long, value_name = "file|transformers5", default_value_t)]
    tokenizer_reading: TokenizerReading,
    /// Where keys and values of prompt and references are kept: on the device, in host memory, or wherever
    /// there is room.
    #[arg(long, value_name = "auto|device|host", default_value_t)]
    kv_cache: KvCache,
    /// Denoising steps.
    #[arg(long, default_value_t = 50)]
    steps: usize,
    #[command(flatten)]
    picture: Picture,
}

fn main() -> ExitCode {
    command::end(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let picture = &options.picture;
    command::prepare(&picture.out)?;
    let references = options.references.iter().map(Image::open).collect::<Result<Vec<_>, _>>()?;
    let mut request = drawing::request(picture, Some(options.steps), Some(options.guidance), None)?;
    if !references.is_empty() {
        request.conditioning = Conditioning::Images(references);
    }

    let began = Instant::now();
    let Picture { device, dtype, .. } = *picture;
    let mut omnigen = OmniGen::builder(place(&options.model)?)
        .device(device)
        .dtype(dtype)
        .image_guidance_scale(options.image_guidance)
        .max_input_image_size(options.max_input_image_size)
        .use_input_image_size_as_output(options.use_input_image_size_as_output)
        .reference_latents(options.reference_latents)
        .rope_positions(options.rope_positions)
        .kv_cache(options.kv_cache)
        .tokenizer_reading(options.tokenizer_reading);
    if let Some(prompt) = &options.negative_prompt {
        omnigen = omnigen.negative_prompt(prompt);
    }
    let omnigen = omnigen.load()?;
    tell!("loaded     {omnigen} on {device} in {dtype}, {:.1?}", began.elapsed());

    tell!("memory     {}", omnigen.estimate(&request)?);
    drawing::draw(&omnigen, request, picture)
}
