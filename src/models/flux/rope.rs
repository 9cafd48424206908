//! Positions to rotations of queries and keys: `FluxPosEmbed` and `apply_rotary_emb`.

use tch::{Device, Kind, Tensor};

use super::config::AXES;

/// `FluxTransformer2DModel`'s own, in no config.
const THETA: f64 = 10_000.0;

/// A place in the sequence's space: a number that FLUX leaves at 0, row and column, in patches.
pub(crate) type Position = [f64; AXES];

/// The positions of text: all at the origin.
pub(crate) fn text_positions(tokens: i64) -> Vec<Position> {
    vec![[0.0; AXES]; usize::try_from(tokens).unwrap_or(0)]
}

/// The positions of an image of `rows` by `columns` patches, row by row.
pub(crate) fn image_positions(rows: i64, columns: i64) -> Vec<Position> {
    let row = |row| (0..columns).map(move |column| [0.0, row as f64, column as f64]);
    (0..rows).flat_map(row).collect()
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

/// The rotation of each position: complex numbers of length 1 in f32, one for each pair of values of
/// a head, `[tokens, 1, head_dim / 2]`.
#[derive(Debug)]
pub(crate) struct Rope(Tensor);

impl Rope {
    /// `dims` values of a head turn with each axis.
    pub(crate) fn new(positions: &[Position], dims: [i64; AXES], device: Device) -> Self {
        // Angles are found in f64, on the CPU, so that every device turns alike.
        let options = (Kind::Double, Device::Cpu);
        let angles: [Tensor; AXES] = std::array::from_fn(|axis| {
            let dim = dims[axis];
            let exponents = Tensor::arange_start_step(0, dim, 2, options) / dim.max(1);
            let frequencies = (exponents * THETA.ln()).exp().reciprocal(); // [dim / 2]
            let places: Vec<_> = positions.iter().map(|place| place[axis]).collect();
            Tensor::from_slice(&places).outer(&frequencies) // [tokens, dim / 2]
        });
        let angles = Tensor::cat(&angles, 1).unsqueeze(1); // [tokens, 1, head_dim / 2]
        let [cos, sin] = [angles.cos(), angles.sin()].map(|waves| waves.to_kind(Kind::Float));
        Self(Tensor::complex(&cos, &sin).to_device(device))
    }

    /// Those of `other` after these.
    pub(super) fn join(&self, other: &Self) -> Self {
        Self(Tensor::cat(&[&self.0, &other.0], 0)) // [tokens, 1, head_dim / 2]
    }

    /// The same in the same memory.
    pub(super) fn shallow_clone(&self) -> Self {
        Self(self.0.shallow_clone())
    }

    /// `[b, tokens, heads, head_dim]`, each pair of values turned; the same in f32.
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let pairs = x.to_kind(Kind::Float).unflatten(-1, [-1, 2]).view_as_complex(); // [b, tokens, heads, head_dim / 2]
        (pairs * &self.0).view_as_real().flatten(-2, -1) // [b, tokens, heads, head_dim]
    }
}
