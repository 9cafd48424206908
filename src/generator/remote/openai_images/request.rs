//! A request for an image to the body that a profile's servers take: JSON, or a form with the
//! references.

use std::collections::BTreeSet;

use reqwest::RequestBuilder;
use reqwest::header::CONTENT_TYPE;
use reqwest::multipart::{Form, Part};
use serde_json::{Map, Value};

use super::profile::{ImagesProfile, bare};
use super::sd_server::prompt_with_arguments;
use super::size::Sizes;
use crate::conditioner::Conditioning;
use crate::error::require;
use crate::generator::GenerateRequest;
use crate::generator::remote::asked::{self, MAX_SEED, not_sent};
use crate::generator::remote::merge;
use crate::generator::remote::reference::png_within;
use crate::{Error, Result};

/// Where images are drawn from words alone, under the base URL.
pub(super) const GENERATIONS: &str = "images/generations";
/// Where they are drawn from references too.
pub(super) const EDITS: &str = "images/edits";
/// The fields without which there is no image to draw.
const ESSENTIAL: [&str; 2] = ["prompt", "model"];
/// The fields that nobody asked for.
const OURS: [&str; 4] = ["response_format", "output_format", "stream", "partial_images"];

/// What every request to a model has.
#[derive(Debug)]
pub(super) struct Defaults {
    pub(super) model: String,
    pub(super) profile: ImagesProfile,
    pub(super) max_references: usize,
    pub(super) max_reference_pixels: u64,
    /// How many partial images are asked for where previews are wanted.
    pub(super) partial_images: u8,
    /// Whether the guidance is sent as `true_cfg_scale`.
    pub(super) true_cfg_scale: bool,
    /// Sent with edits, where the model takes it.
    pub(super) input_fidelity: Option<String>,
    /// The builder's fields that a service may refuse to know.
    pub(super) settings: Map<String, Value>,
    /// Further fields of the body, as they are.
    pub(super) fields: Map<String, Value>,
}

/// What is sent for one image.
pub(super) struct Prepared {
    pub(super) endpoint: &'static str,
    body: Map<String, Value>,
    /// PNG files.
    references: Vec<Vec<u8>>,
    /// The size that was asked for, and what the model draws where it is not that.
    pub(super) size: Option<((u32, u32), Option<String>)>,
    /// What is worth telling of how the request was put.
    pub(super) notes: Vec<String>,
    /// The fields that were left out because the service refuses them.
    left_out: BTreeSet<String>,
}

impl Defaults {
    /// Refuses what no service could draw, before anything is sent.
    pub(super) fn check(&self, request: &GenerateRequest) -> Result<()> {
        let found = match &request.conditioning {
            Conditioning::Images(images) => images.len(),
            _ => 0,
        };
        let expected = format!("at most {}", self.max_references);
        require(found <= self.max_references, "references", expected, found)
    }

    /// What is sent for `request`. Encodes the references, so it may take a while.
    pub(super) fn prepare(&self, request: &GenerateRequest) -> Result<Prepared> {
        let (mut references, mut notes) = (Vec::new(), Vec::new());
        if let Conditioning::Images(images) = &request.conditioning {
            for (n, image) in (1..).zip(images) {
                let (png, note) = png_within(image, self.max_reference_pixels)?;
                references.push(png);
                notes.extend(note.map(|note| format!("image {n}: {note}")));
            }
        }
        let endpoint = if references.is_empty() { GENERATIONS } else { EDITS };
        let mut body = Map::new();
        body.insert("model".into(), self.model.as_str().into());
        body.insert("prompt".into(), request.prompt.as_str().into());
        let mut size = asked::size(request.width, request.height).map(|asked| (asked, None));
        match self.profile {
            ImagesProfile::OpenAi => {
                self.hosted(request, endpoint, &mut size, &mut body, &mut notes);
            }
            ImagesProfile::SelfHosted => self.self_hosted(request, &mut body, &mut notes),
            ImagesProfile::SdServer => {
                body.insert("output_format".into(), "png".into());
                let mut arguments = native(request, &mut notes);
                merge(&mut arguments, &self.fields);
                let prompt = prompt_with_arguments(&request.prompt, &arguments, &mut notes);
                body.insert("prompt".into(), prompt.into());
            }
        }
        if let Some(((width, height), _)) = size
            && !body.contains_key("size")
        {
            body.insert("size".into(), format!("{width}x{height}").into());
        }
        body.extend(self.settings.clone());
        if self.profile != ImagesProfile::SdServer {
            body.extend(self.fields.clone());
        }
        Ok(Prepared { endpoint, body, references, size, notes, left_out: BTreeSet::new() })
    }

    /// The fields of OpenAI's own models.
    fn hosted(
        &self,
        request: &GenerateRequest,
        endpoint: &str,
        size: &mut Option<((u32, u32), Option<String>)>,
        body: &mut Map<String, Value>,
        notes: &mut Vec<String>,
    ) {
        let name = bare(&self.model);
        let is_dall_e = name.starts_with("dall-e");
        if is_dall_e {
            body.insert("response_format".into(), "b64_json".into());
        }
        match size {
            None if is_dall_e => {}
            None => drop(body.insert("size".into(), "auto".into())),
            Some((asked, rule)) => {
                let sizes = Sizes::of(&self.model);
                let (width, height) = sizes.nearest(*asked);
                if (width, height) != *asked {
                    *rule = Some(sizes.rule());
                }
                body.insert("size".into(), format!("{width}x{height}").into());
            }
        }
        if self.partial_images > 0 && request.progress.wants_previews() && !is_dall_e {
            body.insert("stream".into(), true.into());
            body.insert("partial_images".into(), self.partial_images.into());
        }
        // Others than these refuse it: they always look closely.
        let takes_fidelity = name.starts_with("gpt-image-1") && !name.contains("mini");
        if let Some(fidelity) = &self.input_fidelity
            && endpoint == EDITS
            && takes_fidelity
        {
            body.insert("input_fidelity".into(), fidelity.as_str().into());
        }
        notes.extend(not_sent(&[
            ("the negative prompt", request.negative_prompt.is_some()),
            ("steps", request.steps.is_some()),
            ("guidance", request.guidance_scale.is_some()),
        ]));
    }

    /// The fields that servers of open models add.
    fn self_hosted(
        &self,
        request: &GenerateRequest,
        body: &mut Map<String, Value>,
        notes: &mut Vec<String>,
    ) {
        body.insert("response_format".into(), "b64_json".into());
        body.insert("output_format".into(), "png".into());
        body.insert("seed".into(), seed(request, notes).into());
        if let Some(prompt) = &request.negative_prompt {
            body.insert("negative_prompt".into(), prompt.as_str().into());
        }
        if let Some(steps) = request.steps {
            body.insert("num_inference_steps".into(), steps.into());
        }
        if let Some(scale) = request.guidance_scale {
            let name = if self.true_cfg_scale { "true_cfg_scale" } else { "guidance_scale" };
            body.insert(name.into(), scale.into());
        }
    }

    /// Whether the caller set the field `name` with its value, which stays as it is.
    fn is_callers(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }
}

/// The arguments of stable-diffusion.cpp's own interface.
fn native(request: &GenerateRequest, notes: &mut Vec<String>) -> Value {
    let (mut arguments, mut sampling) = (Map::new(), Map::new());
    arguments.insert("seed".into(), seed(request, notes).into());
    if let Some(prompt) = &request.negative_prompt {
        arguments.insert("negative_prompt".into(), prompt.as_str().into());
    }
    if let Some(steps) = request.steps {
        sampling.insert("sample_steps".into(), steps.into());
    }
    if let Some(scale) = request.guidance_scale {
        sampling.insert("guidance".into(), serde_json::json!({ "txt_cfg": scale }));
    }
    if !sampling.is_empty() {
        arguments.insert("sample_params".into(), sampling.into());
    }
    arguments.into()
}

/// The seed as servers take it.
fn seed(request: &GenerateRequest, notes: &mut Vec<String>) -> u64 {
    let sent = request.seed & MAX_SEED;
    if sent != request.seed {
        notes.push(format!("seed {} is sent as {sent}: servers take 63 bits", request.seed));
    }
    sent
}

impl Prepared {
    /// Whether `text` is the prompt that is sent, but for white space.
    pub(super) fn is_prompt(&self, text: &str) -> bool {
        let sent = self.body.get("prompt").and_then(Value::as_str).unwrap_or_default();
        sent.split_whitespace().eq(text.split_whitespace())
    }

    /// Whether partial images were asked for.
    pub(super) fn is_stream(&self) -> bool {
        self.body.get("stream") == Some(&Value::Bool(true))
    }

    /// The fields of the body that `error` refuses to know. Those that nobody asked for are also
    /// refused where it is their value that the service does not take.
    pub(super) fn refused(&self, defaults: &Defaults, error: &Error) -> BTreeSet<String> {
        use crate::net::complaint::Complaint;
        let Some(complaint) = Complaint::of(error) else { return BTreeSet::new() };
        let sent = Value::Object(self.body.clone());
        let is_refused = |name: &&String| {
            let is_ours = OURS.contains(&name.as_str());
            !ESSENTIAL.contains(&name.as_str())
                && !defaults.is_callers(name)
                && (complaint.is_unknown(name, &sent)
                    || is_ours && complaint.is_refusal && complaint.names(name))
        };
        self.body.keys().filter(is_refused).cloned().collect()
    }

    /// Leaves out these fields.
    pub(super) fn leave_out<'a>(&mut self, names: impl IntoIterator<Item = &'a String>) {
        for name in names {
            if self.body.remove(name).is_some() {
                self.left_out.insert(name.clone());
            }
        }
        // Without the one the other means nothing, and OpenAI refuses it.
        if self.left_out.contains("stream") {
            self.body.remove("partial_images");
        }
    }

    /// The fields that were left out.
    pub(super) const fn left_out(&self) -> &BTreeSet<String> {
        &self.left_out
    }

    /// What to tell of the fields that were left out, if the caller can know of them.
    pub(super) fn left_out_note(&self) -> Option<String> {
        let told = self.left_out.iter().map(String::as_str).filter(|name| !OURS.contains(name));
        let told: Vec<_> = told.collect();
        let repeats =
            if told.contains(&"seed") { ", so that the image does not repeat" } else { "" };
        (!told.is_empty())
            .then(|| format!("left out, as the service refuses it: {}{repeats}", told.join(", ")))
    }

    /// Puts everything into `request`.
    pub(super) fn put_into(&self, request: RequestBuilder) -> Result<RequestBuilder> {
        if self.references.is_empty() {
            let json = Value::Object(self.body.clone()).to_string();
            return Ok(request.header(CONTENT_TYPE, "application/json").body(json));
        }
        let mut form = Form::new();
        for (name, value) in &self.body {
            form = match value {
                Value::Null => form,
                Value::String(text) => form.text(name.clone(), text.clone()),
                value => form.text(name.clone(), value.to_string()),
            };
        }
        // The order is what prompts mean by "image 1".
        for (n, png) in (1..).zip(&self.references) {
            let part = Part::bytes(png.clone()).file_name(format!("image_{n}.png"));
            let part = part.mime_str("image/png").map_err(|e| Error::backend("a form", e))?;
            form = form.part("image[]", part);
        }
        Ok(request.multipart(form))
    }
}
