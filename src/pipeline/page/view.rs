//! A trace to what its page shows: every enum in words, every picture by a key.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::Price;
use crate::critic::Verdict;
use crate::pipeline::{Hit, RagTrace, Record, Refusal, StageTrace, TracedImage};
use crate::reference::{Caption, Provenance, Source};
use crate::vlm::{Exchange, ExchangeMessage};

/// A trace as its page shows it.
#[derive(Debug, Serialize)]
pub(crate) struct TraceView {
    prompt: String,
    seed: u64,
    /// How it ended, in words.
    end: String,
    failed: bool,
    elapsed: f64,
    parts: Vec<(&'static str, String)>,
    settings: Vec<(String, String)>,
    pub(super) stages: Vec<StageView>,
    usage: Vec<UsageView>,
    total: String,
}

#[derive(Debug, Serialize)]
pub(super) struct StageView {
    stage: String,
    pub(super) round: usize,
    elapsed: f64,
    failed: bool,
    verdict: Option<&'static str>,
    text: Option<String>,
    reason: Option<String>,
    captions: Vec<Caption>,
    edits: Vec<String>,
    /// The key of the image that the stage drew.
    pub(super) picture: Option<String>,
    image: Option<ImageView>,
    hits: Vec<HitView>,
    exchanges: Vec<ExchangeView>,
    /// Whether the stage gave an image.
    #[serde(skip)]
    pub(super) draws: bool,
}

#[derive(Debug, Serialize)]
struct ImageView {
    prompt: String,
    negative_prompt: Option<String>,
    seed: u64,
    size: String,
    conditioning: String,
    steps: Option<usize>,
    guidance_scale: Option<f64>,
    note: Option<String>,
    usage: Option<String>,
    warnings: Vec<String>,
}

/// A reference, and whether it was used.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HitView {
    pub(crate) caption: String,
    pub(crate) source: String,
    pub(crate) license: Option<String>,
    pub(crate) author: Option<String>,
    pub(crate) origin: Option<String>,
    pub(crate) score: Option<f32>,
    rank: usize,
    retriever: String,
    found_by: Vec<FindingView>,
    note: Option<String>,
    refused: Option<String>,
    /// Whether it merely came after those that are used.
    surplus: bool,
    /// The key of its picture.
    pub(crate) picture: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct FindingView {
    retriever: String,
    score: Option<f32>,
    rank: usize,
}

/// A question to a model and its answer.
#[derive(Debug, Serialize)]
pub(crate) struct ExchangeView {
    purpose: String,
    model: String,
    messages: Vec<ExchangeMessage>,
    temperature: f64,
    reply: Option<String>,
    problem: Option<String>,
    usage: Option<String>,
    elapsed: f64,
}

#[derive(Debug, Serialize)]
struct UsageView {
    part: String,
    used: String,
    cost: Option<f64>,
}

impl TraceView {
    /// `picture` gives the key of the picture of a source, and `price` what a part costs.
    pub(crate) fn new(
        trace: &RagTrace,
        picture: &dyn Fn(&Source) -> Option<String>,
        price: Option<&dyn Fn(&str) -> Price>,
    ) -> Self {
        let failed = trace.stop.is_none() && trace.error.is_some();
        let end = match (&trace.stop, &trace.error) {
            (Some(stop), _) => format!("It stopped because {stop}."),
            (None, Some(error)) => error.clone(),
            (None, None) => "It has not ended.".to_owned(),
        };
        let usage = trace.usage_by_part().into_iter().map(|(part, usage)| UsageView {
            part: part.to_owned(),
            used: usage.to_string(),
            cost: price.map(|price| usage.cost(&price(part))),
        });
        let usage: Vec<_> = usage.collect();
        let cost = price.map_or(String::new(), |price| format!(", cost {:.4}", trace.cost(price)));
        Self {
            prompt: trace.prompt.clone(),
            seed: trace.seed,
            end,
            failed,
            elapsed: trace.elapsed.as_secs_f64(),
            parts: parts(trace),
            settings: settings(trace),
            stages: trace.stages.iter().map(|stage| StageView::new(stage, picture)).collect(),
            total: format!("In all: {}{cost}.", trace.usage()),
            usage,
        }
    }

    /// Gives stages the pictures that they are known to have drawn: the draft, and the result where only
    /// one other image was drawn.
    pub(crate) fn place(&mut self, draft: Option<String>, result: Option<String>) {
        let (mut drafts, mut later) = (Vec::new(), Vec::new());
        for stage in self.stages.iter_mut().filter(|stage| stage.draws) {
            if stage.round == 0 { drafts.push(stage) } else { later.push(stage) }
        }
        let result = result.filter(|result| draft.as_ref() != Some(result));
        // Without a draft the result may be of round 0.
        let only = if later.is_empty() && draft.is_none() { &mut drafts } else { &mut later };
        if let [stage] = &mut only[..] {
            stage.picture = result;
        }
        if let (Some(stage), Some(draft)) = (drafts.first_mut(), draft) {
            stage.picture = Some(draft);
        }
    }
}

fn parts(trace: &RagTrace) -> Vec<(&'static str, String)> {
    let parts = &trace.parts;
    let others = [
        ("critic", &parts.critic),
        ("retriever", &parts.retriever),
        ("conditioner", &parts.conditioner),
        ("editor", &parts.editor),
        ("verifier", &parts.verifier),
        ("margin embedder", &parts.margin_embedder),
    ];
    let others = others.into_iter().filter_map(|(name, part)| Some((name, part.clone()?)));
    [("generator", parts.generator.clone())].into_iter().chain(others).collect()
}

/// The settings by their names in JSON; those that are not set are left out.
fn settings(trace: &RagTrace) -> Vec<(String, String)> {
    // By way of text, in which 32 bits have the digits that were given.
    let text = serde_json::to_string(&trace.config).unwrap_or_default();
    let fields: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
    let words = |(name, value): (String, Value)| {
        let text = match value {
            Value::Null => return None,
            Value::String(text) => text,
            other => other.to_string(),
        };
        Some((name.replace('_', " "), text))
    };
    fields.into_iter().filter_map(words).collect()
}

impl StageView {
    fn new(stage: &StageTrace, picture: &dyn Fn(&Source) -> Option<String>) -> Self {
        let mut view = Self {
            stage: stage.stage.to_string(),
            round: stage.round,
            elapsed: stage.elapsed.as_secs_f64(),
            failed: stage.record.is_none(),
            verdict: None,
            text: None,
            reason: None,
            captions: Vec::new(),
            edits: Vec::new(),
            picture: None,
            image: None,
            hits: Vec::new(),
            exchanges: stage.exchanges.iter().map(Into::into).collect(),
            draws: matches!(stage.record, Some(Record::Image(_) | Record::OwnDraft { .. })),
        };
        let hits = |hits: &[Hit]| -> Vec<_> {
            let hit = |hit: &Hit| HitView::new(hit, picture(&hit.provenance.source));
            hits.iter().map(hit).collect()
        };
        match &stage.record {
            None => {}
            Some(Record::Image(image)) => view.image = Some(image.into()),
            Some(Record::Critique(critique)) => {
                view.verdict = Some(match critique.verdict {
                    Verdict::Match => "match",
                    Verdict::Missing(_) => "missing",
                    Verdict::Undetermined => "undetermined",
                });
                view.text = Some(critique.verdict.to_string());
                view.reason.clone_from(&critique.reason);
            }
            Some(Record::Captions { captions, fallback }) => {
                view.captions.clone_from(captions);
                let by_prompt =
                    "The critic could not say what is missing: the prompt is looked for.";
                view.text = fallback.then(|| by_prompt.to_owned());
            }
            Some(Record::Hits(found)) => view.hits = hits(found),
            Some(Record::Conditioned { prompt, references }) => {
                view.text = Some(prompt.clone());
                view.hits = hits(references);
            }
            Some(Record::Plan { edits: Some(edits) }) if !edits.is_empty() => {
                view.edits.clone_from(edits);
            }
            Some(Record::Plan { edits: Some(_) }) => {
                view.text = Some("There is nothing to edit.".to_owned());
            }
            Some(
                other @ (Record::OwnDraft { .. } | Record::Rephrased(_) | Record::Plan { .. }),
            ) => {
                view.text = Some(other.to_string());
            }
        }
        view
    }
}

impl From<&TracedImage> for ImageView {
    fn from(image: &TracedImage) -> Self {
        Self {
            prompt: image.prompt.clone(),
            negative_prompt: image.negative_prompt.clone(),
            seed: image.seed,
            size: format!("{} × {} pixels", image.width, image.height),
            conditioning: image.conditioning.clone(),
            steps: image.steps,
            guidance_scale: image.guidance_scale,
            note: image.note.clone(),
            usage: image.usage.map(|usage| usage.to_string()),
            warnings: image.warnings.clone(),
        }
    }
}

impl HitView {
    fn new(hit: &Hit, picture: Option<String>) -> Self {
        let surplus = matches!(hit.refused, Some(Refusal::Surplus | Refusal::NoRoom));
        let refused = hit.refused.as_ref().map(ToString::to_string);
        let view = Self::of(&hit.caption.text, &hit.provenance, picture);
        Self { surplus, refused, ..view }
    }

    /// A reference that is used.
    pub(crate) fn of(caption: &str, provenance: &Provenance, picture: Option<String>) -> Self {
        let metadata = &provenance.metadata;
        let found_by = provenance.found_by.iter().map(|finding| FindingView {
            retriever: finding.retriever.clone(),
            score: Some(finding.score).filter(|score| score.is_finite()),
            rank: finding.rank,
        });
        Self {
            caption: caption.to_owned(),
            source: provenance.source.to_string(),
            license: metadata.license.clone(),
            author: metadata.author.clone(),
            origin: metadata.origin.clone(),
            score: Some(provenance.score).filter(|score| score.is_finite()),
            rank: provenance.rank,
            retriever: provenance.retriever.clone(),
            found_by: found_by.collect(),
            note: provenance.note.clone(),
            refused: None,
            surplus: false,
            picture,
        }
    }
}

impl From<&Exchange> for ExchangeView {
    fn from(exchange: &Exchange) -> Self {
        Self {
            purpose: exchange.purpose.clone(),
            model: exchange.model.clone(),
            messages: exchange.messages.clone(),
            temperature: exchange.temperature,
            reply: exchange.reply.clone(),
            problem: exchange.problem.clone(),
            usage: exchange.usage.map(|usage| usage.to_string()),
            elapsed: exchange.elapsed.as_secs_f64(),
        }
    }
}
