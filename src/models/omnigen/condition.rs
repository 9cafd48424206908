//! The tokens that noise reads to keys and values, which are the same at every step.
//!
//! A row is a condition (text and pictures), the time and the noise. Text reads what stands before
//! it; a picture reads that and all of itself; the time reads the condition and itself; the noise reads
//! everything. So nothing that stands before the noise depends on it, and the condition does not
//! depend on the time either: the keys and values of both are found once, before the first step.

use tch::{Device, Kind, Tensor};

use super::block::Qkv;
use super::rope::{Positions, Rope};
use super::transformer::{OmniGenTransformer, Times};
use crate::Result;
use crate::models::common::log_sum_exp::{attention_and_log_sum, merge};
use crate::models::common::math::attention;
use crate::models::common::worker::Cancel;

/// Steps whose time tokens go through the network together.
const TIMES: i64 = 64;
/// Tokens of the condition that do, but for larger pictures. Where there is text among them each masks
/// what stands behind it, so that the mask, and with it the memory, would grow with the square of a
/// long text.
pub(crate) const CHUNK: usize = 1024;

/// A part of a row's condition.
#[derive(Debug)]
pub(crate) enum Part {
    /// Token numbers of a text.
    Text(Vec<i64>),
    /// The latents of a picture, `[1, c, h, w]`.
    Picture(Tensor),
}

/// A row up to its noise, on the device.
#[derive(Debug)]
pub(crate) struct Condition {
    /// Keys and values of each layer, `[2, heads, tokens + 1, head_dim]`: of the condition, and room for
    /// those of a time.
    pub(super) layers: Vec<Tensor>,
    /// Keys and values of each layer for the time of every step, `[2, heads, steps, head_dim]`.
    pub(super) times: Vec<Tensor>,
    /// Where the noise stands.
    pub(super) rope: Rope,
}

/// Keys and values, `[1, heads, tokens, head_dim]` each, of both in `kv`, `[2, heads, tokens, head_dim]`.
pub(super) fn keys_and_values(kv: &Tensor) -> [Tensor; 2] {
    [0, 1].map(|i| kv.narrow(0, i, 1))
}

impl OmniGenTransformer {
    /// The row that begins with `parts`, of which there is at least one token, and ends with `noise`
    /// tokens.
    pub(crate) fn condition(
        &self,
        parts: &[Part],
        positions: Positions,
        noise: i64,
        times: &Times,
        cancel: &Cancel,
    ) -> Result<Condition> {
        tch::no_grad(|| {
            // 1. room for all of it
            let tokens = parts.iter().map(|part| self.tokens_of(part)).sum::<i64>();
            let (config, options) = (self.config(), (self.kind, self.device));
            let shape = |tokens| [2, config.num_attention_heads, tokens, config.head_dim()];
            let room = |tokens| {
                self.blocks.iter().map(|_| Tensor::empty(shape(tokens), options)).collect()
            };
            let layers: Vec<_> = room(tokens + 1);

            // 2. the condition, part by part
            let mut start = 0;
            for chunk in self.chunks(parts)? {
                cancel.check()?;
                let end = start + chunk.tokens();
                let rope = self.rope(positions, start..end);
                let mask = chunk.mask(start, self.device);
                self.append(chunk.join(), &rope, mask.as_ref(), start, &layers);
                start = end;
            }

            // 3. the time of every step, which stands behind it
            let rope = self.rope(positions, tokens..tokens + 1);
            let count = times.tokens.size()[0];
            let time_layers: Vec<_> = room(count);
            for first in (0..count).step_by(TIMES as usize) {
                cancel.check()?;
                let length = TIMES.min(count - first);
                let some = times.tokens.narrow(0, first, length).unsqueeze(0);
                let room = time_layers.iter().map(|layer| layer.narrow(2, first, length));
                self.append_times(some, &rope, &layers, room);
            }

            // 4. where the noise is
            let rope = self.rope(positions, tokens + 1..tokens + 1 + noise);
            Ok(Condition { layers, times: time_layers, rope })
        })
    }

    /// The tokens of all `parts`, in chunks of at most [`CHUNK`] but for larger pictures.
    fn chunks(&self, parts: &[Part]) -> Result<Vec<Chunk>> {
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut push = |x: Tensor, is_picture: bool| {
            let fits = |chunk: &&mut Chunk| chunk.tokens() + x.size()[1] <= CHUNK as i64;
            match chunks.last_mut().filter(fits) {
                Some(chunk) => chunk.0.push((x, is_picture)),
                None => chunks.push(Chunk(vec![(x, is_picture)])),
            }
        };
        for part in parts {
            match part {
                Part::Text(ids) => ids.chunks(CHUNK).for_each(|ids| push(self.embed(ids), false)),
                Part::Picture(latents) => push(self.patches.reference(latents)?, true),
            }
        }
        Ok(chunks)
    }

    /// How many tokens `part` is.
    pub(crate) fn tokens_of(&self, part: &Part) -> i64 {
        let patch = self.config().patch_size;
        match part {
            Part::Text(ids) => ids.len() as i64,
            Part::Picture(latents) => latents.size()[2..].iter().map(|side| side / patch).product(),
        }
    }

    /// Takes tokens `x`, `[1, tokens, width]`, through all `layers`, behind those from 0 to `start` that
    /// are there.
    fn append(
        &self,
        mut x: Tensor,
        rope: &Rope,
        mask: Option<&Tensor>,
        start: i64,
        layers: &[Tensor],
    ) {
        let end = start + x.size()[1];
        for (i, (block, layer)) in self.blocks.iter().zip(layers).enumerate() {
            let Qkv { q, k, v } = block.qkv(&x, rope);
            for (mut room, new) in
                keys_and_values(&layer.narrow(2, start, end - start)).into_iter().zip([k, v])
            {
                room.copy_(&new); // [1, heads, tokens, head_dim]
            }
            // What comes out of the last layer is read by nobody.
            if i + 1 < layers.len() {
                let [k, v] = keys_and_values(&layer.narrow(2, 0, end));
                x = block.after(&x, &attention(&q, &k, &v, mask)); // [1, tokens, width]
            }
        }
    }

    /// Takes `x`, `[1, times, width]`, through all `layers` of a condition, and puts what it offers in the
    /// `room` of each. Each time reads the condition and itself.
    fn append_times(
        &self,
        mut x: Tensor,
        rope: &Rope,
        layers: &[Tensor],
        room: impl Iterator<Item = Tensor>,
    ) {
        let scale = (self.config().head_dim() as f64).sqrt().recip();
        for ((i, (block, layer)), room) in self.blocks.iter().zip(layers).enumerate().zip(room) {
            let Qkv { q, k, v } = block.qkv(&x, rope); // [1, heads, times, head_dim]
            for (mut room, new) in keys_and_values(&room).into_iter().zip([&k, &v]) {
                room.copy_(new);
            }
            if i + 1 < layers.len() {
                let [all_k, all_v] = keys_and_values(&layer.narrow(2, 0, layer.size()[2] - 1));
                let condition = attention_and_log_sum(&q, &all_k, &all_v);
                let own = (&q * &k).sum_dim_intlist(-1, true, Kind::Float) * scale; // [1, heads, times, 1]
                x = block.after(&x, &merge(condition, (&v, &own))); // [1, times, width]
            }
        }
    }
}

/// Neighboring tokens of text and of whole pictures, `[1, tokens, width]` each, that go through the
/// network together. `true` marks a picture.
struct Chunk(Vec<(Tensor, bool)>);

impl Chunk {
    fn tokens(&self) -> i64 {
        self.0.iter().map(|(x, _)| x.size()[1]).sum()
    }

    /// All of them, `[1, tokens, width]`.
    fn join(&self) -> Tensor {
        Tensor::cat(&self.0.iter().map(|(x, _)| x).collect::<Vec<_>>(), 1)
    }

    /// What each token behind `before` others reads of them all, `[tokens, before + tokens]`: those up
    /// to itself, and the whole of its picture. None where each reads everything.
    fn mask(&self, before: i64, device: Device) -> Option<Tensor> {
        let tokens = self.tokens();
        if tokens == 1 || matches!(self.0[..], [(_, true)]) {
            return None;
        }
        let mask = Tensor::ones([tokens, before + tokens], (Kind::Bool, device)).tril(before);
        let mut start = 0;
        for (x, is_picture) in &self.0 {
            let length = x.size()[1];
            if *is_picture {
                let mut own = mask.narrow(0, start, length).narrow(1, before + start, length);
                let _ = own.fill_(1);
            }
            start += length;
        }
        Some(mask)
    }
}
