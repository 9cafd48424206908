//! Latents as a denoising network knows them to an image, and an image to such latents.

use tch::{Kind, Tensor};

use super::decoder::image_of;
use super::encoder::{Posterior, pixels_in};
use super::{Vae, VaeTiling};
use crate::models::common::noise::Noise;
use crate::{Error, Image, Result};

/// A preview is decoded from at most this many latents a side.
const PREVIEW_LATENTS: i64 = 32;

impl Vae {
    /// The image of the denoising network's `latents`, `[1, latent_channels, h, w]`.
    pub(crate) fn image(&self, latents: &Tensor, tiling: VaeTiling) -> Result<Image> {
        image_of(&self.pixels(latents, tiling)?)
    }

    /// The same, before anything is clipped: `[1, 3, height, width]`, about [-1, 1].
    pub(crate) fn pixels(&self, latents: &Tensor, tiling: VaeTiling) -> Result<Tensor> {
        let config = &self.config;
        // 1. Where the VAE is upcast, so is this; otherwise it happens in the latents' own type.
        let latents = match self.kind() {
            Kind::Float => latents.to_kind(Kind::Float),
            _ => latents.shallow_clone(),
        };

        // 2. To the scale of the VAE.
        let each = |values: &[f64]| {
            let values = Tensor::from_slice(values).to_kind(latents.kind());
            values.to_device(latents.device()).view([1, -1, 1, 1]) // [1, c, 1, 1]
        };
        let latents = match (&config.latents_mean, &config.latents_std) {
            (Some(mean), Some(std)) => &latents * each(std) / config.scaling_factor + each(mean),
            _ => &latents / config.scaling_factor,
        };
        let latents = config.shift_factor.map(|shift| &latents + shift).unwrap_or(latents);

        // 3. To pixels.
        let pixels = self.decode(&latents, tiling);
        if !bool::try_from(pixels.isfinite().all()).unwrap_or(false) {
            let reason = "a value is no number; a wider type than f16 may help";
            return Err(Error::backend("decoding the latents", reason));
        }
        Ok(pixels)
    }

    /// The denoising network's latents of `image`, `[1, latent_channels, h, w]`: a sample of what is
    /// likely by the next values of `noise`, or else the likeliest.
    pub(crate) fn latents(
        &self,
        image: &Image,
        noise: Option<&mut Noise>,
        tiling: VaeTiling,
    ) -> Result<Tensor> {
        Ok(self.latents_of(&self.posterior(image, tiling)?, noise))
    }

    /// What latents `image` may have.
    pub(crate) fn posterior(&self, image: &Image, tiling: VaeTiling) -> Result<Posterior> {
        let reason = "only the decoder was loaded";
        let posterior = self.encode(&pixels_in(image), tiling);
        posterior.ok_or_else(|| Error::backend("encoding an image", reason))
    }

    /// Latents of a `posterior`, as [`latents`](Self::latents).
    pub(crate) fn latents_of(&self, posterior: &Posterior, noise: Option<&mut Noise>) -> Tensor {
        let latents = match noise {
            Some(noise) => posterior.sample(noise),
            None => posterior.mean.shallow_clone(),
        };
        let config = &self.config;
        (latents - config.shift_factor.unwrap_or(0.0)) * config.scaling_factor // [1, c, h, w]
    }

    /// A small image of latents on their way, from at most `PREVIEW_LATENTS` of them a side.
    pub(crate) fn preview(&self, latents: &Tensor) -> Result<Image> {
        let side = latents.size()[2..].iter().copied().max().unwrap_or(1);
        let by = (side + PREVIEW_LATENTS - 1) / PREVIEW_LATENTS;
        let by = by.min(latents.size()[2..].iter().copied().min().unwrap_or(1)).max(1);
        let small = latents.avg_pool2d([by; 2], [by; 2], [0; 2], false, true, None);
        self.image(&small, VaeTiling::Auto)
    }
}
