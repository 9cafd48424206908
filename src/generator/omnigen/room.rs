//! What a batch takes of memory, and what is free, to where its keys and values are kept.

use super::memory::{Batch, KvCache, MemoryEstimate, size};
use crate::{Error, Result};

/// Where the keys and values of a batch are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Device,
    Host,
}

/// What memory there is.
pub(super) struct Room<F: Fn(u64) -> Result<Option<u64>>> {
    /// Bytes that are free on the device, as far as so many are wanted; none where nobody knows.
    pub(super) on_device: F,
    /// Bytes that are free in host memory; none where nobody knows.
    pub(super) on_host: Option<u64>,
    /// Whether the two are different memories.
    pub(super) are_apart: bool,
}

/// What a batch wants of a memory that has less.
struct Lack {
    wanted: u64,
    free: u64,
    memory: &'static str,
}

impl<F: Fn(u64) -> Result<Option<u64>>> Room<F> {
    /// Where `batch`, which takes what is estimated, keeps its keys and values under `policy`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where there is no room for it.
    pub(super) fn place(
        &self,
        policy: KvCache,
        batch: &Batch,
        estimate: &MemoryEstimate,
    ) -> Result<Place> {
        let places = match policy {
            _ if !self.are_apart => &[Place::Device][..],
            KvCache::Device => &[Place::Device],
            KvCache::Host => &[Place::Host],
            // A smaller batch costs less than host memory does.
            KvCache::Auto if batch.jobs > 1 => &[Place::Device],
            KvCache::Auto => &[Place::Device, Place::Host],
        };
        let mut last = None;
        for place in places {
            match self.lack(*place, estimate)? {
                Some(lack) => last = Some(lack),
                None => return Ok(*place),
            }
        }
        let host = policy == KvCache::Device && self.are_apart;
        let host = host.then_some(estimate.with_host_cache);
        last.map_or(Ok(Place::Device), |lack| Err(lack.error(batch, host)))
    }

    fn lack(&self, place: Place, estimate: &MemoryEstimate) -> Result<Option<Lack>> {
        let &MemoryEstimate { keys_and_values, with_device_cache, with_host_cache, .. } = estimate;
        let lack = |wanted, free: Option<u64>, memory| {
            free.filter(|free| *free < wanted).map(|free| Lack { wanted, free, memory })
        };
        let on_device = |wanted| {
            Ok(lack(wanted, (self.on_device)(wanted)?, "on the device beside the weights"))
        };
        match place {
            Place::Device => on_device(with_device_cache),
            Place::Host => {
                let on_host = lack(keys_and_values, self.on_host, "of host memory");
                Ok(on_device(with_host_cache)?.or(on_host))
            }
        }
    }
}

impl Lack {
    /// With what would help; `host` is what the batch takes on the device if its keys and values do not.
    fn error(&self, batch: &Batch, host: Option<u64>) -> Error {
        let rows = batch.conditions.len();
        let mut help = Vec::new();
        if batch.picture > 0 {
            help.push("a smaller max_input_image_size, fewer references".to_owned());
        }
        if let Some(host) = host.filter(|host| *host < self.wanted) {
            help.push(format!("KvCache::Host, which takes {} there", size(host)));
        }
        help.push("a smaller image".to_owned());
        let source = format!(
            "{rows} rows of up to {} tokens take about {} {}, where {} are free; what helps: {}",
            batch.longest_row(),
            size(self.wanted),
            self.memory,
            size(self.free),
            help.join(", ")
        );
        let what = "keeping keys and values of OmniGen".to_owned();
        Error::OutOfMemory { what, requested: Some(self.wanted), source: source.into() }
    }
}
