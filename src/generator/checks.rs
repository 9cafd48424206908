//! A generator to what its tests ask of every one: how far images are apart, what is told of steps,
//! what becomes of a damaged checkpoint.

use std::fmt::Display;
use std::path::Path;
use std::sync::mpsc::channel;

use futures::executor::block_on;
use serde_json::Value;

use super::{GenerateRequest, Generator, GeneratorExt, Loading, Progress};
use crate::conditioner::Conditioning;
use crate::models::common::golden::{copy, dtype, place};
use crate::models::common::json::read_json;
use crate::models::{DType, Device};
use crate::{Error, Image, Result};

/// One image.
pub(super) fn draw(generator: &dyn Generator, request: GenerateRequest) -> Result<Image> {
    Ok(block_on(generator.generate_one(&request))?.image)
}

/// The images of `requests`, drawn together.
#[track_caller]
pub(super) fn images(generator: &dyn Generator, requests: &[GenerateRequest]) -> Vec<Image> {
    block_on(generator.generate(requests)).unwrap().into_iter().map(|drawn| drawn.image).collect()
}

/// The images of `requests`, drawn together; each is the same that it is alone.
#[track_caller]
pub(super) fn draw_together(generator: &dyn Generator, requests: &[GenerateRequest]) -> Vec<Image> {
    let together = images(generator, requests);
    for (request, image) in requests.iter().zip(&together).rev() {
        assert_same(&draw(generator, request.clone()).unwrap(), image);
    }
    together
}

/// Three requests like `request` that differ in prompt, negative prompt and seed.
pub(super) fn three(request: &GenerateRequest) -> [GenerateRequest; 3] {
    let each = [
        (1, "a bird", "grey"),
        (2, "a house by the sea", "blurred, text"),
        (3, "a bird", "people"),
    ];
    each.map(|(seed, prompt, negative)| {
        let (prompt, negative_prompt) = (prompt.into(), Some(negative.into()));
        GenerateRequest { seed, prompt, negative_prompt, steps: Some(3), ..request.clone() }
    })
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

/// Asserts that two images are the same for a caller: that of a batch and that of a request alone.
#[track_caller]
pub(super) fn assert_same(found: &Image, expected: &Image) {
    match dtype() {
        DType::F32 => {
            assert!(difference(found, expected).0 <= 1, "{:?}", difference(found, expected));
        }
        // Sums of a batch run in another order.
        dtype => assert_near("of a batch", found, expected, dtype),
    }
}

/// Asserts that `requests` are drawn as one batch: each is told of its steps right beside the others,
/// with previews where it asked for them, and has the image that it has alone.
#[track_caller]
pub(super) fn assert_one_batch(generator: &dyn Generator, requests: &[GenerateRequest]) {
    let (tell, told) = channel();
    let watched = requests.iter().enumerate().map(|(i, request)| {
        let tell = tell.clone();
        let progress = Progress::new(move |step| {
            tell.send((step.index, i, step.preview.is_some())).unwrap();
        });
        // None of the first, all of the second, every second of the third.
        GenerateRequest { progress: progress.with_previews_every(i), ..request.clone() }
    });
    let watched: Vec<_> = watched.collect();
    let together = images(generator, &watched);
    let told: Vec<_> = told.try_iter().collect();
    let steps = 1..=told.len() / requests.len();
    let expected = steps.flat_map(|step| {
        (0..requests.len()).map(move |i| (step, i, i > 0 && step.is_multiple_of(i)))
    });
    assert_eq!(told, expected.collect::<Vec<_>>());
    for (i, (request, image)) in requests.iter().zip(&together).enumerate() {
        assert_same(image, &draw(generator, request.clone()).unwrap());
        assert!(together[i + 1..].iter().all(|other| difference(other, image).0 > 8), "{i}");
    }
}

/// Number and total of a step, and width and height of its preview.
type Told = (usize, usize, Option<(u32, u32)>);

/// What `request` is told of each step, with a preview every second step.
pub(super) fn told_steps(generator: &dyn Generator, mut request: GenerateRequest) -> Vec<Told> {
    let (tell, steps) = channel();
    request.progress = Progress::new(move |step| {
        let preview = step.preview.map(|image| (image.width(), image.height()));
        tell.send((step.index, step.total, preview)).unwrap();
    })
    .with_previews_every(2);
    draw(generator, request).unwrap();
    steps.try_iter().collect()
}

/// Asserts that the batch `requests`, whose caller leaves after its first step, stops for `next`
/// before its end.
pub(super) fn assert_stops_between_steps(
    generator: &dyn Generator,
    mut requests: Vec<GenerateRequest>,
    next: GenerateRequest,
) {
    let (told, steps) = channel();
    let total = requests[0].steps.unwrap();
    requests[0].progress = Progress::new(move |step| {
        let _ = told.send(step.index);
    });
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
    let [one, other] = [load(place()), load(second)];
    let requests: Vec<_> = (0..4).map(request).collect();
    let backwards: Vec<_> = requests.iter().rev().cloned().collect();
    let alone = requests.iter().map(|request| draw(&one, request.clone()).unwrap());
    let alone: Vec<_> = alone.collect();
    let (one, other) =
        block_on(futures::future::join(one.generate(&requests), other.generate(&backwards)));
    let drawn = one.unwrap().into_iter().chain(other.unwrap());
    for (alone, drawn) in alone.iter().chain(alone.iter().rev()).zip(drawn) {
        assert_same(&drawn.image, alone);
    }
}

/// `request` with a `change`.
pub(super) fn changed(
    mut request: GenerateRequest,
    change: impl FnOnce(&mut GenerateRequest),
) -> GenerateRequest {
    change(&mut request);
    request
}

/// Asserts that `request` is refused in these `words` before any step is taken.
#[track_caller]
pub(super) fn assert_refused(generator: &dyn Generator, request: GenerateRequest, words: &str) {
    let progress = Progress::new(|_| panic!("a step was taken"));
    let error = draw(generator, GenerateRequest { progress, ..request }).unwrap_err();
    assert_invalid_input(&error, words);
}

/// Asserts that `request` is refused with what no generator draws, and drawn with any prompt.
pub(super) fn assert_bounded(generator: &dyn Generator, request: &GenerateRequest) {
    type Edit = fn(&mut GenerateRequest);
    let cases: [(Edit, &str); 6] = [
        (|request| request.height = Some(0), "height: expected 1 to"),
        (|request| (request.width, request.height) = (Some(16_000), Some(16_000)), "image size"),
        (|request| request.prompt = "x".repeat(30_000), "30000 characters"),
        (|request| request.steps = Some(0), "steps: expected 1 to"),
        (|request| request.guidance_scale = Some(f64::NAN), "guidance scale"),
        (|request| request.conditioning = Conditioning::Images(vec![]), "found images"),
    ];
    for (change, words) in cases {
        assert_refused(generator, changed(request.clone(), change), words);
    }
    // Any prompt will do: none, a very long one.
    for prompt in [String::new(), "word ".repeat(1_600)] {
        assert!(draw(generator, GenerateRequest { prompt, ..request.clone() }).is_ok());
    }
}

/// The request for `prompt` with the settings of a recorded `run` of diffusers.
pub(super) fn recorded_request(prompt: &Value, run: &Value) -> GenerateRequest {
    let number = |field: &str| run[field].as_u64();
    let side = |field: &str| number(field).map(|side| u32::try_from(side).unwrap());
    GenerateRequest {
        negative_prompt: run["negative_prompt"].as_str().map(str::to_owned),
        seed: number("seed").unwrap(),
        width: side("width"),
        height: side("height"),
        steps: number("num_inference_steps").map(|steps| steps as usize),
        guidance_scale: run["guidance_scale"].as_f64(),
        ..GenerateRequest::new(prompt.as_str().unwrap())
    }
}

/// The format in which a run was recorded, or the one in which the tests run.
pub(super) fn dtype_of(run: &Value) -> DType {
    match run["dtype"].as_str() {
        Some("bfloat16") => DType::Bf16,
        Some("float16") => DType::F16,
        _ => dtype(),
    }
}

/// The runs of diffusers that are recorded in `folder`, each with its image.
pub(super) fn runs(folder: &Path) -> Vec<(Value, Image)> {
    let runs: Vec<Value> = read_json(&folder.join("runs.json")).unwrap();
    let image = |run: &Value| {
        let name = format!("{}_{}.png", run["folder"], run["name"]).replace('"', "");
        Image::open(folder.join(name)).unwrap()
    };
    runs.into_iter().map(|run| (run.clone(), image(&run))).collect()
}

/// Asserts that every one of `runs` is drawn as it was recorded; `draw_on` draws one on a device. Where
/// the tests run in 16 bits and `is_other_noise`, the CPU's image stands for diffusers'.
#[track_caller]
pub(super) fn assert_recorded(
    runs: &[(Value, Image)],
    draw_on: impl Fn(&Value, Device) -> Image,
    is_other_noise: impl Fn(&Value) -> bool,
) {
    for (i, (run, expected)) in runs.iter().enumerate() {
        let found = draw_on(run, place());
        let name = format!("{} {}", run["folder"], run["name"]);
        if dtype() == DType::F32 || run["dtype"].is_string() || !is_other_noise(run) {
            assert_near(&name, &found, expected, dtype_of(run));
        } else {
            assert_near(&name, &found, &draw_on(run, Device::Cpu), dtype());
        }
        assert!(runs[..i].iter().all(|(_, other)| other != expected), "{run} tells nothing new");
    }
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
pub(super) fn replace(from: impl Into<String>, to: impl Into<String>) -> Change {
    let (from, to) = (from.into(), to.into());
    Box::new(move |text| {
        assert!(text.contains(&from), "{from}");
        Some(text.replace(&from, &to))
    })
}

/// The field `name` of JSON, which is `from`, becomes `to`.
pub(super) fn set(name: &str, from: impl Display, to: impl Display) -> Change {
    replace(format!("\"{name}\": {from}"), format!("\"{name}\": {to}"))
}

/// The file holds this text alone.
pub(super) fn overwrite(text: &'static str) -> Change {
    Box::new(|_| Some(text.to_owned()))
}

/// A copy of the checkpoint in `folder` with one file changed.
pub(super) fn broken(folder: &Path, file: &str, change: &Change) -> tempfile::TempDir {
    let copied = copy(folder);
    let path = copied.path().join(file);
    match change(&String::from_utf8_lossy(&std::fs::read(&path).unwrap())) {
        Some(text) => std::fs::write(path, text).unwrap(),
        None => std::fs::remove_file(path).unwrap(),
    }
    copied
}

/// What a builder, told by `listen` of a listener, tells of its loading.
pub(super) fn told_loading<G>(
    load: impl FnOnce(Box<dyn Fn(Loading) + Send + Sync>) -> Result<G>,
) -> Vec<(Option<String>, usize, usize)> {
    let (tell, told) = channel();
    let listen =
        move |Loading { part, done, total }: Loading| tell.send((part, done, total)).unwrap();
    assert!(load(Box::new(listen)).is_ok());
    told.try_iter().collect()
}

/// Those that are told of these `parts`.
pub(super) fn loading_of(parts: &[&str]) -> Vec<(Option<String>, usize, usize)> {
    let parts: Vec<_> = parts.iter().map(|part| Some((*part).to_owned())).chain([None]).collect();
    let total = parts.len() - 1;
    parts.into_iter().enumerate().map(|(done, part)| (part, done, total)).collect()
}
