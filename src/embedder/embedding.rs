//! [`Embedding`]: a unit vector in the space where texts and images are compared.

use std::sync::Arc;

use crate::{Error, Result};

/// A vector of length 1. The dot product of two is their cosine similarity, in [-1, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding(Arc<[f32]>);

impl Embedding {
    /// `values`, scaled to length 1.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when `values` is empty, all zero, or holds a value that is not
    /// finite.
    pub fn new(values: impl Into<Vec<f32>>) -> Result<Self> {
        let mut values = values.into();
        let norm = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
        if !norm.is_finite() || norm == 0.0 {
            let found = format!("{} values of norm {norm}", values.len());
            let expected = "finite values that are not all 0";
            return Err(Error::invalid_input("embedding", expected, found));
        }
        for value in &mut values {
            *value = (f64::from(*value) / norm) as f32;
        }
        Ok(Self(values.into()))
    }

    /// Number of values.
    pub fn dim(&self) -> usize {
        self.0.len()
    }

    /// The values; their squares sum to 1.
    pub fn values(&self) -> &[f32] {
        &self.0
    }

    /// Cosine similarity, in [-1, 1]; higher is closer. It is 0 if the two have different
    /// dimensions, because they are not of one space.
    pub fn similarity(&self, other: &Self) -> f32 {
        if self.dim() != other.dim() {
            return 0.0;
        }
        self.0.iter().zip(other.0.iter()).map(|(a, b)| a * b).sum::<f32>().clamp(-1.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_length_one() {
        let embedding = Embedding::new([3.0, 4.0]).unwrap();
        assert_eq!(embedding.values(), [0.6, 0.8]);
        assert!((embedding.similarity(&embedding) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn refuses_values_without_a_direction() {
        for values in [vec![], vec![0.0, 0.0], vec![f32::NAN, 1.0], vec![f32::INFINITY]] {
            assert!(Embedding::new(values).is_err());
        }
    }
}
