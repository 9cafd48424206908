//! What libtorch finds on a device, and whether its basic operations are right there.

use std::time::Instant;

use imagerag::embedder::ClipEmbedder;
use imagerag::models::{DType, Device};
use serde_json::{Value, json};
use tch::{Kind, Tensor};

use crate::{Found, Result, tiny};

/// The largest error in proportion to the largest value.
const ALLOWED: f64 = 1e-2;
/// Parts of the names of libraries that say which mathematics runs.
const TOLD: [&str; 8] = [
    "libtorch_cuda.",
    "libcudnn.",
    "libcublas.",
    "libcublasLt.",
    "libnvrtc.",
    "libnvrtc-builtins.",
    "libcuda.",
    "libtorch_cpu.",
];

pub(crate) fn run(device: Device) -> Result<Found> {
    // A model finds the device, or says why not, before anything else asks libtorch.
    let start = Instant::now();
    drop(ClipEmbedder::load(tiny::models().join("clip"), device, DType::F32)?);
    let opened = start.elapsed().as_secs_f64();
    let _no_grad = tch::no_grad_guard();
    #[allow(clippy::disallowed_methods, reason = "nothing here is drawn anew from a seed")]
    tch::manual_seed(7);
    let cuda = device != Device::Cpu;
    let at = tiny::in_libtorch(device);
    #[allow(clippy::disallowed_methods, reason = "the model has loaded CUDA")]
    let devices = if cuda { tch::Cuda::device_count() } else { 0 };
    let mut errors = serde_json::Map::new();
    let (mut worst, mut where_worst) = (0.0, String::new());
    for (dtype, kind) in [("f32", Kind::Float), ("f16", Kind::Half), ("bf16", Kind::BFloat16)] {
        for (name, error) in checks(at, kind, if cuda { 1 } else { 4 }) {
            let name = format!("{name} {dtype}");
            if error.is_nan() || error > worst {
                (worst, where_worst) = (error, name.clone());
            }
            errors.insert(name, json!(error));
        }
    }
    let rates = if cuda { rates(device, at) } else { Value::Null };
    let libraries = mapped()?;
    let passed = worst <= ALLOWED;
    let rate = match rates.get("bf16_tflops").and_then(Value::as_f64) {
        Some(rate) => format!(", {rate:.0} TFLOP/s in bf16"),
        None => String::new(),
    };
    Ok(Found {
        passed,
        line: format!(
            "{devices} GPUs, opened in {opened:.1} s; {} operations, largest error {worst:.1e} ({where_worst}){rate}",
            errors.len()
        ),
        figures: json!({ "gpus": devices, "open_s": opened, "errors": errors, "rates": rates, "libraries": libraries }),
    })
}

/// Errors of each operation against doubles on the CPU. Sizes are divided by `smaller`.
fn checks(at: tch::Device, kind: Kind, smaller: i64) -> Vec<(String, f64)> {
    let random =
        |shape: &[i64]| Tensor::randn(shape, (Kind::Float, tch::Device::Cpu)).to_kind(kind);
    let mut errors = Vec::new();
    // 1. a matrix product
    let (a, b) = (random(&[512 / smaller, 640]), random(&[640, 384]));
    let found = a.to_device(at).matmul(&b.to_device(at));
    errors.push(("matmul".to_owned(), error(&found, &double(&a).matmul(&double(&b)))));
    // 2. a convolution of pixels whose channels are next to each other, as SDXL's are
    let (x, w) = (random(&[2, 32 / smaller, 32, 64]), random(&[96, 64, 3, 3]));
    let nhwc = |x: &Tensor| x.permute([0, 3, 1, 2]);
    let convolve = |x: &Tensor, w: &Tensor| x.conv2d(w, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1);
    let found = convolve(&nhwc(&x.to_device(at)), &w.to_device(at));
    errors.push((
        "convolution NHWC".to_owned(),
        error(&found, &convolve(&nhwc(&double(&x)), &double(&w))),
    ));
    // 3. attention: heads of SDXL, of FLUX, of the VAE; keys of references, prompts, pixels
    for width in [64, 128, 512] {
        for keys in [16, 77, 4096 / smaller] {
            let q = random(&[1, 2, 256 / smaller, width]);
            let (k, v) = (random(&[1, 2, keys, width]), random(&[1, 2, keys, width]));
            let attend = |q: &Tensor, k: &Tensor, v: &Tensor| {
                Tensor::scaled_dot_product_attention(
                    q,
                    k,
                    v,
                    None::<Tensor>,
                    0.0,
                    false,
                    None,
                    false,
                )
            };
            let found = attend(&q.to_device(at), &k.to_device(at), &v.to_device(at));
            let expected = attend(&double(&q), &double(&k), &double(&v));
            errors.push((format!("attention {width} x {keys}"), error(&found, &expected)));
        }
    }
    errors
}

fn double(x: &Tensor) -> Tensor {
    x.to_kind(Kind::Double)
}

/// The largest difference in proportion to the largest expected value; not a number where one is not.
fn error(found: &Tensor, expected: &Tensor) -> f64 {
    let found = double(&found.to_device(tch::Device::Cpu));
    (found - expected).abs().max().double_value(&[]) / expected.abs().max().double_value(&[])
}

/// What the device reaches: a large product, and copies from both kinds of host memory.
fn rates(device: Device, at: tch::Device) -> Value {
    let seconds = |work: &dyn Fn()| {
        work();
        tiny::synchronize(device);
        let start = Instant::now();
        (0..5).for_each(|_| work());
        tiny::synchronize(device);
        start.elapsed().as_secs_f64() / 5.0
    };
    let side = 8192;
    let matrix = || Tensor::randn([side, side], (Kind::BFloat16, at));
    let (a, b) = (matrix(), matrix());
    let product = seconds(&|| drop(a.matmul(&b)));
    let bytes = 512 << 20;
    let pageable = Tensor::ones([bytes], (Kind::Uint8, tch::Device::Cpu));
    let pinned = pageable.pin_memory(at);
    let copy = |from: &Tensor| bytes as f64 / seconds(&|| drop(from.to_device(at))) / 1e9;
    json!({ "bf16_tflops": 2.0 * (side as f64).powi(3) / product / 1e12,
        "pageable_gb_s": copy(&pageable), "pinned_gb_s": copy(&pinned) })
}

/// The files of the libraries that run here.
fn mapped() -> Result<Vec<String>> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let files = maps.lines().filter_map(|line| Some(&line[line.find('/')?..]));
    let mut told: Vec<String> = files
        .filter(|file| TOLD.iter().any(|name| file.contains(name)))
        .map(str::to_owned)
        .collect();
    told.sort();
    told.dedup();
    Ok(told)
}
