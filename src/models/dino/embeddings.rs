//! Pixels to the tokens that DINO's layers work on: patches with their places, class token, registers.

use tch::{Kind, Tensor};

use super::config::{DinoConfig, Variant};
use crate::models::common::layers::Conv2d;
use crate::models::common::weights::Weights;
use crate::{Error, Result};

/// `ViTEmbeddings`, `Dinov2Embeddings` and `Dinov2WithRegistersEmbeddings` in transformers.
#[derive(Debug)]
pub(super) struct Embeddings {
    patches: Conv2d,
    class: Tensor,
    /// The class token's place, then those of the patches, row by row.
    positions: Tensor,
    registers: Option<Tensor>,
    config: DinoConfig,
}

impl Embeddings {
    pub(super) fn new(weights: &Weights, config: &DinoConfig) -> Result<Self> {
        let (width, side, [rows, columns]) = (config.width, config.patch_size, config.grid());
        let patches = weights.sub("patch_embeddings").sub("projection");
        let registers = || weights.get("register_tokens", &[1, config.registers, width]);
        let has_registers = config.variant == Variant::WithRegisters;
        let positions = [1, 1 + rows * columns, width];
        Ok(Self {
            patches: Conv2d::new(&patches, 3, width, side, side, 0)?,
            class: weights.get("cls_token", &[1, 1, width])?,
            positions: weights.get("position_embeddings", &positions)?,
            registers: has_registers.then(registers).transpose()?,
            config: config.clone(),
        })
    }

    /// The tokens of `pixels`, `[b, 3, height, width]`: `[b, tokens, width]`, the class token first.
    pub(super) fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let (height, width) = self.check(pixels)?;
        let (b, side) = (pixels.size()[0], self.config.patch_size);
        // 1. Patches as vectors; what is left over at the right and at the bottom is not seen.
        let pixels = pixels.to_device(self.class.device()).to_kind(self.class.kind());
        let patches = self.patches.forward(&pixels).flatten(2, 3).transpose(1, 2); // [b, patches, width]
        // 2. The class token in front, and places added.
        let repeated = |token: &Tensor| token.expand([b, -1, -1], false);
        let x = Tensor::cat(&[repeated(&self.class), patches], 1);
        let x = x + self.positions(height / side, width / side, height == width)?; // [b, 1 + patches, width]
        // 3. Registers, which have no place, behind the class token.
        let Some(registers) = &self.registers else { return Ok(x) };
        let patches = x.narrow(1, 1, x.size()[1] - 1);
        Ok(Tensor::cat(&[x.narrow(1, 0, 1), repeated(registers), patches], 1)) // [b, tokens, width]
    }

    /// Height and width of `pixels`: any of at least a patch for DINOv2, those of its config for a ViT.
    fn check(&self, pixels: &Tensor) -> Result<(i64, i64)> {
        let (found, side) = (pixels.size(), self.config.patch_size);
        let [height, width] = self.config.image_size;
        let is_vit = self.config.variant == Variant::Vit;
        match found[..] {
            [_, 3, h, w] if is_vit && (h, w) == (height, width) => Ok((h, w)),
            [_, 3, h, w] if !is_vit && h.min(w) >= side => Ok((h, w)),
            _ => {
                let expected = match is_vit {
                    true => format!("[b, 3, {height}, {width}]"),
                    false => format!("[b, 3, height, width] of at least {side} pixels a side"),
                };
                Err(Error::invalid_input("pixels", expected, format!("{found:?}")))
            }
        }
    }

    /// The places of `rows` × `columns` patches, interpolated where the stored ones are others.
    /// transformers compares the number of patches alone, and interpolates for every picture that is
    /// not square; it takes the stored places for a square.
    fn positions(&self, rows: i64, columns: i64, square: bool) -> Result<Tensor> {
        let stored = self.positions.size()[1] - 1;
        let is_vit = self.config.variant == Variant::Vit;
        if is_vit || (stored == rows * columns && square) {
            return Ok(self.positions.shallow_clone()); // [1, 1 + patches, width]
        }
        let grid = (stored as f64).sqrt() as i64;
        if grid * grid != stored {
            let [height, width] = self.config.image_size;
            let expected = format!("{width}x{height}, for whose patches there are {stored} places");
            return Err(Error::invalid_input(
                "pixels",
                expected,
                format!("{columns}x{rows} patches"),
            ));
        }
        let (width, kind) = (self.config.width, self.positions.kind());
        let places = self.positions.narrow(1, 1, stored).to_kind(Kind::Float);
        let places = places.reshape([1, grid, grid, width]).permute([0, 3, 1, 2]); // [1, width, grid, grid]
        // Keys' cubic with a = -0.75 or, with antialiasing, -0.5.
        let places = match self.config.variant {
            Variant::Vit | Variant::Dinov2 => {
                places.upsample_bicubic2d([rows, columns], false, None, None)
            }
            Variant::WithRegisters => {
                places.internal_upsample_bicubic2d_aa([rows, columns], false, None, None)
            }
        };
        let places = places.to_kind(kind).flatten(2, 3).transpose(1, 2); // [1, patches, width]
        Ok(Tensor::cat(&[self.positions.narrow(1, 0, 1), places], 1)) // [1, 1 + patches, width]
    }
}
