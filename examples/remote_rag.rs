//! The whole loop without a GPU and without libtorch: services draw, judge and embed, and a folder of
//! your own pictures is what they lack.
//!
//! ```text
//! OPENAI_API_KEY=… JINA_API_KEY=… cargo run --example remote_rag -- \
//!     --pictures photos/birds --prompt "a photo of a quetzal on a branch" --out quetzal.png
//! ```
//!
//! With servers of your own in place of keys:
//!
//! ```text
//! cargo run --example remote_rag -- --pictures photos/birds --prompt "a photo of a quetzal on a branch" \
//!     --images-url http://gpu-box:8091/v1 --images-model Qwen/Qwen-Image-Edit-2511 \
//!     --vlm-url http://gpu-box:8000/v1 --vlm-model Qwen/Qwen2.5-VL-7B-Instruct \
//!     --embeddings-url http://gpu-box:8001/v1 --embeddings-api vllm \
//!     --embeddings-model openai/clip-vit-base-patch32 --out quetzal.png
//! ```
//!
//! Without any of these, `cargo xtask remote-rag` starts the example `serve` with the small models of this
//! repository, and draws through it with `--tinyworld`.
//!
//! It prints what was missing, what was retrieved and why, and writes the image, its draft, the trace and
//! a contact sheet beside it.

#[path = "support/command.rs"]
mod command;
#[path = "support/outcome.rs"]
mod outcome;
#[path = "support/progress.rs"]
mod progress;
#[path = "support/services.rs"]
mod services;
#[path = "support/sheet.rs"]
mod sheet;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};
use imagerag::conditioner::{InPrompt, PromptTemplate};
use imagerag::pipeline::Stage;
use imagerag::{RagError, RagRequest};
use serde_json::Value;
use services::{Part, Services};

use command::tell;

/// Draws a prompt through services, finds out what the draft is missing, retrieves references and draws
/// again.
#[derive(Parser)]
#[command(after_help = services::KEYS)]
struct Options {
    #[command(flatten)]
    services: Services,
    /// Uses the example `serve` at this address, started with --tinyworld, for everything: its species are
    /// the concepts, and its gallery the pictures. Their embeddings are kept in `tinyworld.gallery` beside
    /// --out, unless --gallery says where.
    #[arg(long, value_name = "URL")]
    tinyworld: Option<String>,
    /// What to draw.
    #[arg(long, required_unless_present = "tinyworld")]
    prompt: Option<String>,
    /// How many references the generator gets at most.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    references: u8,
    /// Seed of the starting noise, for services that take one.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Width in pixels; the service's own by default.
    #[arg(long, requires = "height")]
    width: Option<u32>,
    /// Height in pixels; the service's own by default.
    #[arg(long, requires = "width")]
    height: Option<u32>,
    /// Writes also a page that shows what happened, `IMG.trace.html` beside the image.
    #[arg(long)]
    html: bool,
    /// Where the image goes.
    #[arg(long, value_name = "IMG.png", default_value = "imagerag-out/remote.png")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let command = services::refused_beside(Options::command(), &["tinyworld"], "gallery");
    let options = Options::from_arg_matches(&command.get_matches());
    command::end(run(options.unwrap_or_else(|error| error.exit())))
}

fn run(mut options: Options) -> Result<(), Box<dyn Error>> {
    command::prepare(&options.out)?;
    let mut conditioner = InPrompt::new(options.references.into())?;
    if let Some(url) = options.tinyworld.take() {
        tinyworld(&mut options, &url)?;
        // An adapter behind the server reads the picture: the prompt need not speak of it.
        conditioner = conditioner.with_mark("").with_template(PromptTemplate::Plain)?;
    }
    let prompt = options.prompt.ok_or("--prompt: what to draw")?;
    tell!("prompt     {prompt}");
    let mut request = RagRequest::new(prompt).with_seed(options.seed);
    (request.width, request.height) = (options.width, options.height);
    request.validate()?; // Before anything is embedded.
    let pipeline = options.services.pipeline()?.conditioner(conditioner).build()?;
    outcome::draw(&pipeline, request, &options.out, options.html).map_err(|error| {
        // The stage tells which service was asked.
        let stage = error.downcast_ref::<Box<RagError>>().map(|error| error.stage);
        let part = match stage {
            Some(Stage::Draft | Stage::Generate | Stage::Edit) => Part::Draws,
            Some(Stage::Retrieve) => Part::Embeds,
            Some(Stage::Critique) if !options.services.concepts.is_empty() => Part::Embeds,
            _ => Part::Judges,
        };
        options.services.with_key(part, error)
    })
}

/// Has `options` use the server at `url`, which draws small animals, and what is known of them.
fn tinyworld(options: &mut Options, url: &str) -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tinyworld");
    let world: Value = serde_json::from_slice(&std::fs::read(folder.join("world.json"))?)?;
    let names = |kind: &str| -> Vec<String> {
        let names = world[kind].as_array().into_iter().flatten();
        names.filter_map(|name| Some(name.as_str()?.to_owned())).collect()
    };
    let services = &mut options.services;
    services.at(url);
    services.concepts = [names("common"), names("rare")].concat();
    services.concept_threshold = world["critic"]["threshold"].as_f64().map(|one| one as f32);
    services.pictures = Some(folder.join("gallery"));
    let kept = options.out.with_file_name("tinyworld.gallery");
    services.gallery.get_or_insert(kept);
    if options.prompt.is_none() {
        let (species, background) = (&names("rare")[0], &names("backgrounds")[3]);
        let prompt = names("prompts")[0].replace("{species}", species);
        options.prompt = Some(prompt.replace("{background}", background));
    }
    Ok(())
}
