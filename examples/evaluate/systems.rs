//! Rows of a run file to systems, whose models are loaded when they draw.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use futures::executor::block_on;
use imagerag::evaluation::experiment::{Draw, System};
use imagerag::gallery::{ContentHash, Gallery, GalleryRetriever};
use imagerag::pipeline::Mode;
use imagerag::retriever::{Bm25, CaptionWriter, Fuse, Rerank, VlmReranker};
use imagerag::vlm::Questions;
use imagerag::{Embedder, RagPipeline, Retriever};

use crate::local;
use crate::parts::Drawing;
use crate::run_file::{RerankKind, RunFile, SystemTable};

/// Candidates of each of two galleries, as in the paper's table 4 (section 4.3).
const EACH: usize = 3;

/// The generator that was loaded last: systems over one model share it.
#[derive(Default)]
struct Last(Mutex<Option<(String, Drawing)>>);

/// Every system of `file`.
pub(crate) fn systems(file: &Arc<RunFile>) -> Result<Vec<System>, Box<dyn Error>> {
    let last = Arc::new(Last::default());
    let mut galleries = BTreeMap::new();
    for (name, gallery) in &file.galleries {
        let words = gallery
            .words(file)
            .map_err(|error| format!("galleries.{name}: {}", imagerag::Chain::new(&*error)))?;
        galleries.insert(name.as_str(), words);
    }
    let system = |table: &SystemTable| {
        let (own, from, last) = (table.clone(), Arc::clone(file), Arc::clone(&last));
        let calls = match (&table.vlm, table.config.mode) {
            (None, _) => 0,
            (_, Mode::RephraseOnly) => 1,
            _ => 3,
        };
        let load = move || load(&own, &from, &last).map_err(|error| failed(&own.name, &*error));
        let words = words(table, file, &galleries)?;
        let mut system = System::lazy(&table.name, words, calls, load);
        if let Some(base) = &table.base {
            system = system.over(base);
        }
        if let Some(only) = &table.on {
            system = system.on(only);
        }
        if let Some(prompt) = &table.negative_prompt {
            system = system.with_negative_prompt(prompt);
        }
        if let Some(size) = table.width.zip(table.height) {
            system = system.with_size(size.0, size.1);
        }
        if let Some(steps) = table.steps {
            system = system.with_steps(steps);
        }
        if let Some(scale) = table.guidance_scale {
            system = system.with_guidance_scale(scale);
        }
        Ok(system)
    };
    file.systems.iter().map(system).collect()
}

fn failed(name: &str, error: &(dyn Error + 'static)) -> imagerag::Error {
    imagerag::Error::unavailable(name, imagerag::Chain::new(error).to_string())
}

/// What the pictures of a system depend on, as it is meant: names of tables, keys and moved folders change
/// nothing, and changed settings do. `galleries` are what galleries hold, by their names.
fn words(
    table: &SystemTable,
    file: &RunFile,
    galleries: &BTreeMap<&str, String>,
) -> Result<String, Box<dyn Error>> {
    let model = match file.services.get(&table.model) {
        Some(service) => serde_json::to_string(service)?,
        None => {
            let model = serde_json::to_string(&local::meant(&file.models[&table.model]))?;
            format!("{model}, {}", local::arithmetic(file))
        }
    };
    let mut lines = vec![format!("generator: {model}")];
    if let Some(name) = &table.vlm {
        let vlm = serde_json::to_string(&file.vlms[name])?;
        let questions = serde_json::to_string(&Questions::default())?;
        let questions = ContentHash::of(questions.as_bytes());
        lines.push(format!("vision-language model: {vlm}, questions {questions}"));
    }
    for name in table.gallery.iter().chain(&table.fused_with) {
        lines.push(galleries[name.as_str()].clone());
    }
    if let Some(kind) = table.rerank {
        lines.push(format!("re-ranked: {kind:?}, {} candidates", table.candidates));
    }
    if table.verify {
        lines.push("references verified".to_owned());
    }
    if table.is_pipeline() {
        lines.push(format!("config: {}", serde_json::to_string(&table.config)?));
    }
    Ok(lines.join("\n"))
}

impl SystemTable {
    /// Whether it is more than a generator.
    fn is_pipeline(&self) -> bool {
        self.vlm.is_some() || self.gallery.is_some()
    }
}

fn load(table: &SystemTable, file: &RunFile, last: &Last) -> Result<Box<dyn Draw>, Box<dyn Error>> {
    let (generator, conditioner) = last.of(&table.model, file)?;
    if !table.is_pipeline() {
        return Ok(Box::new(generator));
    }
    let mut builder = RagPipeline::builder().generator(generator).config(table.config.clone());
    if let Some(conditioner) = conditioner {
        builder = builder.conditioner(conditioner);
    }
    let vlm = match &table.vlm {
        Some(name) => Some(Arc::new(file.vlms[name].build()?)),
        None => None,
    };
    if let Some(name) = &table.gallery {
        let (embedder, found) = retriever(name, file)?;
        let found = match &table.fused_with {
            Some(other) => Arc::new(Fuse::by_rank([found, retriever(other, file)?.1], EACH)?),
            None => found,
        };
        let found: Arc<dyn Retriever> = match (table.rerank, &vlm) {
            (None, _) => found,
            (Some(RerankKind::Vlm), Some(vlm)) => {
                Arc::new(Rerank::new(found, VlmReranker::new(Arc::clone(vlm)), table.candidates)?)
            }
            (Some(RerankKind::Bm25), Some(vlm)) => {
                let writer = CaptionWriter::new(Arc::clone(vlm));
                Arc::new(Rerank::new(found, Bm25::new().with_writer(writer), table.candidates)?)
            }
            (Some(_), None) => {
                return Err(format!("system {}: rerank needs a vlm", table.name).into());
            }
        };
        builder = builder.retriever(found);
        if table.config.margin.is_some() {
            builder = builder.margin_embedder(embedder);
        }
    }
    if let Some(vlm) = vlm {
        builder = builder.vlm(Arc::clone(&vlm));
        if table.verify {
            builder = builder.verifier(vlm);
        }
    }
    Ok(Box::new(builder.build()?))
}

/// An embedder, and what finds pictures by it.
type ByEmbedding = (Arc<dyn Embedder>, Arc<dyn Retriever>);

/// An embedder, and what finds pictures of the gallery `name` by it.
fn retriever(name: &str, file: &RunFile) -> Result<ByEmbedding, Box<dyn Error>> {
    let gallery = &file.galleries[name];
    let embedder = file.embedders[&gallery.embedder].load(file)?;
    let opened = Gallery::open(file.path(&gallery.folder))?;
    let found = block_on(GalleryRetriever::new(Arc::clone(&embedder), opened))?;
    Ok((embedder, Arc::new(found)))
}

impl Last {
    fn of(&self, name: &str, file: &RunFile) -> Result<Drawing, Box<dyn Error>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, drawing)) = &*last
            && known == name
        {
            return Ok(drawing.clone());
        }
        *last = None; // Before another is loaded.
        let drawing = match file.services.get(name) {
            Some(service) => service.build()?,
            None => local::generator(&file.models[name], file)
                .map_err(|error| format!("models.{name}: {}", imagerag::Chain::new(&*error)))?,
        };
        *last = Some((name.to_owned(), drawing.clone()));
        Ok(drawing)
    }
}
