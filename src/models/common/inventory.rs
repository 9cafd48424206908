//! [`Inventory`]: what a network asks its checkpoint for, as names and shapes.

use std::collections::BTreeMap;
use std::fmt;

/// Names of tensors with their shapes, sorted by name. Its `Display` is one JSON object.
///
/// ```no_run
/// use imagerag::models::{Inventory, inventory};
///
/// /// What `other` lacks of `asked`, or has in another shape.
/// fn missing<'a>(asked: &'a Inventory, other: &Inventory) -> Vec<&'a str> {
///     let differs = |(name, shape): &(&str, &[i64])| other.shape(name) != Some(*shape);
///     asked.iter().filter(differs).map(|(name, _)| name).collect()
/// }
///
/// let base = inventory("sdxl-unet", "base/unet/config.json")?;
/// let refiner = inventory("sdxl-unet", "refiner/unet/config.json")?;
/// println!("{} of {} tensors differ", missing(&base, &refiner).len(), base.tensors());
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory(BTreeMap<String, Vec<i64>>);

impl Inventory {
    pub(crate) fn insert(&mut self, name: String, shape: Vec<i64>) {
        self.0.insert(name, shape);
    }

    /// Number of tensors.
    pub fn tensors(&self) -> usize {
        self.0.len()
    }

    /// Number of values in all tensors together.
    pub fn values(&self) -> u64 {
        let values =
            |shape: &Vec<i64>| shape.iter().map(|side| side.unsigned_abs()).product::<u64>();
        self.0.values().map(values).sum()
    }

    /// The shape of the tensor `name`; a number is a shape of no sides.
    pub fn shape(&self, name: &str) -> Option<&[i64]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Names and shapes, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[i64])> {
        self.0.iter().map(|(name, shape)| (name.as_str(), shape.as_slice()))
    }
}

impl fmt::Display for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A name or a shape in Debug is the same in JSON: names here are plain ASCII.
        let entries: Vec<_> =
            self.iter().map(|(name, shape)| format!("\n{name:?}: {shape:?}")).collect();
        write!(f, "{{{}\n}}", entries.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Shapes = BTreeMap<String, Vec<i64>>;

    #[test]
    fn displays_as_json() {
        let mut inventory = Inventory::default();
        inventory.insert("b.weight".into(), vec![2, 3]);
        inventory.insert("a".into(), vec![]);
        let read: Shapes = serde_json::from_str(&inventory.to_string()).unwrap();
        assert_eq!(read, inventory.0);
        assert_eq!((inventory.tensors(), inventory.values()), (2, 7));
        let empty: Shapes = serde_json::from_str(&Inventory::default().to_string()).unwrap();
        assert_eq!(empty, Shapes::new());
    }
}
