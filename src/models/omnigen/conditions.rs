//! The rows of a batch to what their noise reads in each layer, at each step: keys and values that stay
//! on the device, or come from host memory layer by layer.

use std::ops::Range;

use tch::{Kind, Tensor};

use super::block::Qkv;
use super::condition::{Condition, keys_and_values};
use super::rope::Rope;
use crate::Result;
use crate::models::common::cuda::Cuda;
use crate::models::common::log_sum_exp::{attention_and_log_sum, merge};
use crate::models::common::prefetch::{Blocks, Prefetch};

/// A row up to its noise, with its keys and values where they stay.
#[derive(Debug)]
pub(crate) struct Row {
    layers: Layers,
    times: Vec<Tensor>,
    rope: Rope,
}

/// The keys and values of each layer of a [`Condition`].
#[derive(Debug)]
enum Layers {
    Device(Vec<Tensor>),
    Host { blocks: Vec<Range<usize>>, shape: Vec<i64>, kind: Kind },
}

impl Condition {
    /// Leaves the keys and values on the device.
    pub(crate) fn on_device(self) -> Row {
        Row { layers: Layers::Device(self.layers), times: self.times, rope: self.rope }
    }

    /// Moves the keys and values of the condition to `blocks`. Those of the times, which are few, stay.
    pub(crate) fn in_host_memory(self, blocks: &mut Blocks) -> Result<Row> {
        let first = self.layers.first();
        let (shape, kind) = first.map_or((vec![0], Kind::Float), |kv| (kv.size(), kv.kind()));
        let stored = self.layers.into_iter().map(|kv| blocks.store(&kv));
        let layers = Layers::Host { blocks: stored.collect::<Result<_>>()?, shape, kind };
        Ok(Row { layers, times: self.times, rope: self.rope })
    }
}

/// The rows of a batch, of which there is at least one.
#[derive(Debug)]
pub(crate) struct Conditions {
    rows: Vec<Row>,
    /// Where the noise of each row stands.
    pub(super) rope: Rope,
    prefetch: Option<Prefetch>,
}

impl Conditions {
    /// Rows on the device or, where there are `blocks`, rows that are all in these.
    pub(crate) fn new(rows: Vec<Row>, blocks: Option<(&'static Cuda, Blocks)>) -> Result<Self> {
        let rope = Rope::stack(&rows.iter().map(|row| &row.rope).collect::<Vec<_>>());
        let device = rope.device();
        let prefetch = |(cuda, blocks)| {
            let layers = 0..rows.iter().map(|row| row.times.len()).max().unwrap_or(0);
            let order = layers.flat_map(|layer| {
                rows.iter().filter_map(move |row| match &row.layers {
                    Layers::Host { blocks, .. } => blocks.get(layer).cloned(),
                    Layers::Device(_) => None,
                })
            });
            Prefetch::new(cuda, device, blocks, order.collect())
        };
        let prefetch = blocks.map(prefetch).transpose()?;
        Ok(Self { rows, rope, prefetch })
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> i64 {
        self.rows.len() as i64
    }

    /// What the noise of each row reads in `layer` at `step`: its condition, the time, and itself, of
    /// which `noise` are the queries, keys and values: `[rows, heads, tokens, head_dim]`. Layers are read
    /// one after the other.
    pub(super) fn read(&self, layer: usize, step: usize, noise: Qkv) -> Result<Tensor> {
        // 1. the noise itself
        let Qkv { q, k, v } = noise;
        let (read, log_sum) = attention_and_log_sum(&q, &k, &v);

        // 2. what stands before it, row by row
        for (i, row) in self.rows.iter().enumerate() {
            let of_row = |x: &Tensor| x.narrow(0, i as i64, 1);
            let q = of_row(&q);
            let read_before = |kv: &Tensor| {
                // The time's place is the last.
                let time = row.times[layer].narrow(2, step as i64, 1);
                kv.narrow(2, kv.size()[2] - 1, 1).copy_(&time);
                let [k, v] = keys_and_values(kv);
                attention_and_log_sum(&q, &k, &v)
            };
            let (before, before_sum) = match (&row.layers, &self.prefetch) {
                (Layers::Host { shape, kind, .. }, Some(prefetch)) => {
                    prefetch.next(*kind, shape, read_before)?
                }
                (Layers::Device(layers), _) => read_before(&layers[layer]),
                (Layers::Host { .. }, None) => continue,
            };
            let _ = merge((of_row(&read), of_row(&log_sum)), (&before, &before_sum));
        }
        Ok(read) // [rows, heads, tokens, head_dim]
    }
}
