//! Prompts of the world to what the pipeline made of them.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures::executor::block_on;
use imagerag::conditioner::{Conditioning, ConditioningKind};
use imagerag::generator::{Drawn, GenerateRequest};
use imagerag::reference::{Provenance, Reference};
use imagerag::retriever::{Catalog, RetrieveRequest};
use imagerag::{
    Generator, GeneratorExt, Image, RagOutcome, RagPipeline, Result, Retriever, async_trait,
};
use serde::Deserialize;

use crate::sheet::Row;
use crate::world::World;

/// One prompt with one seed.
pub(crate) struct Case {
    pub(crate) species: String,
    pub(crate) background: String,
    prompt: String,
    seed: u64,
}

impl Case {
    /// Every prompt with every seed for each of `species`.
    pub(crate) fn all(
        world: &World,
        species: &[String],
        prompts: usize,
        seeds: usize,
    ) -> Vec<Self> {
        let mut cases = Vec::new();
        for (number, species) in species.iter().enumerate() {
            for (place, template) in world.prompts.iter().take(prompts).enumerate() {
                let background = &world.backgrounds[(number + 3 * place) % world.backgrounds.len()];
                let prompt =
                    template.replace("{species}", species).replace("{background}", background);
                for &seed in world.seeds.iter().take(seeds) {
                    let (species, background) = (species.clone(), background.clone());
                    cases.push(Self { species, background, prompt: prompt.clone(), seed });
                }
            }
        }
        cases
    }
}

/// What became of a case.
pub(crate) struct Run(RagOutcome);

impl Run {
    pub(crate) fn new(
        pipeline: &RagPipeline,
        world: &World,
        case: &Case,
    ) -> Result<Self, Box<dyn Error>> {
        Ok(Self(block_on(pipeline.run(world.request(&case.prompt, case.seed)))?))
    }

    pub(crate) fn image(&self) -> &Image {
        &self.0.image
    }

    pub(crate) fn draft(&self) -> &Image {
        self.0.draft.as_ref().expect("every run has a draft")
    }

    /// The source of the first hit; `None` where nothing was looked for.
    pub(crate) fn first_hit(&self) -> Option<&imagerag::reference::Source> {
        self.0.trace.hits().next().map(|hit| &hit.provenance.source)
    }

    pub(crate) fn row(&self, case: &Case) -> Row {
        let reference = self.0.references.first().and_then(|found| found.picture.loaded()).cloned();
        Row {
            caption: case.prompt.clone(),
            pictures: vec![Some(self.draft().clone()), reference, Some(self.image().clone())],
        }
    }
}

/// Mean time of loops that drew twice, models loaded, nothing remembered.
pub(crate) fn seconds_per_loop(
    pipeline: &RagPipeline,
    world: &World,
    cases: &[Case],
) -> Result<Vec<f64>, Box<dyn Error>> {
    let mut seconds = Vec::new();
    for case in cases.iter().step_by((cases.len() / 6).max(1)) {
        let run = Run::new(pipeline, world, case)?;
        if !run.0.references.is_empty() {
            seconds.push(run.0.trace.elapsed.as_secs_f64());
        }
    }
    Ok(seconds)
}

/// The concept of each picture of the gallery, by its source.
pub(crate) fn concepts_of_gallery(
    world: &World,
) -> Result<HashMap<imagerag::reference::Source, String>, Box<dyn Error>> {
    #[derive(Deserialize)]
    struct Line {
        file: String,
        concept: Option<String>,
    }
    let folder = world.folder.join("gallery");
    let lines: Vec<Line> =
        serde_json::from_str(&std::fs::read_to_string(folder.join("catalog.json"))?)?;
    let concept = |line: Line| {
        let source = folder.join(line.file).display().to_string();
        (imagerag::reference::Source::Uri(source), line.concept.unwrap_or_default())
    };
    Ok(lines.into_iter().map(concept).collect())
}

/// Draws each draft once, whichever run asks for it.
#[derive(Debug)]
pub(crate) struct Remembered<G> {
    generator: G,
    drafts: Mutex<HashMap<(String, u64), Image>>,
}

impl<G> Remembered<G> {
    pub(crate) fn new(generator: G) -> Self {
        Self { generator, drafts: Mutex::default() }
    }
}

#[async_trait]
impl<G: Generator> Generator for Remembered<G> {
    fn accepts(&self) -> &[ConditioningKind] {
        self.generator.accepts()
    }

    fn image_mark(&self) -> Option<&str> {
        self.generator.image_mark()
    }

    fn repeats(&self) -> bool {
        self.generator.repeats()
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        let mut images = Vec::new();
        for request in requests {
            let key = (request.prompt.clone(), request.seed);
            let is_draft = matches!(request.conditioning, Conditioning::None);
            let drafts = || self.drafts.lock().unwrap_or_else(PoisonError::into_inner);
            let known = is_draft.then(|| drafts().get(&key).cloned()).flatten();
            if let Some(image) = known {
                images.push(image.into());
                continue;
            }
            let image = self.generator.generate_one(request).await?.image;
            if is_draft {
                drafts().insert(key, image.clone());
            }
            images.push(image.into());
        }
        Ok(images)
    }
}

impl<G: fmt::Display> fmt::Display for Remembered<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remembered({})", self.generator)
    }
}

/// The control: any picture of another concept, whatever the caption.
#[derive(Clone, Debug)]
pub(crate) struct RandomReference {
    catalog: Catalog,
    concepts: HashMap<imagerag::reference::Source, String>,
    state: Arc<Mutex<u64>>,
}

impl RandomReference {
    pub(crate) fn new(
        catalog: Catalog,
        concepts: HashMap<imagerag::reference::Source, String>,
    ) -> Self {
        Self { catalog, concepts, state: Arc::new(Mutex::new(9)) }
    }

    fn pick(&self, below: usize) -> usize {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Knuth's MMIX generator; its high bits are good enough to pick pictures.
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) as usize % below
    }
}

#[async_trait]
impl Retriever for RandomReference {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let lists = request.captions.iter().map(|caption| {
            let others: Vec<_> = self
                .catalog
                .entries()
                .iter()
                .filter(|entry| self.concepts.get(&entry.source) != Some(&caption.concept))
                .collect();
            let entry = others[self.pick(others.len())];
            let provenance = Provenance::new(entry.source.clone(), self, 0.0, 0);
            let (picture, caption) = (entry.picture(), caption.clone());
            let reference = Reference { picture, caption, provenance };
            [reference].into_iter().take(request.limit).collect()
        });
        Ok(lists.collect())
    }
}

impl fmt::Display for RandomReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RandomReference")
    }
}
