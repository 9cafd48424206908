//! Whole images against diffusers', and everything that must fail before work begins.

use futures::executor::block_on;
use serde_json::Value;
use std::path::PathBuf;

use super::*;
use crate::Error;
use crate::conditioner::{Conditioning, ImageTokens};
use crate::generator::checks::*;
use crate::models::common::golden::{dtype, fixture as golden, place};

fn fixture(name: &str) -> PathBuf {
    golden("flux").join(name)
}

fn schnell() -> FluxBuilder {
    let builder = Flux::builder(fixture("schnell")).device(place()).dtype(dtype());
    builder.with_steps(2).with_max_sequence_length(16)
}

/// A small image: the default size takes long.
fn request(prompt: &str) -> GenerateRequest {
    let mut request = GenerateRequest::new(prompt);
    (request.width, request.height) = (Some(32), Some(32));
    request
}

/// The builder and the request of a recorded run.
fn recorded(run: &Value) -> (FluxBuilder, GenerateRequest) {
    let (text, number) = (|field: &str| run[field].as_str(), |field: &str| run[field].as_u64());
    let mut builder = Flux::builder(fixture(text("folder").unwrap()))
        .with_max_sequence_length(number("max_sequence_length").unwrap() as usize);
    if let Some(scale) = run["true_cfg_scale"].as_f64() {
        builder = builder.with_true_cfg_scale(scale);
    }
    let mut request = GenerateRequest::new(text("prompt").unwrap());
    request.negative_prompt = text("negative_prompt").map(str::to_owned);
    request.seed = number("seed").unwrap();
    request.steps = number("num_inference_steps").map(|steps| steps as usize);
    request.width = number("width").map(|side| side as u32);
    request.height = number("height").map(|side| side as u32);
    request.guidance_scale = run["guidance_scale"].as_f64();
    (builder.device(place()).dtype(dtype_of(run)), request)
}

/// The format in which a run was recorded, or the one in which the tests run.
fn dtype_of(run: &Value) -> DType {
    match run["dtype"].as_str() {
        Some("bfloat16") => DType::Bf16,
        Some("float16") => DType::F16,
        _ => dtype(),
    }
}

fn runs() -> Vec<(Value, Image)> {
    let runs = std::fs::read_to_string(fixture("runs.json")).unwrap();
    let runs: Vec<Value> = serde_json::from_str(&runs).unwrap();
    let image = |run: &Value| {
        let name = format!("{}_{}.png", run["folder"], run["name"]).replace('"', "");
        Image::open(fixture(&name)).unwrap()
    };
    runs.into_iter().map(|run| (run.clone(), image(&run))).collect()
}

#[test]
fn every_image_equals_diffusers() {
    let runs = runs();
    assert!(runs.len() >= 9);
    for (i, (run, expected)) in runs.iter().enumerate() {
        let (builder, request) = recorded(run);
        let found = draw(&builder.clone().load().unwrap(), request.clone()).unwrap();
        let name = format!("{} {}", run["folder"], run["name"]);
        if dtype() == DType::F32 || run["dtype"].is_string() {
            assert_near(&name, &found, expected, dtype_of(run));
        } else {
            // Noise of 16 bits is other noise: the CPU's image stands for diffusers'.
            let on_cpu = draw(&builder.device(Device::Cpu).load().unwrap(), request).unwrap();
            assert_near(&name, &found, &on_cpu, dtype());
        }
        assert!(runs[..i].iter().all(|(_, other)| other != expected), "{run} tells nothing new");
    }
}

#[test]
fn every_offload_draws_the_same() {
    for (run, _) in runs() {
        if !["plain", "negative"].contains(&run["name"].as_str().unwrap()) {
            continue;
        }
        let images = [Offload::None, Offload::Cpu, Offload::Disk].map(|offload| {
            let (builder, request) = recorded(&run);
            let flux = builder.with_offload(offload).load().unwrap();
            let mut other = request.clone();
            other.prompt = "another".into();
            // The second and the fourth know their prompt.
            [request.clone(), request.clone(), other, request].map(|one| draw(&flux, one).unwrap())
        });
        let [first, again, other, last] = &images[0];
        assert!(first == again && first == last && first != other);
        assert!(images.iter().all(|drawn| drawn == &images[0]));
    }
}

#[test]
fn names_sizes_and_presets_come_from_the_checkpoint() {
    let flux = Flux::load(fixture("schnell"), Device::Cpu, DType::F32).unwrap();
    assert_eq!(flux.to_string(), "FLUX(schnell)");
    assert_eq!((flux.default_size(), flux.size_multiple()), ((256, 256), 4));
    assert_eq!(flux.accepts(), [ConditioningKind::None]);
    assert_eq!((flux.defaults.steps, flux.defaults.guidance_scale), (4, None));
    let flux = Flux::load(fixture("dev"), Device::Cpu, DType::F32).unwrap();
    assert_eq!((flux.default_size(), flux.size_multiple()), ((512, 512), 8));
    assert_eq!((flux.defaults.steps, flux.defaults.guidance_scale), (28, Some(3.5)));
    let flux = schnell().with_size(32, 24).load().unwrap();
    assert_eq!(flux.default_size(), (32, 24));
    let error = schnell().with_size(32, 30).load().unwrap_err().to_string();
    assert_eq!(error, "height: expected a multiple of 4, found 30");
    let flux = schnell().with_preset(FluxPreset::Paper).load().unwrap();
    assert_eq!(flux.defaults.steps, 2, "what is said counts before the preset");
}

#[test]
fn guidance_must_fit_the_checkpoint() {
    let error = schnell().with_preset(FluxPreset::Dev).load().unwrap_err();
    assert!(error.to_string().contains("not told its guidance, found 3.5"), "{error}");
    let dev = || Flux::builder(fixture("dev"));
    for preset in [FluxPreset::Schnell, FluxPreset::Paper] {
        let error = dev().with_preset(preset).load().unwrap_err();
        assert!(error.to_string().contains("is told its guidance, found none"), "{error}");
    }
    assert!(dev().with_preset(FluxPreset::Paper).with_guidance_scale(2.0).load().is_ok());
    // Off, which it is in any case.
    let mut off = request("a bird");
    off.guidance_scale = Some(0.0);
    let flux = schnell().load().unwrap();
    assert_eq!(draw(&flux, off).unwrap(), draw(&flux, request("a bird")).unwrap());
}

/// Bytes of the networks' weights where each value takes `width`: the most that a policy has on the
/// device at once, what it has there while it draws, and what it has in host memory.
fn memory(offload: Offload, width: u64) -> [u64; 3] {
    let values = |component: &str, config: &str| {
        let path = golden("inventories").join(format!("{config}.config.json"));
        let inventory = crate::models::inventory(component, path).unwrap();
        // T5's table goes by two names, and is read once.
        let twice = inventory.shape("encoder.embed_tokens.weight").unwrap_or(&[0]);
        width * (inventory.values() - twice.iter().product::<i64>().unsigned_abs())
    };
    let clip = values("clip-text", "text_encoder");
    let t5 = values("t5-encoder", "t5_encoder");
    let transformer = values("flux-transformer", "flux_transformer");
    let vae = values("flux-vae", "flux_vae");
    let (all, largest) = (clip + t5 + transformer, clip.max(t5).max(transformer));
    match offload {
        Offload::None => [all + vae, all + vae, 0],
        Offload::Cpu => [largest + vae, transformer + vae, all],
        Offload::Disk => [largest + vae, transformer + vae, 0],
    }
}

#[test]
fn the_documented_memory_is_that_of_the_inventories() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/weights.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    for offload in [Offload::None, Offload::Cpu, Offload::Disk] {
        let [half, full] = [2, 4]
            .map(|width| memory(offload, width).map(|bytes| format!("{:.1}", bytes as f64 / 1e9)));
        let cells = half.iter().zip(&full).map(|(half, full)| format!("{half} / {full} GB"));
        let line = format!("| `{offload:?}` | {} |", cells.collect::<Vec<_>>().join(" | "));
        assert!(docs.contains(&line), "docs/weights.md lacks: {line}");
    }
}

/// An adapter's tokens do not fit a generator that draws from the prompt alone.
#[cfg(feature = "testing")]
#[test]
fn the_pipeline_refuses_an_ip_adapter_and_says_what_is_accepted() {
    use crate::conditioner::{Conditioner, IpAdapter};
    use crate::testing::{FakeCritic, FakeRetriever};

    let (file, encoder) = (golden("sdxl/adapter.safetensors"), golden("sdxl/image_encoder"));
    let adapter = IpAdapter::load(file, encoder, Device::Cpu, DType::F32).unwrap();
    let (tokens, named) = (adapter.produces().to_string(), adapter.to_string());
    let pipeline = crate::RagPipeline::builder()
        .generator(schnell().load().unwrap())
        .critic(FakeCritic::new())
        .retriever(FakeRetriever::new::<String>([]))
        .conditioner(adapter);
    let error = pipeline.build().unwrap_err();
    assert!(matches!(error, Error::Incompatible { .. }), "{error}");
    for words in ["FLUX(schnell)", &named, "expected no conditioning", &tokens] {
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
}

#[test]
fn an_image_depends_on_its_own_request_alone() {
    let flux = schnell().load().unwrap();
    let seeded = |seed, prompt| {
        let mut request = request(prompt);
        request.seed = seed;
        request
    };
    let requests = [seeded(1, "a bird"), seeded(2, "a bird"), seeded(1, "a house")];
    let together = block_on(flux.generate(&requests)).unwrap();
    for (request, image) in requests.into_iter().zip(&together).rev() {
        assert_eq!(&draw(&flux, request).unwrap(), image);
    }
    assert!(together[0] != together[1] && together[0] != together[2]);
    assert_eq!(block_on(flux.generate(&[])).unwrap(), []);
}

#[cfg(feature = "testing")]
#[test]
fn keeps_the_contract_of_every_generator() {
    let flux = Flux::builder(fixture("schnell")).with_max_sequence_length(8).with_size(32, 24);
    let flux = flux.load().unwrap();
    block_on(crate::testing::conformance::generator(&flux));
}

#[test]
fn every_step_is_told_and_previews_come_when_asked_for() {
    let flux = schnell().load().unwrap();
    let mut request = request("a bird");
    (request.steps, request.width) = (Some(3), Some(160));
    let preview = Some((52, 10)); // 80 x 16 latents, by 3
    assert_eq!(told_steps(&flux, request), [(1, 3, None), (2, 3, preview), (3, 3, None)]);
}

#[test]
fn dropping_the_future_stops_between_steps() {
    let mut long = request("a bird");
    long.steps = Some(9_000);
    assert_stops_between_steps(&schnell().load().unwrap(), long, request("a bird"));
}

#[test]
fn values_out_of_range_are_named_before_work_begins() {
    let flux = schnell().load().unwrap();
    let changed = |change: &dyn Fn(&mut GenerateRequest)| refused(&flux, request("a bird"), change);
    let tokens = ImageTokens::new("another", 1, 40, vec![0.0; 40], vec![0.0; 40]).unwrap();
    for (error, words) in [
        (changed(&|request| request.width = Some(34)), "width: expected a multiple of 4, found 34"),
        (changed(&|request| request.height = Some(0)), "height: expected 1 to"),
        (
            changed(&|request| (request.width, request.height) = (Some(16_000), Some(16_000))),
            "image size",
        ),
        (changed(&|request| request.prompt = "x".repeat(10_000)), "10000 characters"),
        (changed(&|request| request.steps = Some(0)), "steps: expected 1 to"),
        (changed(&|request| request.guidance_scale = Some(f64::NAN)), "guidance scale"),
        (changed(&|request| request.guidance_scale = Some(3.5)), "not told its guidance"),
        (changed(&|request| request.negative_prompt = Some("grey".into())), "true CFG scale"),
        (changed(&|request| request.conditioning = Conditioning::Images(vec![])), "found images"),
        (
            changed(&|request| request.conditioning = Conditioning::Tokens(tokens.clone())),
            "expected no conditioning, found tokens of another",
        ),
    ] {
        assert_invalid_input(&error, words);
    }
    for (builder, words) in [
        (schnell().with_steps(0), "steps"),
        (schnell().with_guidance_scale(-1.0), "guidance scale"),
        (schnell().with_true_cfg_scale(f64::INFINITY), "true CFG scale"),
        (schnell().with_max_sequence_length(0), "max sequence length: expected 1 to 512"),
        (schnell().with_max_sequence_length(513), "max sequence length: expected 1 to 512"),
    ] {
        assert_invalid_input(&builder.load().unwrap_err(), words);
    }
    // Any prompt will do: none, a very long one.
    for prompt in [String::new(), "word ".repeat(1_600)] {
        assert!(draw(&flux, request(&prompt)).is_ok());
    }
}

#[test]
fn checkpoints_that_do_not_fit_are_named() {
    let weights = "transformer/diffusion_pytorch_model-00001-of-00002.safetensors";
    let cases: Vec<(&str, Change, &str)> = vec![
        ("model_index.json", gone(), "model_index.json"),
        ("model_index.json", replace("FluxPipeline", "FluxFillPipeline"), "_class_name"),
        ("model_index.json", replace("T5EncoderModel", "UMT5EncoderModel"), "UMT5"),
        ("model_index.json", replace("FlowMatchEuler", "Euler"), "EulerDiscrete"),
        ("scheduler/scheduler_config.json", gone(), "scheduler_config.json"),
        (
            "scheduler/scheduler_config.json",
            replace("\"invert_sigmas\": false", "\"invert_sigmas\": true"),
            "invert_sigmas",
        ),
        ("transformer/config.json", gone(), "transformer"),
        (
            "transformer/config.json",
            replace("\"in_channels\": 12", "\"in_channels\": 16"),
            "in_channels: expected 12",
        ),
        (
            "transformer/config.json",
            replace("\"joint_attention_dim\": 8", "\"joint_attention_dim\": 9"),
            "joint_attention_dim: expected 8",
        ),
        (
            "transformer/config.json",
            replace("\"pooled_projection_dim\": 8", "\"pooled_projection_dim\": 9"),
            "pooled_projection_dim: expected 8",
        ),
        (
            "transformer/config.json",
            replace("\"num_layers\": 1", "\"num_layers\": 2"),
            "transformer_blocks.1",
        ),
        (weights, gone(), weights),
        (weights, overwrite("not tensors"), "header"),
        ("vae/config.json", replace("0.6", "0"), "scaling_factor"),
        ("vae/config.json", replace("-0.2", "\"-0.2\""), "vae"),
        ("text_encoder/config.json", gone(), "text_encoder"),
        ("text_encoder_2/config.json", gone(), "text_encoder_2"),
        ("text_encoder_2/model.safetensors", gone(), "text_encoder_2"),
        ("tokenizer/tokenizer.json", gone(), "tokenizer"),
        ("tokenizer_2/tokenizer.json", gone(), "tokenizer_2"),
    ];
    for (file, change, words) in cases {
        let folder = broken(&fixture("dev"), file, &change);
        for offload in [Offload::None, Offload::Disk] {
            let builder = Flux::builder(folder.path()).with_offload(offload);
            assert_unfit(&builder.load().unwrap_err(), words);
        }
    }
    let error = Flux::load("/no/such/folder", Device::Cpu, DType::F32).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    let error = schnell().device(Device::Cuda(99)).load().unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
}

#[test]
fn two_at_once_do_not_disturb_each_other() {
    let load = |device| schnell().device(device).load().unwrap();
    assert_undisturbed(load, |seed| GenerateRequest { seed, ..request("a bird") });
}
