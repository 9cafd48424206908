//! One denoising step of SDXL on libtorch, with guidance: of the prompt alone, and with a reference.
//!
//! `cargo xtask cargo -- bench --features tch --bench denoise_step`
//!
//! The model is the one of the tiny world; IMAGERAG_BENCH_MODEL names another diffusers folder,
//! IMAGERAG_BENCH_ADAPTER its IP-Adapter file and IMAGERAG_BENCH_ENCODER its image encoder;
//! IMAGERAG_BENCH_DEVICE (`cuda:0`) where, and IMAGERAG_BENCH_DTYPE (`bf16`) in what it computes.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use futures::executor::block_on;
use imagerag::conditioner::{ConditionRequest, Conditioning, IpAdapter};
use imagerag::generator::{GenerateRequest, Sdxl};
use imagerag::models::{DType, Device};
use imagerag::reference::{Caption, Reference};
use imagerag::{Conditioner, Generator, Image};

/// Steps of one generation: fewer than the timesteps that the model was trained on.
const LONGEST: u64 = 200;

/// A path from the environment, or one in the tiny world.
fn path(variable: &str, embedded: &str) -> PathBuf {
    let tinyworld = || {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/tinyworld/models").join(embedded)
    };
    std::env::var_os(variable).map_or_else(tinyworld, PathBuf::from)
}

/// What the environment says, or the default.
fn named<T: Default + FromStr<Err = imagerag::Error>>(variable: &str) -> T {
    std::env::var(variable).map_or_else(|_| T::default(), |name| name.parse().unwrap())
}

/// What `steps` more steps add to a whole call. The call returns an image, so that the device has
/// done all of it.
fn time(sdxl: &Sdxl, conditioning: &Conditioning, steps: u64) -> Duration {
    let whole = |steps: u64| {
        let mut request = GenerateRequest::new("a creature on a meadow");
        request.conditioning = conditioning.clone();
        request.steps = Some(steps as usize);
        let start = Instant::now();
        block_on(sdxl.generate(&[request])).unwrap();
        start.elapsed()
    };
    whole(steps + 1).saturating_sub(whole(1))
}

fn denoise(criterion: &mut Criterion) {
    let file = path("IMAGERAG_BENCH_ADAPTER", "ip-adapter-plus_tinyworld.safetensors");
    let encoder = path("IMAGERAG_BENCH_ENCODER", "image_encoder");
    let model = path("IMAGERAG_BENCH_MODEL", "sdxl");
    let device: Device = named("IMAGERAG_BENCH_DEVICE");
    let dtype: DType = named("IMAGERAG_BENCH_DTYPE");
    let sdxl = Sdxl::builder(model).device(device).dtype(dtype).ip_adapter(&file).load().unwrap();
    let adapter = IpAdapter::load(&file, encoder, device, dtype).unwrap();
    let pixels: Vec<u8> = (0..64 * 64 * 3).map(|value| value as u8).collect();
    let image = Image::new(64, 64, pixels).unwrap();
    let reference = Reference::new(image, Caption::concept("a creature"));
    let conditioned =
        block_on(adapter.condition(&ConditionRequest::new("", [reference]))).unwrap().conditioning;

    let mut group = criterion.benchmark_group("denoise_step");
    group.sample_size(10);
    for (name, conditioning) in
        [("prompt", Conditioning::None), ("prompt and reference", conditioned)]
    {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|steps| {
                let runs =
                    std::iter::successors(Some(steps), |left| Some(left.saturating_sub(LONGEST)));
                runs.take_while(|&left| left > 0)
                    .map(|left| time(&sdxl, &conditioning, left.min(LONGEST)))
                    .sum()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, denoise);
criterion_main!(benches);
