//! The paper's tables 1 to 4 and 6, figure 16 and E.5 in miniature, on the tiny world: offline, on any machine.

mod accuracy;
#[path = "../../tinyworld/judge.rs"]
mod judge;
mod sets;
mod vlm;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use futures::executor::block_on;
use imagerag::critic::{GuidedCot, Query};
use imagerag::evaluation::experiment::{Experiment, System};
use imagerag::evaluation::metric::{ImageSimilarity, Judge, Rubric, TextSimilarity, weights_hash};
use imagerag::evaluation::report::SELECTION_ROWS;
use imagerag::evaluation::robustness::{Candidate, Robustness, RobustnessResult};
use imagerag::gallery::{Gallery, GalleryRetriever};
use imagerag::models::{DType, Device};
use imagerag::pipeline::{Mode, RagConfig, RagPipelineBuilder};
use imagerag::retriever::{Bm25, Rerank, VlmReranker};
use imagerag::{RagPipeline, Retriever};

use crate::command::tell;
use crate::world::{Parts, World};
use crate::{report, robustness, run, subsets};
use accuracy::Accuracy;
use sets::Known;
use vlm::JudgeVlm;

/// Repeats the paper's experiments in miniature on the tiny world, offline: the base model, ImageRAG, its
/// ablations, other retrieval, and retrieval sets of several sizes.
#[derive(Args)]
pub(crate) struct TinyWorld {
    /// Where everything goes; the same folder goes on.
    #[arg(long, default_value = "imagerag-out/evaluate")]
    out: PathBuf,
    /// Prompts for each of the 24 species, 1 to 4.
    #[arg(long, default_value_t = 2)]
    prompts: usize,
    /// Species of each kind, rare and common, 2 to 12.
    #[arg(long, default_value_t = 12)]
    species: usize,
    /// Draws the base model and ImageRAG alone.
    #[arg(long)]
    quick: bool,
    /// Where the models compute: cpu, cuda or cuda:1.
    #[arg(long, default_value = "cpu")]
    device: Device,
}

/// Sizes of retrieval sets, nested; the largest has every picture that is not compared with.
const SIZES: [usize; 4] = [12, 30, 60, 120];
/// The largest, by its name in the tables.
const FULL: &str = "ImageRAG @ 120";
const BASE: &str = "tiny SDXL";

pub(crate) fn run(options: &TinyWorld) -> Result<(), Box<dyn Error>> {
    let miniature = Miniature::load(options)?;
    let experiment = miniature.experiment(options)?;
    let summary = run::work(&experiment)?;
    let robustness = miniature.robustness(options)?;
    let shown = report::ReportArgs {
        out: None,
        title: "The paper's experiments in miniature".to_owned(),
        base: Some(BASE.to_owned()),
        paper_names: None,
        size: Vec::new(),
        inline_pictures: 400,
        sheet_rows: SELECTION_ROWS,
        seed: 0,
        charts: vec![robustness::chart(&robustness)],
    };
    report::run(&experiment.results()?, &shown)?;
    robustness::write(&options.out.join("report/plots"), &robustness)?;
    tell!("");
    tell!("What the vision-language model tells rightly, by kind of prompt (E.5)");
    tell!("");
    robustness::table(&robustness).lines().for_each(|line| tell!("{line}"));
    run::complete(&experiment.results()?, &summary)?;
    robustness::complete(&robustness)
}

/// What the experiments are made of.
struct Miniature {
    world: World,
    parts: Parts,
    pictures: Vec<Known>,
    judge: Arc<JudgeVlm>,
}

impl Miniature {
    fn load(options: &TinyWorld) -> Result<Self, Box<dyn Error>> {
        let world = World::open()?;
        let parts = world.load(options.device, DType::F32)?;
        let judge = judge::Judge::load(&world.folder.join("models/judge"))?;
        let species: Vec<String> = world.rare.iter().chain(&world.common).cloned().collect();
        let template = world.prompts.last().cloned().unwrap_or_default();
        let judge = JudgeVlm::new(judge, species, world.backgrounds.clone(), template);
        let pictures = sets::pictures(&world)?;
        Ok(Self { world, parts, pictures, judge: Arc::new(judge) })
    }

    /// Tables 1 to 4 and 6, and figure 16.
    fn experiment(&self, options: &TinyWorld) -> Result<Experiment, Box<dyn Error>> {
        let Self { world, parts, pictures, judge } = self;
        let weights = |model: &str| weights_hash(world.folder.join("models").join(model));
        let set = |name: &str, species: &[String]| {
            let few = &species[..options.species.min(species.len())];
            sets::dataset(world, name, few, options.prompts, pictures)
        };
        let clip = || Arc::clone(&parts.embedder);
        let mut experiment = Experiment::new(&options.out)
            .dataset(set("rare", &world.rare))
            .dataset(set("common", &world.common))
            .metric(Accuracy { judge: Arc::clone(judge), weights: weights("judge")? })
            .metric(Judge::new(Arc::clone(judge), Rubric::gpt_score())?)
            .metric(TextSimilarity::new("CLIP", clip()).with_weights(weights("clip")?))
            .metric(
                // A program drew the species: two pictures of one may be all but equal.
                ImageSimilarity::new("CLIP-I", clip())
                    .with_near_duplicates(None)?
                    .with_weights(weights("clip")?),
            );
        for system in self.systems(options)? {
            experiment = experiment.system(system);
        }
        Ok(experiment)
    }

    /// Appendix E.5, with the classifier as vision-language model.
    fn robustness(&self, options: &TinyWorld) -> Result<Vec<RobustnessResult>, Box<dyn Error>> {
        let species: Vec<String> =
            self.world.rare.iter().chain(&self.world.common).cloned().collect();
        let dataset = sets::dataset(&self.world, "species", &species, 1, &self.pictures);
        let classes = if options.quick { 4 } else { 20 }; // The paper's.
        let robustness = Robustness::new(&dataset, classes, 0)?;
        let candidate = Candidate::new("tiny judge", GuidedCot::new(Arc::clone(&self.judge)));
        let journal = options.out.join("robustness.jsonl");
        Ok(block_on(robustness.run(journal, &[candidate], |_| {}))?)
    }

    fn systems(&self, options: &TinyWorld) -> Result<Vec<System>, Box<dyn Error>> {
        let galleries = options.out.join("galleries");
        let make = |name: &str, of: &dyn Fn(&Known) -> bool| {
            let chosen = self.pictures.iter().filter(|one| one.is_retrieved && of(one));
            sets::gallery(&galleries.join(name), &self.parts.embedder, chosen)
        };
        let all = make("all", &|_| true)?;
        let caption = RagConfig::default;
        let base = System::generator(BASE, Arc::clone(&self.parts.generator));
        let mut systems = vec![self.drawn(base)];
        if options.quick {
            systems.push(self.rag(FULL, self.found(&all)?, caption())?);
            return Ok(systems);
        }
        let rephrased = caption().with_mode(Mode::RephraseOnly);
        systems.push(self.rag("rephrased", self.found(&all)?, rephrased)?);
        for (name, query) in [("by concept", Query::Concept), ("by prompt", Query::Prompt)] {
            systems.push(self.rag(name, self.found(&all)?, caption().with_query(query))?);
        }
        let words = Rerank::new(self.found(&all)?, Bm25::new(), 20)?;
        systems.push(self.rag("BM25 re-rank", Arc::new(words), caption())?);
        let seen = Rerank::new(self.found(&all)?, VlmReranker::new(Arc::clone(&self.judge)), 8)?;
        systems.push(self.rag("judge re-rank", Arc::new(seen), caption())?);
        for (set, species) in [("rare", &self.world.rare), ("common", &self.world.common)] {
            let own = make(set, &|one: &Known| species.contains(&one.species))?;
            systems.push(self.rag("Proprietary", self.found(&own)?, caption())?.on([set]));
        }
        for folder in subsets::make(&all, &SIZES, 0, &galleries.join("subsets"))? {
            let gallery = Gallery::open(&folder)?;
            let name = format!("ImageRAG @ {}", gallery.count()?);
            systems.push(self.rag(&name, self.found(&gallery)?, caption())?);
        }
        Ok(systems)
    }

    fn found(&self, gallery: &Gallery) -> Result<Arc<dyn Retriever>, Box<dyn Error>> {
        let embedder = Arc::clone(&self.parts.embedder);
        Ok(Arc::new(block_on(GalleryRetriever::new(embedder, gallery.clone()))?))
    }

    /// ImageRAG over the base model.
    fn rag(
        &self,
        name: &str,
        retriever: Arc<dyn Retriever>,
        config: RagConfig,
    ) -> Result<System, Box<dyn Error>> {
        let builder: RagPipelineBuilder = RagPipeline::builder()
            .generator(Arc::clone(&self.parts.generator))
            .conditioner(Arc::clone(&self.parts.conditioner))
            .vlm(Arc::clone(&self.judge))
            .retriever(retriever)
            .config(config);
        let system = System::pipeline(name, builder.build()?).over(BASE);
        let scale = self.world.ip_adapter_scale;
        Ok(self.drawn(system).with_settings(format!("IP-Adapter's scale: {scale}; {name}")))
    }

    /// The world's own settings.
    fn drawn(&self, system: System) -> System {
        system.with_steps(self.world.steps).with_guidance_scale(self.world.guidance_scale)
    }
}
