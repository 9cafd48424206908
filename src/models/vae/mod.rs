//! Images to latents and back: diffusers' `AutoencoderKL`.

mod blocks;
mod config;
mod decoder;
mod drawing;
mod encoder;
#[cfg(test)]
mod tests;
mod tiling;

use tch::{Kind, Tensor};

use super::common::weights::Weights;
use crate::Result;
use decoder::Decoder;
use encoder::Encoder;
use tiling::Tiles;

pub(crate) use config::VaeConfig;
pub(crate) use decoder::image_of;
use encoder::Posterior;
#[cfg(test)]
use encoder::pixels_in;

/// Images of more pixels than this are worked on in tiles where nothing else is asked for: the
/// size from which a decoder's activations in f32 pass about 16 GB.
const LARGE: i64 = 2048 * 2048;

/// When to work in tiles: less memory, and slightly other pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum VaeTiling {
    /// For images of more than 2,048 × 2,048 pixels.
    #[default]
    Auto,
    /// For images larger than the checkpoint's `sample_size`, as diffusers' `enable_vae_tiling`.
    Always,
    /// Never.
    Never,
}

impl VaeConfig {
    /// The type that it calculates in where `kind` is asked for: f32 in place of f16 where the config
    /// says that f16 is too narrow.
    pub(crate) fn kind(&self, kind: Kind) -> Kind {
        if kind == Kind::Half && self.force_upcast { Kind::Float } else { kind }
    }

    /// About the most bytes that its features take at once, in the format `kind`: while it decodes an
    /// image of so many `pixels`, or encodes one of `encoded` pixels. At full size the decoder has about
    /// four features of the channels of the level before, and the encoder as many of its first level.
    pub(crate) fn activations(
        &self,
        pixels: u64,
        encoded: u64,
        kind: Kind,
        tiling: VaeTiling,
    ) -> u64 {
        let channels = |level| {
            let level = self.block_out_channels.get(level).or(self.block_out_channels.first());
            level.map_or(1, |channels| channels.unsigned_abs())
        };
        let at_once = |pixels: u64| {
            let whole = i64::try_from(pixels).unwrap_or(i64::MAX);
            let tile = self.sample_size.unsigned_abs().pow(2);
            if Vae::tiled(tiling, whole) { pixels.min(tile) } else { pixels }
        };
        let values = (at_once(pixels) * channels(1)).max(at_once(encoded) * channels(0));
        4 * values * kind.elt_size_in_bytes() as u64
    }
}

/// The autoencoder between pixels and latents.
#[derive(Debug)]
pub(crate) struct Vae {
    pub(crate) config: VaeConfig,
    encoder: Option<Encoder>,
    decoder: Decoder,
    kind: Kind,
    device: tch::Device,
}

impl Vae {
    /// The decoder alone: what drawing images takes.
    pub(crate) fn decoder(config: VaeConfig, weights: &Weights) -> Result<Self> {
        let weights = Self::weights(&config, weights);
        let decoder = Decoder::new(&weights, &config)?;
        let (kind, device) = (weights.kind(), weights.device());
        Ok(Self { encoder: None, decoder, kind, device, config })
    }

    /// Encoder and decoder.
    pub(crate) fn new(config: VaeConfig, weights: &Weights) -> Result<Self> {
        let encoder = Encoder::new(&Self::weights(&config, weights), &config)?;
        Ok(Self { encoder: Some(encoder), ..Self::decoder(config, weights)? })
    }

    fn weights(config: &VaeConfig, weights: &Weights) -> Weights {
        weights.with_kind(config.kind(weights.kind()))
    }

    /// `[b, 3, height, width]` in [-1, 1] to latents; `None` where only the decoder was loaded.
    pub(crate) fn encode(&self, pixels: &Tensor, tiling: VaeTiling) -> Option<Posterior> {
        let encoder = self.encoder.as_ref()?;
        let pixels = pixels.to_device(self.device).to_kind(self.kind);
        let (_, _, h, w) = pixels.size4().unwrap_or_default();
        let tiles = Tiles { before: self.config.sample_size, after: self.tile_latents() };
        let moments = match tiles.split(&pixels) && Self::tiled(tiling, h * w) {
            true => tiles.map(&pixels, |tile| encoder.forward(tile)),
            false => encoder.forward(&pixels),
        };
        Some(Posterior::new(&moments)) // [b, latent_channels, h, w]
    }

    /// `[b, latent_channels, h, w]`, unscaled, to pixels `[b, 3, height, width]` about [-1, 1].
    pub(crate) fn decode(&self, latents: &Tensor, tiling: VaeTiling) -> Tensor {
        let latents = latents.to_device(self.device).to_kind(self.kind);
        let (_, _, h, w) = latents.size4().unwrap_or_default();
        let pixels = h * w * i64::from(self.config.scale_factor()).pow(2);
        let tiles = Tiles { before: self.tile_latents(), after: self.config.sample_size };
        match tiles.split(&latents) && Self::tiled(tiling, pixels) {
            true => tiles.map(&latents, |tile| self.decoder.forward(tile)),
            false => self.decoder.forward(&latents),
        }
    }

    /// The type that it calculates in.
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    fn tile_latents(&self) -> i64 {
        self.config.sample_size / i64::from(self.config.scale_factor())
    }

    fn tiled(tiling: VaeTiling, pixels: i64) -> bool {
        match tiling {
            VaeTiling::Auto => pixels > LARGE,
            VaeTiling::Always => true,
            VaeTiling::Never => false,
        }
    }
}
