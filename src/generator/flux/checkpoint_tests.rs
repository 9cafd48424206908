//! Checkpoints to names, presets, memory and what is told of their loading, and those that are
//! refused.

use super::tests::{fixture, request, schnell};
use super::*;
use crate::Error;
use crate::conditioner::ConditioningKind;
use crate::generator::checks::*;
use crate::generator::{GenerateRequest, Generator, Offload};
use crate::models::common::golden::fixture as golden;

#[test]
fn names_sizes_and_presets_come_from_the_checkpoint() {
    let flux = Flux::load(fixture("schnell"), Device::Cpu, DType::F32).unwrap();
    assert_eq!(flux.to_string(), "FLUX(schnell)");
    assert_eq!((flux.default_size(), flux.size_multiple()), ((256, 256), 4));
    assert_eq!(flux.accepts(), [ConditioningKind::None]);
    assert_eq!((flux.0.config.steps, flux.0.config.guidance_scale), (4, None));
    let flux = Flux::load(fixture("dev"), Device::Cpu, DType::F32).unwrap();
    assert_eq!((flux.default_size(), flux.size_multiple()), ((512, 512), 8));
    assert_eq!((flux.0.config.steps, flux.0.config.guidance_scale), (28, Some(3.5)));
    let flux = schnell().size(32, 24).load().unwrap();
    assert_eq!(flux.default_size(), (32, 24));
    let error = schnell().size(32, 30).load().unwrap_err().to_string();
    assert_eq!(error, "height: expected a multiple of 4, found 30");
    let flux = schnell().preset(FluxPreset::Paper).load().unwrap();
    assert_eq!(flux.0.config.steps, 2, "what is said counts before the preset");
}

#[test]
fn pipelines_of_the_same_parts_are_taken_and_others_are_named() {
    let load = |from: &str, to: &str| {
        let folder = broken(&fixture("schnell"), "model_index.json", &replace(from, to));
        Flux::load(folder.path(), Device::Cpu, DType::F32)
    };
    for class in ["Img2Img", "Inpaint", "Kontext", "KontextInpaint"] {
        let flux = load("FluxPipeline", &format!("Flux{class}Pipeline"));
        assert!(flux.is_ok(), "{class}: {:?}", flux.err());
    }
    for class in ["FluxFillPipeline", "FluxControlPipeline", "Flux2Pipeline", "FluxPipelines"] {
        let error = load("FluxPipeline", class).unwrap_err();
        assert_unfit(&error, "_class_name: expected FluxPipeline, FluxImg2ImgPipeline");
        assert_unfit(&error, &format!("found {class}"));
    }
    let error = load("_class_name", "class").unwrap_err();
    assert_unfit(&error, "found none");
    let controlnet = r#"{"controlnet": ["diffusers", "FluxControlNetModel"],"#;
    let error = load("{", controlnet).unwrap_err();
    assert_unfit(&error, "part controlnet: expected none beside transformer");
}

#[test]
fn guidance_must_fit_the_checkpoint() {
    let error = schnell().preset(FluxPreset::Dev).load().unwrap_err();
    assert!(error.to_string().contains("not told its guidance, found 3.5"), "{error}");
    let dev = || Flux::builder(fixture("dev"));
    for preset in [FluxPreset::Schnell, FluxPreset::Paper] {
        let error = dev().preset(preset).load().unwrap_err();
        assert!(error.to_string().contains("is told its guidance, found none"), "{error}");
    }
    assert!(dev().preset(FluxPreset::Paper).guidance_scale(2.0).load().is_ok());
    // Off, which it is in any case.
    let off = GenerateRequest { guidance_scale: Some(0.0), ..request("a bird") };
    let flux = schnell().load().unwrap();
    assert_eq!(draw(&flux, off).unwrap(), draw(&flux, request("a bird")).unwrap());
}

#[test]
fn checkpoints_that_do_not_fit_are_named() {
    let (scheduler, transformer) = ("scheduler/scheduler_config.json", "transformer/config.json");
    let weights = "transformer/diffusion_pytorch_model-00001-of-00002.safetensors";
    let cases: Vec<(&str, Change, &str)> = vec![
        ("model_index.json", gone(), "model_index.json"),
        ("model_index.json", replace("FluxPipeline", "FluxFillPipeline"), "_class_name"),
        ("model_index.json", replace("T5EncoderModel", "UMT5EncoderModel"), "UMT5"),
        ("model_index.json", replace("FlowMatchEuler", "Euler"), "EulerDiscrete"),
        (scheduler, gone(), "scheduler_config.json"),
        (scheduler, set("stochastic_sampling", false, true), "stochastic_sampling"),
        (transformer, gone(), "transformer"),
        (transformer, set("in_channels", 12, 16), "in_channels: expected 12"),
        (transformer, set("joint_attention_dim", 8, 9), "joint_attention_dim: expected 8"),
        (transformer, set("pooled_projection_dim", 8, 9), "pooled_projection_dim: expected 8"),
        (transformer, set("num_layers", 1, 2), "transformer_blocks.1"),
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
            let builder = Flux::builder(folder.path()).offload(offload);
            assert_unfit(&builder.load().unwrap_err(), words);
        }
    }
    let error = Flux::load("/no/such/folder", Device::Cpu, DType::F32).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    let error = schnell().device(Device::Cuda(99)).load().unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
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

#[test]
fn loading_is_told_part_by_part() {
    let networks = ["text_encoder", "text_encoder_2", "transformer", "vae"];
    for offload in [Offload::None, Offload::Cpu, Offload::Disk] {
        let builder = schnell().offload(offload);
        let told = told_loading(|listener| builder.load_listener(listener).load());
        assert_eq!(told, loading_of(&networks));
    }
    let adapted = schnell().omini_control(golden("omini/schnell_full.safetensors"));
    let told = told_loading(|listener| adapted.load_listener(listener).load());
    assert_eq!(told, loading_of(&[&["schnell_full"][..], &networks].concat()));
}
