//! Pixels to CLIP's image states: `CLIPVisionModel`, with a projection or without.

use std::path::Path;

use tch::{Kind, Tensor};

use super::config::{ClipConfig, VisionConfig};
use crate::Result;
use crate::models::common::encoder::Encoder;
use crate::models::common::layers::{LayerNorm, Linear};
use crate::models::common::towers::Patches;
use crate::models::common::weights::Weights;

/// An image tower.
#[derive(Debug)]
pub(crate) struct VisionModel {
    class: Tensor,
    patches: Patches,
    positions: Tensor,
    pre_norm: LayerNorm,
    encoder: Encoder,
    post_norm: LayerNorm,
    projection: Option<Linear>,
    config: VisionConfig,
}

/// What the tower makes of a batch of pictures.
#[derive(Debug)]
pub(crate) struct VisionOutput {
    /// What goes into the last layer, not normalised: `[b, 1 + patches, width]`.
    #[cfg_attr(not(test), expect(dead_code, reason = "`penultimate()` spares the last layer"))]
    pub(crate) penultimate: Tensor,
    /// The normalised last state of the class token: `[b, width]`.
    pub(crate) pooled: Tensor,
    /// `pooled`, projected, where the checkpoint has a projection: `[b, projection]`.
    pub(crate) projected: Option<Tensor>,
}

impl VisionModel {
    /// The image encoder in `folder`.
    pub(crate) fn open(folder: &Path, device: tch::Device, kind: Kind) -> Result<Self> {
        let config = VisionConfig::open(folder)?;
        Self::new(&Weights::open(folder, device, kind)?, &config)
    }

    /// The image encoder that is the whole of `weights`; its names may begin with `vision_model.`.
    pub(crate) fn new(weights: &Weights, config: &VisionConfig) -> Result<Self> {
        let projecting = weights.sub("visual_projection");
        let projects = projecting.contains("weight");
        let projection = config.projection().or(config.projection_dim.filter(|_| projects));
        let plain = weights.contains("embeddings.class_embedding");
        let tower = if plain { weights.clone() } else { weights.sub("vision_model") };
        Self::with_projection(&tower, config, &projecting, projection)
    }

    /// The image half of the `CLIPModel` that is the whole of `weights`.
    pub(crate) fn of_model(weights: &Weights, config: &ClipConfig) -> Result<Self> {
        let [tower, projecting] =
            ["vision_model", "visual_projection"].map(|name| weights.sub(name));
        Self::with_projection(&tower, &config.vision, &projecting, Some(config.projection_dim))
    }

    /// The tower at `weights`, with a `projection` to that width.
    fn with_projection(
        weights: &Weights,
        config: &VisionConfig,
        projecting: &Weights,
        projection: Option<i64>,
    ) -> Result<Self> {
        let (sizes, encoder) = (config.sizes, config.sizes.encoder);
        let (width, eps) = (encoder.width, encoder.eps);
        let embeddings = weights.sub("embeddings");
        let positions = embeddings.sub("position_embedding");
        let project = |outputs| Linear::no_bias(projecting, width, outputs);
        Ok(Self {
            class: embeddings.get("class_embedding", &[width])?,
            patches: Patches::new(&embeddings.sub("patch_embedding"), sizes, false)?,
            positions: positions.get("weight", &[sizes.patches() + 1, width])?,
            // The name is misspelt in every checkpoint.
            pre_norm: LayerNorm::new(&weights.sub("pre_layrnorm"), width, eps)?,
            encoder: Encoder::new(&weights.sub("encoder"), encoder)?,
            post_norm: LayerNorm::new(&weights.sub("post_layernorm"), width, eps)?,
            projection: projection.map(project).transpose()?,
            config: config.clone(),
        })
    }

    /// Side of the square pictures it takes, in pixels.
    pub(crate) const fn image_size(&self) -> i64 {
        self.config.sizes.image_size
    }

    /// Width of the states.
    pub(crate) const fn width(&self) -> i64 {
        self.config.sizes.encoder.width
    }

    /// The states of `pixels`, `[b, 3, image_size, image_size]`.
    pub(crate) fn forward(&self, pixels: &Tensor) -> Result<VisionOutput> {
        let (penultimate, last) = self.encoder.forward(&self.embed(pixels)?);
        let pooled = self.post_norm.forward(&last.select(1, 0)); // [b, width]
        let projected = self.projection.as_ref().map(|linear| linear.forward(&pooled));
        Ok(VisionOutput { penultimate, pooled, projected })
    }

    /// The vectors of `pixels`, `[b, 3, image_size, image_size]`: `[b, projection]`, or `[b, width]` where
    /// the checkpoint has no projection; of any length.
    pub(crate) fn features(&self, pixels: &Tensor) -> Result<Tensor> {
        let output = self.forward(pixels)?;
        Ok(output.projected.unwrap_or(output.pooled))
    }

    /// What goes into the last layer, which is not computed: `[b, 1 + patches, width]`.
    pub(crate) fn penultimate(&self, pixels: &Tensor) -> Result<Tensor> {
        Ok(self.encoder.penultimate(&self.embed(pixels)?))
    }

    fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        // 1. Patches as vectors.
        let patches = self.patches.forward(pixels)?; // [b, patches, width]
        // 2. The class token in front, and places added.
        let class = self.class.expand([patches.size()[0], 1, self.width()], false); // [b, 1, width]
        let x = Tensor::cat(&[class, patches], 1) + &self.positions; // [b, 1 + patches, width]
        Ok(self.pre_norm.forward(&x))
    }
}
