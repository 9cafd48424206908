//! A checkpoint's `config.json` to its image tower: name, preprocessing and how it is loaded.

use std::path::Path;

use tch::Tensor;

use crate::Result;
use crate::models::clip::{ClipConfig, VisionConfig, VisionModel};
use crate::models::common::fields::Fields;
use crate::models::common::preprocess::{Family, Input};
use crate::models::common::towers::VisionSizes;
use crate::models::common::weights::Weights;
use crate::models::dino::{DinoConfig, DinoModel, Variant};
use crate::models::siglip::{self, SiglipConfig};

/// Pixels, `[b, 3, height, width]`, to features, `[b, dim]`.
pub(super) type Tower = Box<dyn Fn(&Tensor) -> Result<Tensor>>;

/// Weights to the tower that is made of them.
type Load = Box<dyn FnOnce(&Weights) -> Result<Tower> + Send>;

/// What a checkpoint's `config.json` tells: all but its weights.
pub(super) struct Architecture {
    pub(super) name: String,
    pub(super) family: Family,
    pub(super) input: Input,
    pub(super) load: Load,
}

impl Architecture {
    /// That of the checkpoint in `folder`, by the `model_type` in its `config.json`.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let fields = Fields::open(&folder.join("config.json"))?;
        match fields.value("model_type").as_str() {
            Some("clip") => {
                let config = ClipConfig::new(&fields)?;
                Ok(Self::clip(&config.vision.clone(), move |weights| {
                    VisionModel::of_model(weights, &config)
                }))
            }
            Some("clip_vision_model") => {
                let config = VisionConfig::alone(&fields)?;
                Ok(Self::clip(&config.clone(), move |weights| VisionModel::new(weights, &config)))
            }
            Some("siglip") => Ok(Self::siglip(SiglipConfig::new(&fields)?.vision)),
            Some("siglip_vision_model") => Ok(Self::siglip(siglip::read_vision(&fields)?)),
            Some(name) if Variant::named(name).is_some() => {
                Ok(Self::dino(DinoConfig::new(&fields)?))
            }
            _ => {
                let expected = "clip, clip_vision_model, siglip, siglip_vision_model, vit, dinov2 or \
                                dinov2_with_registers";
                Err(fields.invalid("model_type", expected, fields.found("model_type")))
            }
        }
    }

    /// The image tower of a CLIP.
    fn clip(
        config: &VisionConfig,
        load: impl FnOnce(&Weights) -> Result<VisionModel> + Send + 'static,
    ) -> Self {
        let load = move |weights: &Weights| -> Result<Tower> {
            let model = load(weights)?;
            Ok(Box::new(move |pixels| model.features(pixels)))
        };
        Self {
            name: config.name(),
            family: Family::Clip,
            input: square(config.sizes.image_size),
            load: Box::new(load),
        }
    }

    /// The image tower of a SigLIP.
    fn siglip(sizes: VisionSizes) -> Self {
        let load = move |weights: &Weights| -> Result<Tower> {
            let model = siglip::VisionModel::alone(weights, sizes)?;
            Ok(Box::new(move |pixels| model.forward(pixels)))
        };
        Self {
            name: siglip::name(&sizes),
            family: Family::Siglip,
            input: square(sizes.image_size),
            load: Box::new(load),
        }
    }

    /// A DINO, which takes pictures of one size, or a DINOv2, which takes any.
    fn dino(config: DinoConfig) -> Self {
        let [height, width] = config.image_size.map(|side| usize::try_from(side).unwrap_or(0));
        let (family, input) = match config.variant {
            Variant::Vit => (Family::Vit, Input::Only(height, width)),
            // The `crop_size` of `BitImageProcessor`.
            Variant::Dinov2 | Variant::WithRegisters => (Family::Dinov2, Input::Any(224)),
        };
        let name = config.name();
        let load = move |weights: &Weights| -> Result<Tower> {
            let model = DinoModel::new(weights, &config)?;
            Ok(Box::new(move |pixels| model.forward(pixels)))
        };
        Self { name, family, input, load: Box::new(load) }
    }
}

fn square(side: i64) -> Input {
    let side = usize::try_from(side).unwrap_or(0);
    Input::Only(side, side)
}
