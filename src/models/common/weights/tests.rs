//! Good, old, sharded, broken and hostile checkpoints.

use std::fs;
use std::path::PathBuf;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;
use tempfile::{TempDir, tempdir};

use super::*;

pub(super) fn write(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

pub(super) fn file(tensors: &[(&str, &[f32])]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, values)| values.iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, values), bytes)| {
        (*name, TensorView::new(Dtype::F32, vec![values.len()], bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// A file with this header and this many bytes of data.
fn raw(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

pub(super) fn open(path: &Path) -> Result<Weights> {
    Weights::open(path, Device::Cpu, Kind::Float)
}

#[test]
fn every_source_format_becomes_the_kind_asked_for() {
    let folder = tempdir().unwrap();
    let source = Tensor::from_slice(&[1f32, -2.5, 0.125]);
    let kinds = [Kind::Float, Kind::Half, Kind::BFloat16, Kind::Double, Kind::Int64];
    let named = kinds.map(|kind| (format!("deep.{kind:?}"), source.to_kind(kind)));
    let path = folder.path().join("model.safetensors");
    Tensor::write_safetensors(&named, &path).unwrap();
    for path in [path.as_path(), folder.path()] {
        let weights = open(path).unwrap().sub("deep");
        for name in ["Float", "Half", "BFloat16", "Double"] {
            let read = weights.get(name, &[3]).unwrap();
            assert_eq!((read.kind(), &read), (Kind::Float, &source), "{name}");
        }
        let (whole, brain) = (Kind::Int64, Kind::BFloat16);
        assert_eq!(weights.get_kind("Int64", &[3], whole).unwrap(), source.to_kind(whole));
        assert_eq!(weights.with_kind(brain).get("Half", &[3]).unwrap().kind(), brain);
        assert!(weights.contains("Half") && !weights.contains("half"));
        assert_eq!(weights.shape("Half"), Some(vec![3]));
    }
}

#[test]
fn a_tensor_outlives_its_file() {
    let folder = tempdir().unwrap();
    let path = write(&folder, "x.safetensors", file(&[("a", &[1.0, 2.0])]));
    let a = open(&path).unwrap().get("a", &[2]).unwrap();
    assert_eq!(a, Tensor::from_slice(&[1f32, 2.0]));
}

#[test]
fn what_is_stored_as_asked_for_is_used_in_place_and_the_file_stays_as_it_is() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let source = Tensor::from_slice(&[1f32, -2.5, 0.125, 7.0]);
    let kinds = [Kind::Float, Kind::Half, Kind::BFloat16, Kind::Double, Kind::Int64, Kind::Uint8];
    let named = kinds.map(|kind| (format!("{kind:?}"), source.abs().to_kind(kind)));
    Tensor::write_safetensors(&named, &path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let weights = open(&path).unwrap();
    for (kind, (name, expected)) in kinds.into_iter().zip(&named) {
        let [first, second] = [(); 2].map(|()| weights.get_kind(name, &[4], kind).unwrap());
        assert_eq!((first.kind(), &first), (kind, expected), "{name}");
        assert_eq!(first.data_ptr(), second.data_ptr(), "{name}: not in place");
        let other = if kind == Kind::Float { Kind::Double } else { Kind::Float };
        let [first, second] = [(); 2].map(|()| weights.get_kind(name, &[4], other).unwrap());
        assert_eq!(first, expected.to_kind(other), "{name}");
        assert_ne!(first.data_ptr(), second.data_ptr(), "{name}: cast in place");
    }
    // What nothing does: the map is private.
    let mut written = weights.get("Float", &[4]).unwrap();
    let _ = written.fill_(3.0);
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn misaligned_data_is_copied() {
    let folder = tempdir().unwrap();
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let values = [1.5f32, -3.0];
    let aligned = (0..4).filter(|&pad| {
        let mut bytes = raw(&format!("{header}{}", " ".repeat(pad)), 0);
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let weights = open(&write(&folder, "x.safetensors", bytes)).unwrap();
        let [first, second] = [(); 2].map(|()| weights.get("a", &[2]).unwrap());
        assert_eq!(first, Tensor::from_slice(&values), "{pad}");
        first.data_ptr() == second.data_ptr()
    });
    assert_eq!(aligned.count(), 1);
}

#[test]
fn a_wrong_shape_names_file_tensor_and_both_shapes() {
    let folder = tempdir().unwrap();
    let path = write(&folder, "x.safetensors", file(&[("a.weight", &[1.0, 2.0])]));
    let weights = open(&path).unwrap().sub("a");
    let error = weights.get("weight", &[2, 1]).unwrap_err().to_string();
    let file = path.display();
    assert_eq!(error, format!("{file}: tensor a.weight: expected shape [2, 1], found shape [2]"));
    let error = weights.get("bias", &[2]).unwrap_err().to_string();
    assert_eq!(error, format!("{file}: tensor a.bias: expected shape [2], found no such tensor"));
}

#[test]
fn broken_and_hostile_files_are_errors() {
    let folder = tempdir().unwrap();
    let whole = file(&[("a", &[1.0, 2.0, 3.0])]);
    let one = json!({"dtype": "F32", "shape": [1], "data_offsets": [0, 4]});
    let (most, beyond) = (i64::MAX, (1u64 << 63) + 3);
    let cases: Vec<Vec<u8>> = vec![
        vec![],
        vec![1, 2, 3],
        u64::MAX.to_le_bytes().to_vec(),
        (1u64 << 40).to_le_bytes().to_vec(),
        raw("{", 0),
        raw("[]", 0),
        raw(r#"{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}"#, 4),
        raw(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4),
        raw(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4),
        raw(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 0),
        raw(r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4),
        raw(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}"#, 0),
        raw(&json!({"a": one, "b": one}).to_string(), 4),
        raw(
            &format!(r#"{{"a":{{"dtype":"F32","shape":[1],"data_offsets":[{most},{beyond}]}}}}"#),
            4,
        ),
        raw(&"[".repeat(100_000), 0),
    ];
    for bytes in cases.into_iter().chain((0..whole.len()).map(|length| whole[..length].to_vec())) {
        let path = write(&folder, "x.safetensors", &bytes);
        let error = open(&path).unwrap_err();
        assert!(matches!(error, Error::InvalidFile { .. }), "{error}");
    }
    for (bytes, found) in [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer"),
        ("PK\x03\x04archive/data.pkl", "pickles in an archive"),
        ("GGUF\x03\0\0\0", "GGUF"),
        ("<!DOCTYPE html><html>", "web page"),
    ] {
        let error = open(&write(&folder, "x.safetensors", bytes)).unwrap_err().to_string();
        assert!(error.contains("x.safetensors: header") && error.contains(found), "{error}");
    }
    let path = write(
        &folder,
        "x.safetensors",
        raw(r#"{"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}}"#, 4),
    );
    let error = open(&path).unwrap().get("a", &[4]).unwrap_err().to_string();
    assert!(error.contains("tensor a") && error.contains("found I8"), "{error}");
}

#[test]
fn what_is_not_there_is_named() {
    let folder = tempdir().unwrap();
    assert!(matches!(open(&folder.path().join("no.safetensors")), Err(Error::Io { .. })));
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("model.safetensors") && error.contains("none of them"), "{error}");
    write(&folder, "pytorch_model.bin", "");
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("pytorch_model.bin") && error.contains("convert"), "{error}");
    #[cfg(unix)]
    {
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let error = open(&socket).unwrap_err().to_string();
        assert!(error.contains("found a socket"), "{error}");
    }
    for (name, words) in [
        ("model-00001-of-00002.safetensors", "Shards are read by their index"),
        ("other.safetensors", "found only other.safetensors"),
        ("diffusion_pytorch_model.fp16.bin", "diffusion_pytorch_model.fp16.bin. Pickles can run"),
        ("flax_model.msgpack", "found only flax_model.msgpack"),
    ] {
        let folder = tempdir().unwrap();
        write(&folder, name, "");
        write(&folder, "config.json", "{}");
        let error = open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    write(&folder, "model.safetensors.index.json", r#"{"weight_map": 3}"#);
    assert!(matches!(open(folder.path()), Err(Error::InvalidFile { .. })));
}

#[test]
fn recording_lists_what_was_asked_and_takes_no_memory() {
    let weights = Weights::recording();
    let huge = weights.sub("a").sub(0).get("weight", &[1 << 20, 1 << 20]).unwrap();
    assert_eq!((huge.size(), huge.stride()), (vec![1 << 20, 1 << 20], vec![0, 0]));
    let layer = weights.sub("b");
    assert!(!layer.contains("bias"));
    assert_eq!(layer.get("bias", &[]).unwrap().dim(), 0);
    let asked = weights.recorded();
    assert_eq!((asked.tensors(), asked.values()), (2, (1 << 40) + 1));
    assert_eq!(asked.shape("a.0.weight"), Some(&[1 << 20, 1 << 20][..]));
    assert_eq!(asked.shape("b.bias"), Some(&[][..]));
}

#[test]
fn what_is_held_outlives_its_file_and_what_is_checked_is_not_read() {
    let folder = tempdir().unwrap();
    let values = [1f32, 2.0, -3.5];
    let path = write(&folder, "weights.safetensors", file(&[("w", &values)]));
    let weights = open(&path).unwrap();
    let checked = weights.checked();
    let both = |weights: &Weights| {
        weights.get("w", &[3]).and_then(|_| weights.get_kind("w", &[3], Kind::Half))
    };
    let held = weights.held(both).unwrap();

    let [as_stored, cast] =
        [Kind::Float, Kind::Half].map(|kind| held.get_kind("w", &[3], kind).unwrap());
    fs::remove_file(path).unwrap();
    for kind in [Kind::Float, Kind::Half] {
        let again = held.get_kind("w", &[3], kind).unwrap();
        assert_eq!((again.kind(), again), (kind, Tensor::from_slice(&values).to_kind(kind)));
    }
    assert_eq!(as_stored, cast.to_kind(Kind::Float));

    assert_eq!(checked.get("w", &[3]).unwrap(), Tensor::zeros([3], (Kind::Float, Device::Cpu)));
    for weights in [held, checked] {
        for (name, shape) in [("w", [4]), ("v", [3])] {
            let error = weights.get(name, &shape).unwrap_err();
            assert!(matches!(error, Error::InvalidFile { .. }), "{name}: {error}");
        }
    }
}

/// On a GPU, where `golden::device` is one, this is more than all buffers on the way to it hold.
#[test]
fn tensors_on_a_device_are_those_of_the_file_however_they_come() {
    let device = crate::models::common::golden::device();
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let values = if device.is_cuda() { 60 << 20 } else { 1 << 20 };
    // Whole numbers that every format holds.
    let large = Tensor::arange(values, (Kind::Int, Device::Cpu)).remainder(251).to_kind(Kind::Half);
    let (small, none) = (large.narrow(0, 5, 3), large.narrow(0, 0, 0));
    let named = [("small", small), ("large", large), ("none", none)];
    Tensor::write_safetensors(&named, &path).unwrap();
    let weights = Weights::open(&path, device, Kind::Float).unwrap();
    let kinds = [Kind::Half, Kind::Float, Kind::BFloat16];
    let get_all = |weights: &Weights| {
        let asked = kinds.iter().flat_map(|&kind| named.iter().map(move |named| (kind, named)));
        let got = asked.map(|(kind, (name, tensor))| weights.get_kind(name, &tensor.size(), kind));
        got.collect::<Result<Vec<_>>>()
    };
    let held = weights.clone().held(get_all).unwrap();
    for weights in [&weights, &held, &held] {
        for (i, found) in get_all(weights).unwrap().into_iter().enumerate() {
            let (kind, (name, expected)) = (kinds[i / named.len()], &named[i % named.len()]);
            assert_eq!((found.kind(), found.device()), (kind, device), "{name}");
            let found = found.to_device(Device::Cpu).to_kind(Kind::Half);
            assert_eq!(&found, expected, "{name} in {kind:?}");
        }
    }
}
