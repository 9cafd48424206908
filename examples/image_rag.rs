//! The full loop on any SDXL or FLUX.1 checkpoint, gallery of images and vision-language model.
//!
//! ```text
//! OPENAI_API_KEY=… cargo xtask cargo -- run --release --features tch,gallery --example image_rag -- \
//!     --model sdxl/ --ip-adapter ip-adapter-plus_sdxl_vit-h.safetensors --image-encoder vit-h/ \
//!     --gallery birds.gallery --images photos/ --encoder clip-vit-base-patch32/ \
//!     --vlm-model gpt-4o-2024-08-06 --prompt "a photo of a quetzal" --out quetzal.png
//! ```
//!
//! or, as the paper has it in its second system,
//!
//! ```text
//!     --backend flux --model FLUX.1-schnell/ --lora omini/subject_512.safetensors \
//!     --width 512 --height 512 --steps 50 …
//! ```
//!
//! prints what was missing, what was retrieved and why, and writes the image, its draft, the trace
//! and a contact sheet beside it. The images of `--images` are embedded once: a second run takes in
//! only those that are new. The example `gallery` tells and changes what is in a gallery.

#[path = "support/backend.rs"]
mod backend;
#[path = "support/command.rs"]
mod command;
#[path = "support/delta.rs"]
mod delta;
#[path = "support/picture.rs"]
mod picture;
#[path = "support/place.rs"]
mod place;
#[path = "support/progress.rs"]
mod progress;
#[path = "support/sheet.rs"]
mod sheet;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use backend::Backend;
use clap::Parser;
use futures::executor::block_on;
use imagerag::critic::GuidedCot;
use imagerag::embedder::{Embedder, open_embedder};
use imagerag::gallery::ingest::{Folder, Ingest};
use imagerag::gallery::{Gallery, GalleryRetriever};
use imagerag::pipeline::{Mode, RagConfig};
use imagerag::vlm::OpenAiVlm;
use imagerag::{Image, RagPipeline, RagRequest};
use indicatif::ProgressBar;
use picture::Picture;
use place::place;
use sheet::{Row, contact_sheet};

use command::tell;

/// Draws a prompt, finds out what the draft is missing, retrieves references and draws again.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    backend: Backend,
    /// The gallery to retrieve from: the folder of one that is there, or of one to make.
    #[arg(long, value_name = "GALLERY")]
    gallery: PathBuf,
    /// Folder of images that the gallery takes in first, as far as it lacks them.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// The encoder to retrieve with, CLIP or SigLIP: a folder, or the name of a repository.
    #[arg(long, value_name = "DIR_OR_REPO")]
    encoder: String,
    /// Address of any service that speaks chat completions.
    #[arg(long)]
    vlm_base_url: Option<String>,
    /// The vision-language model. Its key is read from OPENAI_API_KEY.
    #[arg(long)]
    vlm_model: String,
    /// The temperature of every try of the critic's questions, at least 0. By default the first is
    /// at 0, and up to three repetitions of a question without a clear answer are at 1/3, 2/3 and 1.
    #[arg(long, value_name = "TEMPERATURE")]
    vlm_temperature: Option<f64>,
    /// The longest reply of the vision-language model, in tokens. By default its own limit.
    #[arg(long, value_name = "TOKENS")]
    vlm_max_tokens: Option<u32>,
    #[arg(long)]
    negative_prompt: Option<String>,
    /// An image of your own; takes a place before retrieved ones.
    #[arg(long = "reference", value_name = "IMG")]
    references: Vec<PathBuf>,
    /// The most rounds of retrieval and generation.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// The lowest similarity of a reference that is used, in [-1, 1].
    #[arg(long)]
    threshold: Option<f32>,
    /// By how much a reference must be closer to its caption than the draft, in [-2, 2].
    #[arg(long, allow_negative_numbers = true)]
    margin: Option<f32>,
    /// Has the vision-language model look at each reference before it is used.
    #[arg(long)]
    verify: bool,
    /// Retrieves every concept of the prompt at once, without a draft.
    #[arg(long)]
    all_concepts: bool,
    #[arg(long)]
    steps: Option<usize>,
    #[arg(long)]
    guidance: Option<f64>,
    #[command(flatten)]
    picture: Picture,
}

fn main() -> ExitCode {
    command::end(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let picture = &options.picture;
    command::prepare(&picture.out)?;
    let pipeline = pipeline(options)?;
    let mut request = RagRequest::new(&picture.prompt).with_seed(picture.seed);
    request.negative_prompt.clone_from(&options.negative_prompt);
    (request.width, request.height) = (picture.width, picture.height);
    (request.steps, request.guidance_scale) = (options.steps, options.guidance);
    for path in &options.references {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        request = request.with_reference(Image::open(path)?, name);
    }
    let outcome = progress::run(&pipeline, request).inspect_err(|error| {
        // Nothing is lost: what was drawn and said before the error is kept.
        if let Some(best) = &error.best {
            let _ = best.save(&picture.out);
        }
        let _ = std::fs::write(beside(&picture.out, "trace.json"), error.trace.to_json());
    })?;
    tell!("stopped    {}", outcome.stop);
    outcome.image.save(&picture.out)?;
    tell!("wrote      {}", picture.out.display());
    std::fs::write(beside(&picture.out, "trace.json"), outcome.trace.to_json())?;
    let mut pictures = vec![outcome.draft.clone()];
    let mut columns = vec!["draft"];
    for reference in &outcome.references {
        columns.push("reference");
        pictures.push(reference.picture.loaded().cloned());
    }
    columns.push("result");
    pictures.push(Some(outcome.image));
    let row = Row { caption: picture.prompt.clone(), pictures };
    contact_sheet("prompt", &columns, &[row])?.save(beside(&picture.out, "sheet.png"))?;
    if let Some(draft) = outcome.draft {
        draft.save(beside(&picture.out, "draft.png"))?;
    }
    Ok(())
}

/// The file `NAME.ending` beside `NAME.png`.
fn beside(out: &Path, ending: &str) -> PathBuf {
    out.with_extension(ending)
}

fn pipeline(options: &Options) -> Result<RagPipeline, Box<dyn Error>> {
    let (device, dtype) = (options.picture.device, options.picture.dtype);
    let mut vlm = OpenAiVlm::builder(&options.vlm_model);
    if let Some(url) = &options.vlm_base_url {
        vlm = vlm.base_url(url);
    }
    if let Some(tokens) = options.vlm_max_tokens {
        vlm = vlm.max_tokens(tokens);
    }
    let vlm = Arc::new(vlm.build()?);
    let (generator, conditioner) = options.backend.load(device, dtype)?;
    let embedder = open_embedder(place(&options.encoder)?, device, dtype)?;
    let embedder: Arc<dyn Embedder> = Arc::from(embedder);
    let gallery = gallery(options, &embedder)?;
    tell!("gallery    {} images in {}", gallery.count()?, gallery.folder().display());
    let retriever = block_on(GalleryRetriever::new(Arc::clone(&embedder), gallery))?;
    let mut config = RagConfig::default();
    config.max_rounds = options.rounds;
    config.threshold = options.threshold;
    config.margin = options.margin;
    config.mode = if options.all_concepts { Mode::AllConcepts } else { Mode::OnDemand };
    let mut builder = RagPipeline::builder()
        .config(config)
        .generator(generator)
        .vlm(Arc::clone(&vlm))
        .retriever(retriever)
        .conditioner(conditioner);
    if let Some(temperature) = options.vlm_temperature {
        let critic = GuidedCot::new(Arc::clone(&vlm));
        builder = builder.critic(critic.with_temperatures([temperature; 4])?);
    }
    if options.margin.is_some() {
        builder = builder.margin_embedder(embedder);
    }
    if options.verify {
        builder = builder.verifier(vlm);
    }
    Ok(builder.build()?)
}

/// The gallery that is asked for, with the images that it is to hold.
fn gallery(options: &Options, embedder: &Arc<dyn Embedder>) -> Result<Gallery, Box<dyn Error>> {
    let Some(images) = &options.images else { return Ok(Gallery::open(&options.gallery)?) };
    let images = Folder::open(images)?;
    let gallery = block_on(Gallery::open_or_create(&options.gallery, embedder))?;
    let bar = ProgressBar::no_length().with_message("images");
    let ingest = Ingest::into(&gallery).with_embedder(Arc::clone(embedder));
    let done = block_on(ingest.run(images, |progress| bar.set_position(progress.seen())))?;
    bar.finish_and_clear();
    tell!("took in    {done}");
    for rejected in gallery.rejected()? {
        eprintln!("left out   {}: {}", rejected.source, rejected.reason);
    }
    Ok(gallery)
}
