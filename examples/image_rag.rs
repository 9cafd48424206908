//! The full loop on any checkpoint of OmniGen, SDXL or FLUX.1, gallery of images and vision-language
//! model.
//!
//! ```text
//! OPENAI_API_KEY=… cargo xtask cargo -- run --release --features tch,gallery --example image_rag -- \
//!     --model sdxl/ --ip-adapter ip-adapter-plus_sdxl_vit-h.safetensors --image-encoder vit-h/ \
//!     --gallery birds.gallery --images photos/ --encoder clip-vit-base-patch32/ \
//!     --vlm-model gpt-4o-2024-08-06 --prompt "a photo of a quetzal" --out quetzal.png
//! ```
//!
//! or, with the paper's main system, OmniGen, which reads up to three references in its prompt,
//!
//! ```text
//!     --backend omnigen --model OmniGen-v1-diffusers/ --max-input-image-size 512 …
//! ```
//!
//! or with FLUX.1 and OminiControl,
//!
//! ```text
//!     --backend flux --model FLUX.1-schnell/ --lora omini/subject_512.safetensors \
//!     --width 512 --height 512 --steps 50 …
//! ```
//!
//! prints what was missing, what was retrieved and why, and writes the image, its draft, the trace
//! and a contact sheet beside it. The images of `--images` are embedded once: a second run takes in
//! only those that are new. The example `gallery` tells and changes what is in a gallery.
//!
//! With a generator that takes images, `--mode edit_draft` edits the draft with the references, and
//! `--mode plan_edit` needs no gallery: the vision-language model plans edits of the draft, or of the
//! picture of `--draft`, and the generator makes them. PixArt-Σ (`--backend pixart`) takes no images: with
//! it, `--mode rephrase_only` has the prompt rephrased, and the other modes are errors.

#[path = "support/backend.rs"]
mod backend;
#[path = "support/command.rs"]
mod command;
#[path = "support/delta.rs"]
mod delta;
#[path = "support/outcome.rs"]
mod outcome;
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
use clap::{Parser, ValueEnum};
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

use command::tell;

/// Draws a prompt, finds out what the draft is missing, retrieves references and draws again.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    backend: Backend,
    /// What happens with the draft, and when references are looked for.
    #[arg(long, value_enum, default_value_t)]
    mode: Way,
    /// The gallery to retrieve from: the folder of one that is there, or of one to make. The modes
    /// rephrase_only and plan_edit need none.
    #[arg(long, value_name = "GALLERY")]
    gallery: Option<PathBuf>,
    /// Folder of images that the gallery takes in first, as far as it lacks them.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// The encoder to retrieve with, CLIP or SigLIP: a folder, or the name of a repository.
    #[arg(long, value_name = "DIR_OR_REPO")]
    encoder: Option<String>,
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
    /// What not to draw, in drafts, images and edits alike; the backend's own by default.
    #[arg(long, value_name = "PROMPT")]
    negative_prompt: Option<String>,
    /// An image of your own; takes a place before retrieved ones. The prompt may name the first one
    /// <|image_1|>, and so on.
    #[arg(long = "reference", value_name = "IMG")]
    references: Vec<PathBuf>,
    /// A picture to begin with, instead of drawing a draft.
    #[arg(long, value_name = "IMG")]
    draft: Option<PathBuf>,
    /// The most rounds of retrieval and generation, or of planning and editing.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// plan_edit: the most edits, all rounds together.
    #[arg(long, default_value_t = RagConfig::default().max_edits)]
    max_edits: usize,
    /// plan_edit: has an image judged only when every edit of its plan is made.
    #[arg(long)]
    judge_last_edit_only: bool,
    /// The lowest similarity of a reference that is used, in [-1, 1].
    #[arg(long)]
    threshold: Option<f32>,
    /// By how much a reference must be closer to its caption than the draft, in [-2, 2].
    #[arg(long, allow_negative_numbers = true)]
    margin: Option<f32>,
    /// Has the vision-language model look at each reference before it is used.
    #[arg(long)]
    verify: bool,
    /// The same as --mode all_concepts.
    #[arg(long, conflicts_with = "mode")]
    all_concepts: bool,
    /// Denoising steps of every image, at least 1; the backend's own by default.
    #[arg(long)]
    steps: Option<usize>,
    /// Strength of the prompt (classifier-free guidance), at least 0; the backend's own by default.
    #[arg(long, allow_negative_numbers = true)]
    guidance: Option<f64>,
    /// Writes also a page that shows what happened, `IMG.trace.html` beside the image.
    #[arg(long)]
    html: bool,
    #[command(flatten)]
    picture: Picture,
}

/// The names of [`Mode`] on the command line.
#[derive(Clone, Copy, Default, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Way {
    /// References for what a draft is missing.
    #[default]
    OnDemand,
    /// References for every concept of the prompt at once, without a draft.
    AllConcepts,
    /// No references: the vision-language model rephrases the prompt of the draft.
    RephraseOnly,
    /// References for what the draft is missing, with which the draft is edited.
    EditDraft,
    /// No references: the vision-language model plans edits of the draft, which are made one by one.
    PlanEdit,
}

impl From<Way> for Mode {
    fn from(way: Way) -> Self {
        match way {
            Way::OnDemand => Self::OnDemand,
            Way::AllConcepts => Self::AllConcepts,
            Way::RephraseOnly => Self::RephraseOnly,
            Way::EditDraft => Self::EditDraft,
            Way::PlanEdit => Self::PlanEdit,
        }
    }
}

fn main() -> ExitCode {
    command::end(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let picture = &options.picture;
    command::prepare(&picture.out)?;
    let config = config(options);
    let mut request = RagRequest::new(&picture.prompt).with_seed(picture.seed);
    request.negative_prompt.clone_from(&options.negative_prompt);
    (request.width, request.height) = (picture.width, picture.height);
    (request.steps, request.guidance_scale) = (options.steps, options.guidance);
    for path in &options.references {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        request = request.with_reference(Image::open(path)?, name);
    }
    request.draft = options.draft.as_ref().map(Image::open).transpose()?;
    request.config = Some(config.clone());
    request.validate()?; // Before anything is loaded.
    let pipeline = pipeline(options, config)?;
    outcome::draw(&pipeline, request, &picture.out, options.html)
}

fn config(options: &Options) -> RagConfig {
    let mode = if options.all_concepts { Mode::AllConcepts } else { options.mode.into() };
    let mut config = RagConfig::default().with_mode(mode).with_max_rounds(options.rounds);
    config = config.with_max_edits(options.max_edits);
    config.judge_each_edit = !options.judge_last_edit_only;
    (config.threshold, config.margin) = (options.threshold, options.margin);
    config
}

fn pipeline(options: &Options, config: RagConfig) -> Result<RagPipeline, Box<dyn Error>> {
    let mode = config.mode;
    let (device, dtype) = (options.picture.device, options.picture.dtype);
    let mut vlm = OpenAiVlm::builder(&options.vlm_model);
    if let Some(url) = &options.vlm_base_url {
        vlm = vlm.base_url(url);
    }
    if let Some(tokens) = options.vlm_max_tokens {
        vlm = vlm.max_tokens(tokens);
    }
    let vlm = Arc::new(vlm.build()?);
    let pictured = mode != Mode::RephraseOnly || !options.references.is_empty();
    options.backend.check(pictured)?;
    let retriever = match mode {
        Mode::RephraseOnly | Mode::PlanEdit => None,
        _ => Some(retriever(options)?),
    };
    let (generator, conditioner) = options.backend.load(device, dtype)?;
    let mut builder =
        RagPipeline::builder().config(config).generator(generator).vlm(Arc::clone(&vlm));
    if let Some(conditioner) = conditioner {
        builder = builder.conditioner(conditioner);
    }
    if let Some(temperature) = options.vlm_temperature {
        let critic = GuidedCot::new(Arc::clone(&vlm));
        builder = builder.critic(critic.with_temperatures([temperature; 4])?);
    }
    if let Some((embedder, retriever)) = retriever {
        builder = builder.retriever(retriever);
        if options.margin.is_some() {
            builder = builder.margin_embedder(embedder);
        }
    }
    if options.verify {
        builder = builder.verifier(vlm);
    }
    Ok(builder.build()?)
}

/// An embedder, and what finds references by it.
type ByEmbedding = (Arc<dyn Embedder>, GalleryRetriever<Arc<dyn Embedder>>);

fn retriever(options: &Options) -> Result<ByEmbedding, Box<dyn Error>> {
    let needed = |name| format!("{name}: a mode that retrieves needs it");
    let encoder = options.encoder.as_ref().ok_or_else(|| needed("--encoder"))?;
    let folder = options.gallery.as_ref().ok_or_else(|| needed("--gallery"))?;
    let (device, dtype) = (options.picture.device, options.picture.dtype);
    let embedder: Arc<dyn Embedder> = Arc::from(open_embedder(place(encoder)?, device, dtype)?);
    let gallery = gallery(folder, options.images.as_deref(), &embedder)?;
    tell!("gallery    {} images in {}", gallery.count()?, gallery.folder().display());
    let retriever = block_on(GalleryRetriever::new(Arc::clone(&embedder), gallery))?;
    Ok((embedder, retriever))
}

/// The gallery in `folder`, with the `images` that it is to hold.
fn gallery(
    folder: &Path,
    images: Option<&Path>,
    embedder: &Arc<dyn Embedder>,
) -> Result<Gallery, Box<dyn Error>> {
    let Some(images) = images else { return Ok(Gallery::open(folder)?) };
    let images = Folder::open(images)?;
    let gallery = block_on(Gallery::open_or_create(folder, embedder))?;
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
