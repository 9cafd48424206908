//! Requests, events and results to JSON, in which images are their sizes: all but the pixels.

use serde::{Serialize, Serializer};

use super::{Event, RagConfig, RagError, RagOutcome, RagRequest, RagTrace, Stage, StageTrace};
use super::{Hit, StopReason};
use crate::image::Image;

#[derive(Serialize)]
struct Size {
    width: u32,
    height: u32,
}

impl From<&Image> for Size {
    fn from(image: &Image) -> Self {
        Self { width: image.width(), height: image.height() }
    }
}

/// The request as a JSON object; the caller's images are their captions, and a draft is its size.
impl Serialize for RagRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Json<'a> {
            prompt: &'a str,
            negative_prompt: &'a Option<String>,
            references: Vec<&'a str>,
            draft: Option<Size>,
            seed: u64,
            width: Option<u32>,
            height: Option<u32>,
            steps: Option<usize>,
            guidance_scale: Option<f64>,
            preview_every: usize,
            config: &'a Option<RagConfig>,
        }
        let Self { prompt, negative_prompt, references, seed, width, height, .. } = self;
        let json = Json {
            prompt,
            negative_prompt,
            references: references.iter().map(|(_, caption)| caption.as_str()).collect(),
            draft: self.draft.as_ref().map(Into::into),
            seed: *seed,
            width: *width,
            height: *height,
            steps: self.steps,
            guidance_scale: self.guidance_scale,
            preview_every: self.preview_every,
            config: &self.config,
        };
        json.serialize(serializer)
    }
}

/// The result as a JSON object; images are their sizes.
impl Serialize for RagOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Json<'a> {
            image: Size,
            draft: Option<Size>,
            references: Vec<Hit>,
            stop: StopReason,
            trace: &'a RagTrace,
        }
        let Self { image, draft, references, stop, trace } = self;
        let json = Json {
            image: image.into(),
            draft: draft.as_ref().map(Into::into),
            references: references.iter().map(|reference| Hit::new(reference, None)).collect(),
            stop: *stop,
            trace,
        };
        json.serialize(serializer)
    }
}

/// The failure as a JSON object: the stage, the chain of causes, the trace, and the size of the best
/// image.
impl Serialize for RagError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Json<'a> {
            stage: Stage,
            error: String,
            trace: &'a RagTrace,
            best: Option<Size>,
        }
        let Self { stage, source, trace, best } = self;
        let (error, best) = (source.chain().to_string(), best.as_ref().map(Into::into));
        Json { stage: *stage, error, trace, best }.serialize(serializer)
    }
}

/// The event as a JSON object, such as `{"event": "step", "stage": "draft", …}`; images are their
/// sizes.
impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(tag = "event", rename_all = "snake_case")]
        enum Json<'a> {
            StageBegan {
                stage: Stage,
                round: usize,
            },
            StageEnded(&'a StageTrace),
            Step {
                stage: Stage,
                round: usize,
                index: usize,
                total: usize,
                preview: Option<Size>,
                #[serde(skip_serializing_if = "Option::is_none")]
                note: Option<&'a str>,
            },
            Image {
                round: usize,
                image: Size,
            },
            Done {
                outcome: Option<&'a RagOutcome>,
                error: Option<&'a RagError>,
            },
        }
        let json = match self {
            Self::StageBegan { stage, round } => Json::StageBegan { stage: *stage, round: *round },
            Self::StageEnded(trace) => Json::StageEnded(trace),
            Self::Step { stage, round, step } => Json::Step {
                stage: *stage,
                round: *round,
                index: step.index,
                total: step.total,
                preview: step.preview.as_ref().map(Into::into),
                note: step.note.as_deref(),
            },
            Self::Image { round, image } => Json::Image { round: *round, image: image.into() },
            Self::Done(result) => Json::Done {
                outcome: result.as_ref().as_ref().ok(),
                error: result.as_ref().as_ref().err(),
            },
        };
        json.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::generator::Step;
    use crate::testing::solid;

    fn value(of: &impl Serialize) -> Value {
        serde_json::to_value(of).unwrap()
    }

    #[test]
    fn json_has_all_but_the_pixels() {
        let image = solid(4, 2, [1; 3]);
        let request = RagRequest::new("a cat").with_reference(image.clone(), "my cat");
        assert_eq!(value(&request)["references"], json!(["my cat"]));
        assert_eq!(value(&request)["draft"], Value::Null);
        let request = request.with_draft(image.clone());
        assert_eq!(value(&request)["draft"], json!({ "width": 4, "height": 2 }));
        let mut step = Step::new(1, 4);
        step.preview = Some(image.clone());
        let step = Event::Step { stage: Stage::Draft, round: 0, step };
        let expected = json!({ "event": "step", "stage": "draft", "round": 0, "index": 1,
            "total": 4, "preview": { "width": 4, "height": 2 } });
        assert_eq!(value(&step), expected);
        let mut noted = Step::new(1, 4);
        noted.note = Some("revised".into());
        let noted = Event::Step { stage: Stage::Draft, round: 0, step: noted };
        assert_eq!(value(&noted)["note"], "revised");
        let error = RagError {
            stage: Stage::Critique,
            source: crate::Error::backend("a", "b").into(),
            trace: Box::default(),
            best: Some(image),
        };
        let done = value(&Event::Done(Box::new(Err(error))));
        assert_eq!((&done["event"], &done["outcome"]), (&json!("done"), &Value::Null));
        assert_eq!(done["error"]["error"], "a failed: b");
        assert_eq!(done["error"]["best"], json!({ "width": 4, "height": 2 }));
    }

    #[test]
    fn durations_are_seconds_there_and_back() {
        let elapsed = std::time::Duration::from_nanos(1_234_567_891);
        let trace = RagTrace { elapsed, ..RagTrace::default() };
        let text = trace.to_json();
        assert!(text.contains("\"elapsed\": 1.234567891"), "{text}");
        assert_eq!(serde_json::from_str::<RagTrace>(&text).unwrap(), trace);
    }
}
