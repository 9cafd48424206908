//! A request to the JSON of a job, and to what is noted of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::capabilities::Capabilities;
use crate::conditioner::Conditioning;
use crate::error::require;
use crate::generator::GenerateRequest;
use crate::generator::remote::asked::MAX_SEED;
use crate::generator::remote::merge;
use crate::generator::remote::reference::png_within;
use crate::image::Image;
use crate::named::{either, named};
use crate::{Error, Result};

/// How an [`SdServer`](super::SdServer) gives references to its model.
///
/// The server leaves out what its model does not read, and does not say which model it has: choose,
/// where you know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum References {
    /// In every way that the version of the server knows: the first reference as
    /// `ip_adapter_image`, all as `ref_images`. The model looks at what it knows; one without an
    /// IP-Adapter that does not edit looks at none. The prompt does not name references.
    #[default]
    Auto,
    /// As `ip_adapter_image`: SD 1.5 or SDXL, and a server that was started with `--ip-adapter` and
    /// `--clip_vision`. It takes one reference: more are
    /// [`Error::InvalidInput`](crate::Error::InvalidInput), so that
    /// [`InPrompt::new(1)`](crate::conditioner::InPrompt::new) belongs to it. The prompt does not
    /// name it.
    IpAdapter,
    /// As `ref_images`: models that edit, such as FLUX Kontext, FLUX.2 and Qwen-Image-Edit. How
    /// many they take is theirs to say. The prompt names them `image 1` and so on.
    RefImages,
}

named!(References, "references", { Auto: "auto", IpAdapter: "ip_adapter", RefImages: "ref_images" });

/// What the guidance scale of a request means to the model of an [`SdServer`](super::SdServer).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SdGuidance {
    /// [`Distilled`](Self::Distilled) where the server was started with `--cfg-scale 1`, as the
    /// guides of such models say, or less; else [`ClassifierFree`](Self::ClassifierFree).
    #[default]
    Auto,
    /// Classifier-free guidance, `txt_cfg`: SD 1.5, SDXL, SD3, Qwen-Image. A scale below 1 is sent
    /// as 1, which turns it off; the server would read 0 as "without the prompt".
    ClassifierFree,
    /// An input of the network, `distilled_guidance`, without classifier-free guidance: FLUX.1-dev,
    /// Kontext, FLUX.2.
    Distilled,
}

named!(SdGuidance, "guidance", {
    Auto: "auto",
    ClassifierFree: "classifier_free",
    Distilled: "distilled",
});

/// What every job of a generator is sent with.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) references: References,
    pub(super) ip_adapter_strength: Option<f64>,
    pub(super) guidance: SdGuidance,
    pub(super) sampler: Option<String>,
    pub(super) scheduler: Option<String>,
    pub(super) loras: Vec<Lora>,
    pub(super) max_reference_pixels: u64,
    pub(super) fields: Map<String, Value>,
}

#[derive(Clone, Debug)]
pub(super) struct Lora {
    pub(super) name: String,
    pub(super) weight: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            references: References::default(),
            ip_adapter_strength: None,
            guidance: SdGuidance::default(),
            sampler: None,
            scheduler: None,
            loras: Vec::new(),
            max_reference_pixels: 1 << 20,
            fields: Map::new(),
        }
    }
}

/// More steps than this are cut by the server without a word (`resolve` in its `common.cpp`).
const MAX_STEPS: usize = 100;

/// The job for `request` on the server that errors call `service`, and what is not as it asked.
pub(super) fn body(
    settings: &Settings,
    capabilities: &Capabilities,
    service: &str,
    request: &GenerateRequest,
) -> Result<(String, Vec<String>)> {
    let mut notes = Vec::new();
    let mut body = json!({
        "prompt": request.prompt,
        // The server reads a negative seed as "any".
        "seed": request.seed & MAX_SEED,
        "batch_count": 1,
        "output_format": "png",
    });
    if request.seed > MAX_SEED {
        notes.push(format!("seed {} is sent as {}", request.seed, body["seed"]));
    }
    if let Some(negative) = &request.negative_prompt {
        body["negative_prompt"] = negative.as_str().into();
    }
    for (what, asked, limits) in [
        ("width", request.width, capabilities.width),
        ("height", request.height, capabilities.height),
    ] {
        if let Some(asked) = asked {
            body[what] = side(what, asked, limits)?.into();
        }
    }
    let sampling = sampling(settings, capabilities, request, &mut notes)?;
    if !sampling.is_empty() {
        body["sample_params"] = sampling.into();
    }
    if !settings.loras.is_empty() {
        let loras = settings.loras.iter().map(|lora| lora_field(lora, capabilities));
        body["lora"] = loras.collect::<Result<Vec<_>>>()?.into();
    }
    if let Conditioning::Images(images) = &request.conditioning
        && !images.is_empty()
    {
        add_references(&mut body, settings, capabilities, service, images, &mut notes)?;
    }
    merge(&mut body, &settings.fields);
    Ok((body.to_string(), notes))
}

/// A side of the image, raised to the least that the server draws.
fn side(what: &str, asked: u32, (least, most): (Option<u32>, Option<u32>)) -> Result<u32> {
    let most = most.unwrap_or(u32::MAX);
    require(asked <= most, what, format!("at most {most} pixels, as the server says"), asked)?;
    Ok(asked.max(least.unwrap_or(1)))
}

fn sampling(
    settings: &Settings,
    capabilities: &Capabilities,
    request: &GenerateRequest,
    notes: &mut Vec<String>,
) -> Result<Map<String, Value>> {
    let mut sampling = Map::new();
    if let Some(steps) = request.steps {
        sampling.insert("sample_steps".into(), steps.into());
        if steps > MAX_STEPS {
            notes.push(format!("asked for {steps} steps, of which sd-server takes {MAX_STEPS}"));
        }
    }
    for (what, field, name, known) in [
        ("sampler", "sample_method", &settings.sampler, &capabilities.samplers),
        ("scheduler", "scheduler", &settings.scheduler, &capabilities.schedulers),
    ] {
        let Some(name) = name else { continue };
        if let Some(known) = known {
            let names: Vec<&str> = known.iter().map(String::as_str).collect();
            require(names.contains(&name.as_str()), what, either(&names), name)?;
        }
        sampling.insert(field.into(), name.as_str().into());
    }
    if let Some(scale) = request.guidance_scale {
        let is_distilled = match settings.guidance {
            SdGuidance::Auto => capabilities.is_distilled,
            chosen => chosen == SdGuidance::Distilled,
        };
        let guidance = match is_distilled {
            true => json!({ "distilled_guidance": scale, "txt_cfg": 1.0 }),
            false => json!({ "txt_cfg": scale.max(1.0) }),
        };
        sampling.insert("guidance".into(), guidance);
    }
    Ok(sampling)
}

/// A LoRA as the server finds it: by its path.
fn lora_field(lora: &Lora, capabilities: &Capabilities) -> Result<Value> {
    let path = match &capabilities.loras {
        None => lora.name.clone(),
        Some(known) => {
            let found = known.iter().find(|(name, path)| [name, path].contains(&&lora.name));
            let (_, path) = found.ok_or_else(|| {
                let names: Vec<&str> = known.iter().map(|(_, path)| path.as_str()).collect();
                let expected = match names.is_empty() {
                    true => {
                        "one of the server, which has none: start it with --lora-model-dir".into()
                    }
                    false => either(&names),
                };
                Error::invalid_input("LoRA", expected, &lora.name)
            })?;
            path.clone()
        }
    };
    Ok(json!({ "path": path, "multiplier": lora.weight }))
}

fn add_references(
    body: &mut Value,
    settings: &Settings,
    capabilities: &Capabilities,
    service: &str,
    images: &[Image],
    notes: &mut Vec<String>,
) -> Result<()> {
    let (ip_adapter, ref_images) = (capabilities.ip_adapter_image, capabilities.ref_images);
    let (ip_adapter, ref_images) = match settings.references {
        References::Auto => (ip_adapter, ref_images),
        References::IpAdapter => (ip_adapter, false),
        References::RefImages => (false, ref_images),
    };
    let count = images.len();
    match (ip_adapter, ref_images) {
        (false, false) => {
            let field = match settings.references {
                References::Auto => "references",
                References::IpAdapter => "ip_adapter_image",
                References::RefImages => "ref_images",
            };
            let reason = format!("this version of the server takes no {field}");
            return Err(Error::unavailable(service, reason));
        }
        (true, false) => require(count == 1, "references for an IP-Adapter", "1", count)?,
        (true, true) => notes.push(match count {
            1 => "the reference is sent for an IP-Adapter and for a model that edits".to_owned(),
            _ => format!(
                "{count} references are sent for a model that edits, the first for an IP-Adapter"
            ),
        }),
        (false, true) => {}
    }
    let mut encoded = Vec::with_capacity(count);
    for (n, image) in (1..).zip(images) {
        let (png, scaled) = png_within(image, settings.max_reference_pixels)?;
        notes.extend(scaled.map(|scaled| format!("reference {n} {scaled}")));
        encoded.push(STANDARD.encode(png));
    }
    if ip_adapter {
        body["ip_adapter_image"] = encoded[0].as_str().into();
        if let Some(strength) = settings.ip_adapter_strength {
            body["ip_adapter_strength"] = strength.into();
        }
    }
    if ref_images {
        body["ref_images"] = encoded.into();
    }
    Ok(())
}
