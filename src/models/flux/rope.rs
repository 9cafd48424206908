//! Positions to rotations of queries and keys: `FluxPosEmbed` and `apply_rotary_emb`.

use tch::{Device, Kind, Tensor};

use super::config::AXES;

/// `FluxTransformer2DModel`'s own, in no config.
const THETA: f64 = 10_000.0;

/// A place in the sequence's space: a number that FLUX leaves at 0, row and column, in patches.
pub(crate) type Position = [f64; AXES];

/// The positions of text: all at the origin.
pub(crate) fn text_positions(tokens: i64) -> Vec<Position> {
    (0..tokens).map(|_| [0.0; AXES]).collect()
}

/// The positions of an image of `rows` by `columns` patches, row by row.
pub(crate) fn image_positions(rows: i64, columns: i64) -> Vec<Position> {
    (0..rows)
        .flat_map(|row| (0..columns).map(move |column| [0.0, row as f64, column as f64]))
        .collect()
}

/// The positions of a condition: those of an image moved by `delta` rows and columns, then stretched
/// so that patches keep their middles. OminiControl, `Condition.encode`.
pub(crate) fn condition_positions(
    rows: i64,
    columns: i64,
    delta: [f64; 2],
    scale: f64,
) -> Vec<Position> {
    let place = |at: f64, delta: f64| (at + delta) * scale + (scale - 1.0) / 2.0;
    let mut positions = image_positions(rows, columns);
    for [_, row, column] in &mut positions {
        (*row, *column) = (place(*row, delta[0]), place(*column, delta[1]));
    }
    positions
}

/// Cosines and sines of each position, `[tokens, head_dim]` in f32.
#[derive(Debug)]
pub(crate) struct Rope {
    cos: Tensor,
    sin: Tensor,
}

impl Rope {
    /// `dims` values of a head turn with each axis.
    pub(crate) fn new(positions: &[Position], dims: [i64; AXES], device: Device) -> Self {
        // Angles are found in f64, on the CPU, so that every device turns alike.
        let options = (Kind::Double, Device::Cpu);
        let angles: Vec<_> = (0..AXES)
            .map(|axis| {
                let exponents =
                    Tensor::arange_start_step(0, dims[axis], 2, options) / dims[axis].max(1);
                let frequencies = (exponents * THETA.ln()).exp().reciprocal(); // [dim / 2]
                let places: Vec<_> = positions.iter().map(|place| place[axis]).collect();
                Tensor::from_slice(&places).outer(&frequencies) // [tokens, dim / 2]
            })
            .collect();
        let angles = Tensor::cat(&angles, 1); // [tokens, head_dim / 2]
        let spread = |waves: Tensor| {
            let each = waves.repeat_interleave_self_int(2, 1, None); // [tokens, head_dim]
            each.to_kind(Kind::Float).to_device(device)
        };
        Self { cos: spread(angles.cos()), sin: spread(angles.sin()) }
    }

    /// One after the other.
    pub(crate) fn join(parts: &[&Self]) -> Self {
        let join = |part: fn(&Self) -> &Tensor| {
            Tensor::cat(&parts.iter().map(|rope| part(rope)).collect::<Vec<_>>(), 0) // [tokens, head_dim]
        };
        Self { cos: join(|rope| &rope.cos), sin: join(|rope| &rope.sin) }
    }

    /// `[b, heads, tokens, head_dim]`, each pair of values turned; calculated in f32.
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let wide = x.to_kind(Kind::Float);
        let pairs = wide.unflatten(-1, [-1, 2]); // [b, heads, tokens, head_dim / 2, 2]
        let (real, imaginary) = (pairs.select(-1, 0), pairs.select(-1, 1));
        let turned = Tensor::stack(&[-imaginary, real], -1).flatten(3, 4); // [b, heads, tokens, head_dim]
        (wide * &self.cos + turned * &self.sin).to_kind(x.kind()) // [b, heads, tokens, head_dim]
    }
}
