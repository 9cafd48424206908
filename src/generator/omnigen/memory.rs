//! A request, or a batch of them, to the memory that it will take.

use std::fmt;

use tch::Kind;

use super::check::{Checks, images};
use super::guidance::rows;
use crate::Result;
use crate::generator::local::Job;
use crate::models::VaeTiling;
use crate::models::common::weights::Weights;
use crate::models::omnigen::condition::CHUNK;
use crate::models::omnigen::config::OmniGenConfig;
use crate::models::omnigen::picture::{MULTIPLE, prepared_size};
use crate::models::omnigen::prompt::Piece;
use crate::models::omnigen::transformer::OmniGenTransformer;
use crate::models::vae::{Vae, VaeConfig};
use crate::named::named;

/// Where [`OmniGen`](super::OmniGen) keeps the keys and values of what stands before the noise, which
/// every step reads. They take much memory: 393 kB a token and row in 16 bits, 9.9 GB for an image with
/// three references of 1,024 x 1,024 pixels.
///
/// If the device is the CPU, `Host` is the same as `Device`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KvCache {
    /// On the device where they fit there beside the work itself, and else in host memory. Several
    /// requests that do not fit the device together are drawn in smaller batches first.
    #[default]
    Auto,
    /// On the device.
    Device,
    /// In pinned host memory. Each step copies all of them to the device, one layer ahead of its work.
    /// That is slower where the copies take longer than the work: 10 GB take 0.4 s on a bus of 25 GB/s.
    /// The memory is kept for the next request until the model is dropped.
    Host,
}

named!(KvCache, "kv cache", { Auto: "auto", Device: "device", Host: "host" });

/// What a request takes of memory, in bytes, as [`OmniGen::estimate`](super::OmniGen::estimate) finds it
/// from sizes alone. What it really takes is mostly within a quarter of that.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryEstimate {
    /// The tokens of each row that a step computes: text and pictures, one for the time, and those of the
    /// image. Rows that guidance cancels are left out.
    pub row_tokens: Vec<u64>,
    /// The weights of transformer and VAE on the device. The table of positions is not among them; it
    /// stays in host memory.
    pub weights: u64,
    /// The keys and values that are kept of all rows: on the device, or in host memory.
    pub keys_and_values: u64,
    /// The most that is on the device at once beside the weights, with [`KvCache::Device`].
    pub with_device_cache: u64,
    /// The same with [`KvCache::Host`] on a GPU.
    pub with_host_cache: u64,
}

impl fmt::Display for MemoryEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens: Vec<_> = self.row_tokens.iter().map(u64::to_string).collect();
        write!(
            f,
            "rows of {} tokens; weights {}, keys and values {}; beside the weights {} with a cache on \
             the device, {} with one in host memory",
            tokens.join(", "),
            size(self.weights),
            size(self.keys_and_values),
            size(self.with_device_cache),
            size(self.with_host_cache),
        )
    }
}

/// Bytes for a reader.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// What is drawn together, in tokens and pixels.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    /// How many images it is.
    pub(super) jobs: usize,
    /// Tokens before the time, of each row that is computed.
    pub(super) conditions: Vec<u64>,
    /// Tokens of an image.
    pub(super) noise: u64,
    pub(super) steps: u64,
    /// The most tokens that go through the network at once before the first step, and those that have a mask.
    pub(super) picture: u64,
    pub(super) chunk: u64,
    /// Pixels of an image, and of the largest reference.
    pub(super) pixels: u64,
    pub(super) reference_pixels: u64,
}

impl Batch {
    /// What `jobs` are, which have the same size, steps and guidance.
    pub(super) fn of<'a>(checks: &Checks, jobs: impl Iterator<Item = &'a Job>) -> Result<Self> {
        let mut batch = Self::default();
        for job in jobs {
            batch.jobs += 1;
            let pixels = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
            let tokens = |pixels: u64| pixels / u64::from(MULTIPLE).pow(2);
            let most = checks.options.max_input_image_size;
            let prepared = images(job)
                .iter()
                .map(|image| Ok(pixels(prepared_size((image.width(), image.height()), most)?)));
            let pictures = prepared.collect::<Result<Vec<_>>>()?;
            (batch.pixels, batch.noise) = (pixels(job.size), tokens(pixels(job.size)));
            batch.steps = job.steps as u64;
            let scale = (!pictures.is_empty()).then_some(checks.options.image_guidance_scale);
            for (row, _) in rows(job.guidance.unwrap_or(1.0), scale) {
                let mut condition = 0;
                for piece in checks.read(job, row)? {
                    condition += match piece {
                        Piece::Text(ids) => ids.len() as u64,
                        Piece::Picture(number) => {
                            batch.picture = batch.picture.max(tokens(pictures[number]));
                            tokens(pictures[number])
                        }
                    };
                }
                batch.chunk = batch.chunk.max(condition.min(CHUNK as u64));
                batch.conditions.push(condition);
            }
            batch.reference_pixels = pictures.into_iter().fold(batch.reference_pixels, u64::max);
        }
        Ok(batch)
    }

    /// Tokens of the longest row.
    pub(super) fn longest_row(&self) -> u64 {
        self.conditions.iter().max().map_or(0, |condition| condition + 1 + self.noise)
    }
}

/// What a checkpoint and its settings say of memory.
#[derive(Clone, Debug)]
pub(super) struct Footprint {
    width: u64,
    inner: u64,
    layers: u64,
    /// Bytes of a value.
    value: u64,
    /// Bytes of all weights on the device.
    weights: u64,
    vae: VaeConfig,
    vae_kind: Kind,
    tiling: VaeTiling,
}

impl Footprint {
    /// Of networks in the format `kind`.
    pub(super) fn new(
        transformer: &OmniGenConfig,
        vae: &VaeConfig,
        kind: Kind,
        tiling: VaeTiling,
    ) -> Result<Self> {
        let bytes = |kind: Kind| kind.elt_size_in_bytes() as u64;
        let [of_transformer, of_vae] = [Weights::recording(), Weights::recording()];
        OmniGenTransformer::new(&of_transformer, transformer)?;
        Vae::new(vae.clone(), &of_vae)?;
        let [width, inner, layers, side] = [
            transformer.hidden_size,
            transformer.intermediate_size,
            transformer.num_layers,
            transformer.pos_embed_max_size,
        ]
        .map(i64::unsigned_abs);
        let vae_kind = vae.kind(kind);
        let on_device = of_transformer.recorded().values() - side * side * width;
        let weights = on_device * bytes(kind) + of_vae.recorded().values() * bytes(vae_kind);
        let vae = vae.clone();
        Ok(Self { width, inner, layers, value: bytes(kind), weights, vae, vae_kind, tiling })
    }

    /// What `batch` takes.
    pub(super) fn estimate(&self, batch: &Batch) -> MemoryEstimate {
        let Batch { conditions, noise, steps, picture, chunk, .. } = batch;
        // 1. keys and values: of each token, and of each time beside it
        let layer = |tokens: u64| 2 * tokens * self.width * self.value;
        let row = |condition: &u64| self.layers * layer(condition + 1);
        let kept = |condition: &u64| row(condition) + self.layers * layer(*steps);
        let keys_and_values: u64 = conditions.iter().map(row).sum();
        let times = conditions.iter().map(kept).sum::<u64>() - keys_and_values;
        let longest = conditions.iter().max().copied().unwrap_or(0);

        // 2. tokens in a layer: three times themselves, and gate and up with their product
        let tokens = |tokens: u64| tokens * 3 * (self.width + self.inner) * self.value;
        // A mask is there in bytes and in values.
        let masked = tokens(*chunk) + chunk * longest * (1 + self.value);
        let before = tokens(*picture).max(masked);
        let step = tokens(conditions.len() as u64 * noise);

        // 3. the VAE, before and after all that
        let vae =
            self.vae.activations(batch.pixels, batch.reference_pixels, self.vae_kind, self.tiling);
        let in_host_memory = (row(&longest) + before).max(2 * layer(longest + 1) + step);
        MemoryEstimate {
            row_tokens: conditions.iter().map(|condition| condition + 1 + noise).collect(),
            weights: self.weights,
            keys_and_values,
            with_device_cache: (keys_and_values + times + before.max(step)).max(vae),
            with_host_cache: (times + in_host_memory).max(vae),
        }
    }
}
