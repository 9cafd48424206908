//! Large latents or images to overlapping tiles and back, so that memory stays bounded.

use tch::Tensor;

/// The share of a tile that overlaps the next one. diffusers, `AutoencoderKL.tile_overlap_factor`.
const OVERLAP: f64 = 0.25;

/// A side of a tile before and after the network, in values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    pub(super) before: i64,
    pub(super) after: i64,
}

impl Tiles {
    /// Whether `x` is larger than one tile, and tiles are large enough to overlap.
    pub(super) fn split(self, x: &Tensor) -> bool {
        let (_, _, h, w) = x.size4().unwrap_or_default();
        self.stride() > 0 && self.limit() > 0 && (h > self.before || w > self.before)
    }

    /// `network` on each tile of `x`, blended where they overlap.
    pub(super) fn map(self, x: &Tensor, network: impl Fn(&Tensor) -> Tensor) -> Tensor {
        let (_, _, height, width) = x.size4().unwrap_or_default();
        let starts = |size: i64| (0..size).step_by(self.stride() as usize);
        let part = |x: &Tensor, dim: i64, start: i64, length: i64| {
            x.narrow(dim, start, length.min(x.size()[dim as usize] - start))
        };
        let mut rows: Vec<Tensor> = Vec::new();
        let mut above: Vec<Tensor> = Vec::new();
        for top in starts(height) {
            let band = part(x, 2, top, self.before);
            let mut row: Vec<Tensor> = Vec::new();
            for (column, left) in starts(width).enumerate() {
                // 1. a tile, which fades in from the one above and the one to the left
                let mut tile = network(&part(&band, 3, left, self.before));
                if let Some(above) = above.get(column) {
                    tile = self.fade(above, &tile, 2);
                }
                if let Some(left) = row.last() {
                    tile = self.fade(left, &tile, 3);
                }
                row.push(tile);
            }
            // 2. what the next tiles do not cover
            let cut = |tile| part(&part(tile, 2, 0, self.limit()), 3, 0, self.limit());
            rows.push(Tensor::cat(&row.iter().map(cut).collect::<Vec<_>>(), 3));
            above = row;
        }
        Tensor::cat(&rows, 2) // [b, channels, height, width]
    }

    /// `tile` with its first values along `dim` mixed with the last ones of the tile before.
    fn fade(self, before: &Tensor, tile: &Tensor, dim: i64) -> Tensor {
        let at = dim as usize;
        let (old, new) = (before.size()[at], tile.size()[at]);
        let extent = self.overlap().min(old).min(new);
        if extent == 0 {
            return tile.shallow_clone();
        }
        let weight = Tensor::arange(extent, (tch::Kind::Double, tile.device())) / extent;
        let weight = if dim == 2 { weight.unsqueeze(1) } else { weight }; // [extent, 1] or [extent]
        let [rest, weight] = [1_f64 - &weight, weight].map(|weight| weight.to_kind(tile.kind()));
        let mixed =
            before.narrow(dim, old - extent, extent) * rest + tile.narrow(dim, 0, extent) * weight;
        Tensor::cat(&[mixed, tile.narrow(dim, extent, new - extent)], dim) // [b, channels, h, w]
    }

    /// From the start of a tile to the start of the next, before the network.
    fn stride(self) -> i64 {
        (self.before as f64 * (1.0 - OVERLAP)) as i64
    }

    /// What two tiles share, after the network.
    fn overlap(self) -> i64 {
        (self.after as f64 * OVERLAP) as i64
    }

    /// What a tile contributes, after the network.
    fn limit(self) -> i64 {
        self.after - self.overlap()
    }
}
