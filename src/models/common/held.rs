//! Tensors that were asked for to copies of them that stay in host memory: for a GPU in one pinned
//! piece, for the CPU in their files' own pages where they are stored as asked for.

use std::collections::{HashMap, HashSet};

use tch::{Device, Kind, Tensor};

use super::cuda::{self, Registered, Stream};
use super::files::TensorFiles;
use super::stored::{Called, check, copied, read, sides};
use super::upload::Uploads;
use crate::{Error, Result};

/// Names of tensors, and the formats they were asked for in.
pub(crate) type Asked = HashSet<(String, Kind)>;

/// Tensors by name, and by the format they are in.
type Tensors = HashMap<(String, Kind), Tensor>;

/// Copies begin at multiples of so many bytes, as libtorch's own tensors do.
const ALIGNMENT: i64 = 64;

/// Copies in host memory.
pub(crate) struct Held {
    /// Dropped before the memory that it pins.
    _pin: Option<Pin>,
    tensors: Tensors,
}

impl Held {
    /// What is `asked` for of `files`, for `device`.
    pub(crate) fn new(files: &TensorFiles, asked: &Asked, device: Device) -> Result<Self> {
        let (tensors, piece) = copies(files, asked, device != Device::Cpu)?;
        // Pinned now that its pages are there. Where that fails, copies to the device are slower.
        let pin = match device {
            Device::Cuda(number) if piece.numel() > 0 => Pin::new(&piece, number).ok(),
            _ => None,
        };
        Ok(Self { _pin: pin, tensors })
    }

    /// The tensor `name` in the format `kind`, on `device`; `None` where nobody asked for it before.
    pub(crate) fn get(&self, name: &str, kind: Kind, device: Device) -> Called<Option<Tensor>> {
        let tensor = self.tensors.get(&(name.to_owned(), kind));
        // The host need not wait: nothing is written to what is held, and it stays until `Pin` has
        // waited.
        tensor.map(|tensor| tensor.f_to_device_(device, kind, true, false)).transpose()
    }
}

/// What is `asked` for of `files` on the CPU, in the formats asked for; in one piece of memory, which
/// is the second result, or each where it is cheapest. To pin one piece is faster than to pin each
/// tensor, of which libtorch would round up every size.
fn copies(files: &TensorFiles, asked: &Asked, in_one_piece: bool) -> Result<(Tensors, Tensor)> {
    let found = asked.iter().filter_map(|key| Some((key, files.get(&key.0)?)));
    let mut found: Vec<_> = found.collect();
    // From the begin of a file to its end.
    found.sort_unstable_by_key(|(_, stored)| stored.bytes.as_ptr());
    let bytes = |shape: &[i64], kind: Kind| {
        let width = i64::try_from(kind.elt_size_in_bytes()).unwrap_or(i64::MAX);
        shape.iter().product::<i64>() * width
    };
    let room = |bytes: i64| bytes + (-bytes).rem_euclid(ALIGNMENT);
    let rooms = found.iter().map(|((_, kind), stored)| room(bytes(&sides(stored), *kind)));
    let total = if in_one_piece { rooms.sum() } else { 0 };
    let piece = Tensor::f_empty([total], (Kind::Uint8, Device::Cpu))
        .map_err(|error| Error::backend("host memory of weights", error))?;

    let mut tensors = HashMap::with_capacity(found.len());
    let mut used = 0;
    for (key @ (name, kind), stored) in &found {
        let shape = sides(stored);
        let stored_kind = check(name, stored, &shape)?;
        let tensor = if in_one_piece {
            let bytes = bytes(&shape, *kind);
            let place = piece.f_narrow(0, used, bytes).and_then(|piece| piece.f_view_dtype(*kind));
            used += room(bytes);
            place.and_then(|place| place.f_view(shape.as_slice())).and_then(|mut place| {
                copied(stored, stored_kind, &shape, |view| place.f_copy_(view).map(|()| place))
            })
        } else {
            let put = (*kind, Device::Cpu);
            read(stored, stored_kind, &shape, put, &Uploads::default())
        };
        let failed = |error| Error::backend(format!("reading tensor {name}"), error);
        tensors.insert((*key).clone(), tensor.map_err(failed)?);
    }
    Ok((tensors, piece))
}

/// Memory that a GPU reads from directly, until this is dropped.
struct Pin {
    stream: Stream<'static>,
    _registered: Registered<'static>,
}

impl Pin {
    /// Pins `piece`, whose tensors must be dropped after this, for copies to GPU `device`.
    fn new(piece: &Tensor, device: usize) -> std::result::Result<Self, String> {
        let cuda = cuda::load().map_err(|error| error.to_string())?;
        cuda.set_device(device)?;
        // SAFETY: all bytes of a tensor on the CPU, to which nothing is written while they are
        // pinned. `Held` keeps it for longer: its tensors are the piece's.
        let registered = unsafe {
            let start = piece.data_ptr().cast::<u8>();
            cuda.register(std::slice::from_raw_parts_mut(start, piece.numel()))
        }?;
        Ok(Self { stream: cuda.stream(device)?, _registered: registered })
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // Copies that are on their way.
        let _ = self.stream.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_piece_holds_all_copies_beside_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let numbers = |count| Tensor::arange(count, (Kind::Float, Device::Cpu));
        let named = [("a", numbers(37)), ("b", numbers(4).view([2, 2])), ("none", numbers(0))];
        Tensor::write_safetensors(&named, &path).unwrap();
        let files = TensorFiles::open(&path).unwrap();
        let kinds = [Kind::Float, Kind::Half];
        let keys = |name: &str| kinds.map(|kind| (name.to_owned(), kind));
        let asked: Asked = named.iter().flat_map(|(name, _)| keys(name)).collect();
        let (tensors, piece) = copies(&files, &asked, true).unwrap();
        // In bytes: 148 and 74, 16 and 8, and nothing, each to the next 64.
        assert_eq!((tensors.len(), piece.numel()), (6, 192 + 128 + 64 + 64));
        let mut starts = Vec::new();
        for (name, expected) in &named {
            for kind in kinds {
                let found = &tensors[&((*name).to_owned(), kind)];
                assert_eq!((found.kind(), found), (kind, &expected.to_kind(kind)), "{name}");
                if found.numel() > 0 {
                    starts.push(found.data_ptr() as usize - piece.data_ptr() as usize);
                }
            }
        }
        starts.sort_unstable();
        starts.dedup();
        assert_eq!(starts.len(), 4);
        assert!(starts.iter().all(|start| start.is_multiple_of(64)), "{starts:?}");
    }
}
