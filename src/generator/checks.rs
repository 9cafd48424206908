//! A generator to what its tests ask of every one: how far images are apart, what is told of steps,
//! what becomes of a damaged checkpoint.

use std::path::Path;
use std::sync::{Arc, Mutex};

use futures::executor::block_on;

use super::{GenerateRequest, Generator, GeneratorExt, Progress};
use crate::models::common::golden::place;
use crate::models::{DType, Device};
use crate::{Error, Image, Result};

/// One image.
pub(super) fn draw(generator: &dyn Generator, request: GenerateRequest) -> Result<Image> {
    block_on(generator.generate_one(&request))
}

/// Largest and mean difference of two images, in 1/255.
pub(super) fn difference(found: &Image, expected: &Image) -> (u8, f64) {
    assert_eq!((found.width(), found.height()), (expected.width(), expected.height()));
    let pairs = found.pixels().iter().zip(expected.pixels());
    let each: Vec<u8> = pairs.map(|(&a, &b)| a.abs_diff(b)).collect();
    let sum: f64 = each.iter().map(|&d| f64::from(d)).sum();
    (each.iter().copied().max().unwrap(), sum / each.len() as f64)
}

/// Asserts that two images in `dtype` are the same: within 2 of 255 in f32; in 16 bits sums in another
/// order are rounded to other values.
#[track_caller]
pub(super) fn assert_near(name: &str, found: &Image, expected: &Image, dtype: DType) {
    let (largest, mean) = difference(found, expected);
    println!("{name}: largest {largest}, mean {mean:.4}");
    let (most, on_average) = match dtype {
        DType::F32 => (2, 0.1),
        DType::F16 => (8, 1.0),
        // An eighth of the precision of f16.
        DType::Bf16 => (40, 5.0),
    };
    assert!(largest <= most && mean <= on_average, "{name}: largest {largest}, mean {mean}");
}

/// Number and total of a step, and width and height of its preview.
type Told = (usize, usize, Option<(u32, u32)>);

/// What `request` is told of each step, with a preview every second step.
pub(super) fn told_steps(generator: &dyn Generator, mut request: GenerateRequest) -> Vec<Told> {
    let steps = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&steps);
    request.progress = Progress::new(move |step| {
        let preview = step.preview.map(|image| (image.width(), image.height()));
        listener.lock().unwrap().push((step.index, step.total, preview));
    })
    .with_previews_every(2);
    draw(generator, request).unwrap();
    std::mem::take(&mut *steps.lock().unwrap())
}

/// Asserts that `long`, whose caller leaves after its first step, stops for `next` before its end.
pub(super) fn assert_stops_between_steps(
    generator: &dyn Generator,
    mut long: GenerateRequest,
    next: GenerateRequest,
) {
    let (told, steps) = std::sync::mpsc::channel();
    let total = long.steps.unwrap();
    long.progress = Progress::new(move |step| {
        let _ = told.send(step.index);
    });
    let requests = [long];
    let mut drawing = generator.generate(&requests);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(drawing.as_mut().poll(&mut context).is_pending());
    assert_eq!(steps.recv().unwrap(), 1);
    drop(drawing);
    assert!(draw(generator, next).is_ok());
    assert!(steps.try_iter().last().unwrap_or(1) < total);
}

/// Asserts that two generators which draw at the same time do not disturb each other: on two GPUs
/// where there are two, and otherwise side by side on one device.
pub(super) fn assert_undisturbed<G: Generator>(
    load: impl Fn(Device) -> G,
    request: impl Fn(u64) -> GenerateRequest,
) {
    let second = match place() {
        Device::Cpu => Device::Cpu,
        Device::Cuda(number) => Device::Cuda(number + 1),
    };
    let second = if second.open().is_ok() { second } else { place() };
    let generators = [load(place()), load(second)];
    let requests: Vec<_> = (0..4).map(request).collect();
    let backwards: Vec<_> = requests.iter().rev().cloned().collect();
    let alone: Vec<_> =
        requests.iter().map(|request| draw(&generators[0], request.clone()).unwrap()).collect();
    let [one, other] = &generators;
    let (one, other) =
        block_on(futures::future::join(one.generate(&requests), other.generate(&backwards)));
    assert_eq!(one.unwrap(), alone);
    assert!(other.unwrap().iter().rev().eq(&alone));
}

/// The error of `request` with a `change`, before any step is taken.
pub(super) fn refused(
    generator: &dyn Generator,
    mut request: GenerateRequest,
    change: &dyn Fn(&mut GenerateRequest),
) -> Error {
    request.progress = Progress::new(|_| panic!("a step was taken"));
    change(&mut request);
    draw(generator, request).unwrap_err()
}

/// Asserts that `error` is about an input, and says `words`.
#[track_caller]
pub(super) fn assert_invalid_input(error: &Error, words: &str) {
    assert!(matches!(error, Error::InvalidInput { .. }), "{words}: {error}");
    assert!(error.to_string().contains(words), "{words}: {error}");
}

/// Asserts that `error` is about a file, and says `words`.
#[track_caller]
pub(super) fn assert_unfit(error: &Error, words: &str) {
    assert!(matches!(error, Error::Io { .. } | Error::InvalidFile { .. }), "{words}: {error}");
    assert!(error.to_string().contains(words), "{words}: {error}");
}

/// What becomes of the text of a file; none where the file goes.
pub(super) type Change = Box<dyn Fn(&str) -> Option<String>>;

/// The file goes.
pub(super) fn gone() -> Change {
    Box::new(|_| None)
}

/// `from`, which is there, becomes `to`.
pub(super) fn replace(from: &'static str, to: &'static str) -> Change {
    Box::new(move |text| {
        assert!(text.contains(from), "{from}");
        Some(text.replace(from, to))
    })
}

/// The file holds this text alone.
pub(super) fn overwrite(text: &'static str) -> Change {
    Box::new(|_| Some(text.to_owned()))
}

/// A copy of the checkpoint in `folder` with one file changed.
pub(super) fn broken(folder: &Path, file: &str, change: &Change) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(std::result::Result::unwrap) {
            let to = to.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => copy(&entry.path(), &to),
                false => drop(std::fs::copy(entry.path(), to).unwrap()),
            }
        }
    }
    let copied = tempfile::tempdir().unwrap();
    copy(folder, copied.path());
    let path = copied.path().join(file);
    match change(&String::from_utf8_lossy(&std::fs::read(&path).unwrap())) {
        Some(text) => std::fs::write(path, text).unwrap(),
        None => std::fs::remove_file(path).unwrap(),
    }
    copied
}
