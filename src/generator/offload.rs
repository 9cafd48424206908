//! Networks that wait on the device, in host memory or in their files until they are needed.

use std::path::PathBuf;

use tch::{Device, Kind};

use crate::Result;
use crate::models::common::weights::Weights;

/// Where the large networks of a generator are while they are not needed: the text encoders while it
/// draws, and the transformer while it encodes a new prompt. The VAE is small and stays on the
/// device. `docs/weights.md` lists the memory of each, for FLUX and for PixArt-Σ.
///
/// GPU memory that a network frees stays in libtorch's caching allocator: other programs do not see
/// it as free. The environment variable `PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True` reduces
/// fragmentation of that memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Offload {
    /// Everything stays on the device. This is fastest and needs the most device memory.
    #[default]
    None,
    /// The networks are kept in pinned host memory and copied to the GPU when they are needed. If
    /// the device is the CPU, they are used from the memory-mapped files, which must not be written
    /// to while the generator lives.
    Cpu,
    /// A network that is not needed is dropped, and read again from its files. They must not change
    /// while the generator lives.
    Disk,
}

/// Where and how networks are put.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placing {
    pub(super) device: Device,
    pub(super) kind: Kind,
    pub(super) offload: Offload,
}

/// What builds a network `N` of settings `C`.
type Build<N, C> = fn(&Weights, &C) -> Result<N>;

/// A network that is there when it is needed.
#[derive(Debug)]
pub(super) enum Part<N, C> {
    Stays(N),
    Comes { build: Build<N, C>, config: C, source: Source, network: Option<N> },
}

/// Where the weights come from whenever the network is built.
#[derive(Debug)]
pub(super) enum Source {
    Host(Weights),
    Files(PathBuf, Device, Kind),
}

impl<N, C> Part<N, C> {
    /// The network of the weights at `path`. Its files are checked here, whenever they are read.
    pub(super) fn open(
        path: PathBuf,
        config: C,
        build: Build<N, C>,
        Placing { device, kind, offload }: Placing,
    ) -> Result<Self> {
        let weights = Weights::open(&path, device, kind)?;
        let source = match offload {
            Offload::None => return Ok(Self::Stays(build(&weights, &config)?)),
            Offload::Cpu => Source::Host(weights.held(|weights| build(weights, &config))?),
            Offload::Disk => {
                build(&weights.checked(), &config)?;
                Source::Files(path, device, kind)
            }
        };
        Ok(Self::Comes { build, config, source, network: None })
    }

    /// The network, on its device.
    pub(super) fn get(&mut self) -> Result<&N> {
        match self {
            Self::Stays(network) => Ok(network),
            Self::Comes { network: Some(network), .. } => Ok(network),
            Self::Comes { build, config, source, network } => {
                let built = match source {
                    Source::Host(weights) => build(weights, config)?,
                    Source::Files(path, device, kind) => {
                        build(&Weights::open(path, *device, *kind)?, config)?
                    }
                };
                Ok(network.insert(built))
            }
        }
    }

    /// Makes room on the device, unless the network stays.
    pub(super) fn leave(&mut self) {
        if let Self::Comes { network, .. } = self {
            *network = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tch::Tensor;

    use super::*;
    use crate::models::common::golden::fixture;

    /// One bias, and how often it was built.
    fn open(folder: PathBuf, offload: Offload) -> (Part<Tensor, Arc<AtomicUsize>>, Tensor) {
        let placing = Placing { device: Device::Cpu, kind: Kind::Float, offload };
        let build: Build<Tensor, Arc<AtomicUsize>> = |weights, built| {
            built.fetch_add(1, Ordering::Relaxed);
            weights.get("proj_out.bias", &[8])
        };
        let expected = Weights::open(&folder, Device::Cpu, Kind::Float).unwrap();
        let expected = expected.get("proj_out.bias", &[8]).unwrap();
        (Part::open(folder, Arc::default(), build, placing).unwrap(), expected)
    }

    #[test]
    fn networks_are_built_when_they_are_needed_and_leave_where_they_may() {
        let (mut part, expected) = open(fixture("flux/layers/dev"), Offload::None);
        part.leave();
        assert!(matches!(&part, Part::Stays(bias) if *bias == expected));
        assert_eq!(part.get().unwrap(), &expected);

        for offload in [Offload::Cpu, Offload::Disk] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("model.safetensors");
            let weights = "flux/layers/dev/diffusion_pytorch_model.safetensors";
            std::fs::copy(fixture(weights), &file).unwrap();
            let (mut part, expected) = open(folder.path().to_owned(), offload);
            let mut state = |get: bool| {
                if get {
                    assert_eq!(part.get().unwrap(), &expected);
                } else {
                    part.leave();
                }
                let Part::Comes { config, network, .. } = &part else { panic!("it stays") };
                (config.load(Ordering::Relaxed), network.is_some())
            };
            // Once to check it, and then whenever it comes.
            let states = [false, true, true, false, true].map(&mut state);
            assert_eq!(states, [(1, false), (2, true), (2, true), (2, false), (3, true)]);
            state(false);
            std::fs::remove_file(file).unwrap();
            assert_eq!(part.get().is_ok(), offload == Offload::Cpu);
        }
    }
}
