//! One denoising step of SDXL on libtorch, with guidance: of the prompt alone, and with a reference.
//!
//! `cargo xtask cargo -- bench --features tch --bench denoise_step`
//!
//! The model is the one of the embedded world; IMAGERAG_BENCH_MODEL names another diffusers folder,
//! IMAGERAG_BENCH_ADAPTER its IP-Adapter file and IMAGERAG_BENCH_ENCODER its image encoder.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use futures::executor::block_on;
use imagerag::conditioner::{Conditioning, IpAdapter};
use imagerag::generator::{GenerateRequest, Progress, Sdxl};
use imagerag::models::{DType, Device};
use imagerag::retriever::{Caption, Provenance, Reference, Source};
use imagerag::{Conditioner, Generator, Image};

/// Steps of one generation: fewer than the timesteps that the model was trained on.
const LONGEST: u64 = 200;

/// A path from the environment, or one in the embedded world.
fn path(variable: &str, embedded: &str) -> PathBuf {
    let tinyworld = || {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/tinyworld/models").join(embedded)
    };
    std::env::var_os(variable).map_or_else(tinyworld, PathBuf::from)
}

/// The time from the end of the first step to the end of step `steps + 1`.
fn time(sdxl: &Sdxl, conditioning: &Conditioning, steps: u64) -> Duration {
    let ends = Arc::new(Mutex::new(Vec::<Instant>::new()));
    let listener = Arc::clone(&ends);
    let mut request = GenerateRequest::new("a creature on a meadow");
    request.conditioning = conditioning.clone();
    request.steps = Some(steps as usize + 1);
    request.progress = Progress::new(move |_| listener.lock().unwrap().push(Instant::now()));
    block_on(sdxl.generate(&[request])).unwrap();
    let ends = ends.lock().unwrap();
    *ends.last().unwrap() - ends[0]
}

fn denoise(criterion: &mut Criterion) {
    let file = path("IMAGERAG_BENCH_ADAPTER", "ip-adapter-plus_tinyworld.safetensors");
    let encoder = path("IMAGERAG_BENCH_ENCODER", "image_encoder");
    let model = path("IMAGERAG_BENCH_MODEL", "sdxl");
    let sdxl = Sdxl::builder(model).with_ip_adapter(&file).load().unwrap();
    let adapter = IpAdapter::load(&file, encoder, Device::Cpu, DType::F32).unwrap();
    let reference = Reference {
        image: Image::new(64, 64, (0..64 * 64 * 3).map(|value| value as u8).collect::<Vec<_>>())
            .unwrap(),
        caption: Caption::concept("a creature"),
        provenance: Provenance::new(Source::Caller(0), "caller", 1.0, 0),
    };
    let conditioned = block_on(adapter.condition("", &[reference])).unwrap().conditioning;

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
