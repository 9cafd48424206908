//! Results with pictures and traces on disk, as an experiment leaves them.

use std::fs;
use std::path::Path;

use futures::executor::block_on;
use imagerag::conditioner::InPrompt;
use imagerag::evaluation::experiment::Results;
use imagerag::pipeline::RagPipeline;
use imagerag::reference::{Metadata, Provenance, Source};
use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm};
use imagerag::{Image, RagRequest};
use serde_json::{Value, json};

/// What breaks out of a page, a table or a name, if anything does.
pub(crate) const HOSTILE: &str =
    "</script><img src=x onerror=\"document.title='broken'\">\u{202e}'\"&|`$#_%{}\\";

/// Results of two systems and a third that has not begun, on so many classes of two data sets.
pub(crate) struct World {
    pub(crate) classes: usize,
    pub(crate) seeds: Vec<u64>,
    /// What prompts and names end in.
    pub(crate) suffix: &'static str,
}

impl World {
    pub(crate) fn new(classes: usize) -> Self {
        Self { classes, seeds: vec![7], suffix: "" }
    }

    /// Writes the pictures and traces to `folder`.
    pub(crate) fn write(&self, folder: &Path) -> Results {
        for name in ["pictures", "traces"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let Self { classes, seeds, suffix } = self;
        let base = format!("OmniGen{suffix}");
        let metric = |key: &str, name: &str, decimals: usize| {
            let fingerprint = json!({ "formula": format!("{name} of image and prompt{suffix}"),
                "model": "ViT-B-32", "weights": "", "preprocessing": "", "settings": "", "version": 1 });
            json!({ "key": key, "name": name, "fingerprint": fingerprint, "higher_is_better": true,
                "decimals": decimals })
        };
        let names: serde_json::Map<_, _> =
            (0..*classes).map(|n| (format!("{n:03}"), name(n).into())).collect();
        let set = |name: &str| {
            json!({ "name": name, "classes": names, "items": classes, "seeds": seeds,
                "license": "non-commercial research", "notes": ["2 files are no pictures"] })
        };
        let mut results = json!({
            "folder": folder,
            "systems": [
                { "name": base, "settings": "a1", "base": null, "description": "OmniGen, 50 steps" },
                { "name": "IR-O", "settings": "b2", "base": base, "description": "OmniGen with references\nCLIP" },
                { "name": "PixArt-Σ", "settings": "c3", "base": null, "description": "" },
            ],
            "datasets": [set("CUB"), set("ImageNet")],
            "metrics": [metric("clip", "CLIP", 3), metric("gpt", "GPTScore", 2)],
            "pictures": [],
            "scores": [],
        });
        for dataset in ["CUB", "ImageNet"] {
            for n in 0..*classes {
                for seed in seeds {
                    self.item(folder, &mut results, dataset, n, *seed);
                }
            }
        }
        serde_json::from_value(results).unwrap()
    }

    fn item(&self, folder: &Path, results: &mut Value, dataset: &str, n: usize, seed: u64) {
        let prompt = format!("A photo of a {}{}", name(n), self.suffix);
        let base = format!("OmniGen{}", self.suffix);
        let shade = n as u64 * 31 + seed + dataset.len() as u64 * 5;
        let draft = picture(folder, shade);
        let record = |system: &str, settings: &str, ended: Value| {
            json!({ "system": system, "settings": settings, "dataset": dataset, "item": format!("{n:03}"),
                "seed": seed, "prompt": prompt, "class": format!("{n:03}"), "category": null,
                "ended": ended, "elapsed": 1.5, "usage": { "gpt-4o": { "prompt_tokens": 900 } } })
        };
        let failed = |refused: bool| {
            json!({ "failed": { "error": format!("the generator says no{}", self.suffix),
                "refused": refused, "trace": null } })
        };
        let drawn = json!({ "drawn": { "picture": draft, "draft": null, "references": [],
            "stop": null, "trace": null } });
        push(results, "pictures", record(&base, "a1", drawn));
        self.score(results, dataset, n, &draft, 0.25);
        if n % 7 == 5 {
            push(results, "pictures", record("IR-O", "b2", failed(n.is_multiple_of(2))));
            return;
        }
        let (trace, provenance) = self.trace(folder, &prompt, shade);
        let matched = n % 7 == 3;
        let (result, references, stop) = match matched {
            true => (draft.clone(), json!([]), json!({ "matched": { "round": 0 } })),
            false => {
                let reference = json!({ "picture": picture(folder, shade + 1_000),
                    "caption": format!("a {} on a branch{}", name(n), self.suffix),
                    "provenance": provenance });
                (picture(folder, shade + 500), json!([reference]), json!("round_limit"))
            }
        };
        let drawn = json!({ "drawn": { "picture": result, "draft": draft, "references": references,
            "stop": stop, "trace": trace } });
        push(results, "pictures", record("IR-O", "b2", drawn));
        if !matched {
            self.score(results, dataset, n, &result, 0.27);
        }
    }

    /// Scores by both metrics. The judge refuses each ninth picture, and the second metric forgets some.
    fn score(&self, results: &mut Value, dataset: &str, n: usize, picture: &Value, about: f64) {
        let value = about + (n % 5) as f64 * 0.01;
        let score = |metric: &str, outcome: Value, exchanges: Value| {
            json!({ "picture": picture["hash"], "metric": metric, "dataset": dataset,
                "item": format!("{n:03}"), "subject": "s", "outcome": outcome, "exchanges": exchanges })
        };
        push(results, "scores", score("clip", json!({ "value": value }), json!([])));
        let asked = json!([{ "purpose": "score", "model": "gpt-4o-2024-08-06", "temperature": 0.0,
            "messages": [{ "role": "user", "text": "How well does the image follow the prompt? Answer with a number from 0 to 4, and say why.", "images": 1 }],
            "reply": format!("Score: 3. The beak is too long.{}", self.suffix), "problem": null, "usage": null,
            "elapsed": 0.8 }]);
        let outcome = match n % 9 {
            8 => json!({ "refused": format!("content policy{}", self.suffix) }),
            _ => json!({ "value": 0.25 * (n % 5) as f64 }),
        };
        push(results, "scores", score("gpt", outcome, asked));
    }

    /// The trace of a run of the real loop with fakes, and the provenance of its reference.
    fn trace(&self, folder: &Path, prompt: &str, shade: u64) -> (String, Value) {
        let address = format!("https://example.org/birds/{shade}.jpg");
        let source = if self.suffix.is_empty() {
            address
        } else {
            format!("javascript:alert({shade})//{}", self.suffix)
        };
        let license = (!shade.is_multiple_of(3)).then(|| format!("CC-BY-4.0{}", self.suffix));
        let metadata = Metadata {
            license,
            author: Some(format!("A. Painter{}", self.suffix)),
            ..Metadata::default()
        };
        let provenance = Provenance::new(Source::Uri(source.clone()), "gallery", 0.31, 0)
            .with_metadata(metadata);
        let pipeline = RagPipeline::builder()
            .generator(FakeGenerator::new())
            .vlm(FakeVlm::new(["no", "a quetzal", "a quetzal on a branch"]))
            .retriever(FakeRetriever::new([
                (&*source, gradient(64, shade)),
                ("a branch", gradient(64, 1)),
            ]))
            .conditioner(InPrompt::new(3).unwrap())
            .build()
            .unwrap();
        let outcome = block_on(pipeline.run(RagRequest::new(prompt))).unwrap();
        let file = format!("traces/{shade}.json");
        fs::write(folder.join(&file), outcome.trace.to_json()).unwrap();
        (file, serde_json::to_value(provenance).unwrap())
    }
}

fn push(results: &mut Value, list: &str, record: Value) {
    results[list].as_array_mut().unwrap().push(record);
}

fn name(n: usize) -> String {
    let kinds = ["quetzal", "hoatzin", "shoebill", "kakapo", "tench", "axolotl", "okapi"];
    format!("{} {}", kinds[n % kinds.len()], n / kinds.len() + 1)
}

/// A picture file, as a stored picture.
fn picture(folder: &Path, shade: u64) -> Value {
    let file = format!("pictures/{shade}.png");
    gradient(256, shade).save(folder.join(&file)).unwrap();
    json!({ "file": file, "hash": format!("{shade:064x}"), "width": 256, "height": 256 })
}

/// A disc before a gradient, in colours of its own.
pub(crate) fn gradient(side: u32, shade: u64) -> Image {
    let color =
        |channel: u64| (shade.wrapping_mul(2_654_435_761 + channel * 40_503) >> 9 & 0xff) as u32;
    let mut pixels = Vec::new();
    for y in 0..side {
        for x in 0..side {
            let (dx, dy) = (x.abs_diff(side / 2), y.abs_diff(side / 2));
            let inside = dx * dx + dy * dy < side * side / 9;
            for channel in 0..3 {
                let far = if inside { 255 - color(channel) } else { color(channel) };
                pixels.push(((far * 2 + 255 * (x + y) / (2 * side)) / 3) as u8);
            }
        }
    }
    Image::new(side, side, pixels).unwrap()
}
