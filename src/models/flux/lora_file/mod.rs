//! A LoRA file in any of the spellings that diffusers reads to the differences of a transformer's
//! layers.

mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::lora::{Delta, Lora, Site};
use crate::models::common::files::TensorFiles;
use crate::models::common::inventory::Inventory;
use crate::models::common::json::require;
use crate::models::common::weights::Weights;
use crate::{Error, Result};
use names::{Part, adapted, parse};

/// What a file has of one layer, or of several that it holds as one.
struct Entry {
    /// The layers by diffusers' names.
    layers: Vec<String>,
    /// Both factors: the names of their tensors and the shapes `[rank, inputs]` and
    /// `[outputs, rank]`.
    factors: [(String, [i64; 2]); 2],
    /// The tensor of alpha, where it counts.
    alpha: Option<String>,
}

impl Lora {
    /// The differences in the file at `path` for a transformer with these `sites`: any of the layers
    /// that OminiControl adapts, each of a rank of its own.
    ///
    /// In kohya's spelling a difference counts `alpha / rank` times, as diffusers converts it. In
    /// diffusers' own, it counts once whatever `alpha` the file tells, as OminiControl's program
    /// does it.
    pub(crate) fn open(path: &Path, sites: &[Site], device: Device, kind: Kind) -> Result<Self> {
        let weights = Weights::open(path, device, kind)?;
        let mut deltas: Vec<Option<Delta>> = sites.iter().map(|_| None).collect();
        for Entry { layers, factors: [(a_name, a), (b_name, b)], alpha } in entries(path)?.values()
        {
            // 1. the layers, and the shapes that they ask for
            let site = |name: &String| {
                let at = sites.iter().position(|site| site.name == *name);
                at.ok_or_else(|| {
                    let what = format!("layer {name}");
                    Error::invalid_file(path, what, "a layer of the transformer", "none")
                })
            };
            let at = layers.iter().map(site).collect::<Result<Vec<_>>>()?;
            let outputs: i64 = at.iter().map(|&at| sites[at].outputs).sum();
            let expected = [[a[0], sites[at[0]].inputs], [outputs, a[0]]];
            for ((name, found), expected) in [(a_name, a), (b_name, b)].into_iter().zip(expected) {
                let (what, shape) = (format!("tensor {name}"), format!("shape {expected:?}"));
                require(path, &what, *found == expected, shape, format!("{found:?}"))?;
            }

            // 2. the factors
            let mut down = weights.get(a_name, a)?; // [rank, inputs]
            if let Some(alpha) = alpha {
                let scale = number(path, &weights, alpha)? / a[0] as f64;
                down = (down.to_kind(Kind::Float) * scale).to_kind(kind);
            }
            let up = weights.get(b_name, b)?; // [outputs, rank]
            let mut row = 0;
            for at in at {
                let outputs = sites[at].outputs;
                let (a, b) = (down.shallow_clone(), up.narrow(0, row, outputs));
                if deltas[at].replace(Delta { a, b }).is_some() {
                    let what = format!("layer {}", sites[at].name);
                    return Err(Error::invalid_file(path, what, "once", "in two spellings"));
                }
                row += outputs;
            }
        }
        Ok(Self(deltas))
    }
}

/// The number in the tensor `name`.
fn number(path: &Path, weights: &Weights, name: &str) -> Result<f64> {
    let shape = weights.shape(name).unwrap_or_default();
    let one = shape.iter().product::<i64>() == 1;
    require(path, &format!("tensor {name}"), one, "one number", format!("shape {shape:?}"))?;
    let value = weights.get_kind(name, &shape, Kind::Float)?;
    let value = Tensor::double_value(&value.reshape([1]), &[0]);
    let what = format!("tensor {name}");
    require(path, &what, value.is_finite(), "a finite number", value).map(|()| value)
}

/// Names and shapes of the factors in the LoRA file at `path`, after checking that it is one.
pub(crate) fn inventory(path: &Path) -> Result<Inventory> {
    let mut inventory = Inventory::default();
    for entry in entries(path)?.into_values() {
        for (name, shape) in entry.factors {
            inventory.insert(name, shape.to_vec());
        }
    }
    Ok(inventory)
}

/// What the file has of each layer, by its name there: both factors, which fit each other.
fn entries(path: &Path) -> Result<BTreeMap<String, Entry>> {
    // 1. names to layers
    let files = TensorFiles::open(path)?;
    let names = files.names();
    let mut found: BTreeMap<&str, ([Option<&String>; 2], Option<&String>)> = BTreeMap::new();
    for name in &names {
        let unknown =
            |expected: &str| Err(Error::invalid_file(path, "name of a tensor", expected, name));
        let (factors, alpha) = match parse(name) {
            Some((layer, Part::Factor(factor))) => {
                let (factors, _) = found.entry(layer).or_default();
                if let Some(other) = factors[factor].replace(name) {
                    let what = format!("layer {layer}");
                    let found = format!("{other} and {name}");
                    return Err(Error::invalid_file(path, what, "each factor once", found));
                }
                continue;
            }
            Some((layer, Part::Alpha)) => (layer, name),
            Some((_, Part::Dora)) => return unknown("a LoRA without magnitudes (not DoRA)"),
            None => {
                return unknown(
                    "transformer.LAYER.lora_A.weight or .lora_B.weight, or what kohya's scripts, \
                     PEFT or XLabs call them",
                );
            }
        };
        found.entry(factors).or_default().1 = Some(alpha);
    }
    // An alpha whose layer is not there says nothing.
    found.retain(|_, (factors, _)| factors.iter().any(Option::is_some));
    if found.is_empty() {
        return Err(Error::invalid_file(path, "LoRA", "at least one layer", "none"));
    }

    // 2. each a layer of the condition, with both factors of one rank
    let checked = found.into_iter().map(|(layer, (factors, alpha))| {
        let invalid = |what: &str, expected: String, found: String| {
            Error::invalid_file(path, format!("{what} {layer}"), expected, found)
        };
        let Some(layers) = adapted(layer) else {
            return Err(invalid("layer", names::expected(), layer.to_owned()));
        };
        let (a, b) = match factors {
            [Some(a), Some(b)] => (a, b),
            [a, _] => {
                let halves = if a.is_some() { ["lora_A", "lora_B"] } else { ["lora_B", "lora_A"] };
                let found = halves.join(" without ");
                return Err(invalid("layer", "lora_A and lora_B".to_owned(), found));
            }
        };
        let shape = |name: &str| {
            let shape = files.get(name).map(|stored| stored.info.shape.clone()).unwrap_or_default();
            let side = |&side| i64::try_from(side).unwrap_or(i64::MAX);
            shape.iter().map(side).collect::<Vec<_>>()
        };
        let shapes = [shape(a), shape(b)];
        match shapes.clone().map(<[i64; 2]>::try_from) {
            [Ok(one), Ok(other)] if one[0] == other[1] && one[0] > 0 => {
                let factors = [(a.clone(), one), (b.clone(), other)];
                let alpha = alpha.filter(|_| names::counts_alpha(a)).cloned();
                Ok((layer.to_owned(), Entry { layers, factors, alpha }))
            }
            _ => {
                let expected = "lora_A [rank, inputs] and lora_B [outputs, rank]".to_owned();
                let [a, b] = shapes;
                Err(invalid("ranks of layer", expected, format!("{a:?} and {b:?}")))
            }
        }
    });
    checked.collect()
}
