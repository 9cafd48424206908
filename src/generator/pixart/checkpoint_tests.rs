//! Checkpoints to names and what is told of their loading, and those that are refused.

use super::tests::{fixture, sigma};
use super::*;
use crate::Error;
use crate::conditioner::ConditioningKind;
use crate::generator::checks::*;
use crate::generator::{Generator, Offload};
use crate::models::common::golden::fixture as golden;

#[test]
fn names_sizes_and_settings_come_from_the_checkpoint() {
    let pixart = PixArtSigma::load(fixture("sigma"), Device::Cpu, DType::F32).unwrap();
    assert_eq!(pixart.to_string(), "PixArt-Sigma(sigma, DPM-Solver++)");
    assert_eq!(pixart.accepts(), [ConditioningKind::None]);
    let config = &pixart.0.config;
    assert_eq!((config.steps, config.guidance_scale), (20, Some(4.5)));
    assert_eq!(config.negative_prompt.as_deref(), Some(""));
    let other = PixArtSigma::builder(fixture("other")).resolution_binning(false).load().unwrap();
    assert_eq!(other.to_string(), "PixArt-Sigma(other, Euler)");
    assert_eq!((other.default_size(), other.size_multiple()), ((40, 40), 4));
    // There are no sizes for a network that was trained on 20 latents a side.
    let error = PixArtSigma::load(fixture("other"), Device::Cpu, DType::F32).unwrap_err();
    assert_invalid_input(&error, "resolution binning: expected a network of sample_size 32");
}

#[test]
fn both_names_of_the_transformers_class_are_taken() {
    let (index, config) = ("model_index.json", "transformer/config.json");
    // One of them is named here and there, or only in one of both.
    for file in [index, config] {
        for (folder, from, to) in [
            ("sigma", "\"Transformer2DModel", "\"PixArtTransformer2DModel"),
            ("other", "PixArtTransformer2DModel", "Transformer2DModel"),
        ] {
            let folder = broken(&fixture(folder), file, &replace(from, to));
            let builder = PixArtSigma::builder(folder.path()).resolution_binning(false);
            assert!(builder.load().is_ok(), "{file}: {to}");
        }
    }
}

#[test]
fn checkpoints_that_do_not_fit_are_named() {
    let (scheduler, transformer) = ("scheduler/scheduler_config.json", "transformer/config.json");
    let weights = "transformer/diffusion_pytorch_model.safetensors";
    let cases: Vec<(&str, Change, &str)> = vec![
        ("model_index.json", gone(), "model_index.json"),
        ("model_index.json", replace("ArtSigma", "ArtAlpha"), "found PixArtAlphaPipeline"),
        ("model_index.json", replace("T5EncoderModel", "UMT5EncoderModel"), "UMT5"),
        ("model_index.json", replace("Transformer2D", "UNet2D"), "found UNet2DModel"),
        ("model_index.json", replace("AutoencoderKL", "AutoencoderDC"), "AutoencoderDC"),
        ("model_index.json", replace("DPMSolverMultistep", "PNDM"), "found PNDMScheduler"),
        (scheduler, gone(), "scheduler_config.json"),
        (scheduler, set("thresholding", false, true), "thresholding"),
        (scheduler, set("algorithm_type", "\"dpmsolver++\"", "\"sde-dpmsolver\""), "algorithm"),
        (transformer, gone(), "transformer"),
        (transformer, replace("Transformer2DModel", "DiTModel"), "_class_name: expected PixArt"),
        (transformer, set("in_channels", 4, 8), "in_channels"),
        (transformer, set("caption_channels", 16, 17), "caption_channels: expected 16"),
        (transformer, set("use_additional_conditions", false, true), "PixArt-α"),
        (transformer, set("norm_type", "\"ada_norm_single\"", "\"ada_norm\""), "norm_type"),
        (transformer, set("num_vector_embeds", "null", 5), "num_vector_embeds"),
        (transformer, set("num_layers", 2, 3), "transformer_blocks.2"),
        (weights, gone(), "transformer"),
        (weights, overwrite("not tensors"), "header"),
        ("vae/config.json", set("scaling_factor", "0.13025", 0), "scaling_factor"),
        ("vae/config.json", gone(), "vae"),
        ("text_encoder/config.json", gone(), "text_encoder"),
        ("text_encoder/model.safetensors", gone(), "text_encoder"),
        ("tokenizer/spiece.model", gone(), "tokenizer"),
    ];
    for (file, change, words) in cases {
        let folder = broken(&fixture("sigma"), file, &change);
        for offload in [Offload::None, Offload::Disk] {
            let builder = PixArtSigma::builder(folder.path()).offload(offload);
            assert_unfit(&builder.load().unwrap_err(), words);
        }
    }
    let error = PixArtSigma::load("/no/such/folder", Device::Cpu, DType::F32).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    let error = sigma().device(Device::Cuda(99)).load().unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    let error = sigma().variant("fp8").load().unwrap_err();
    assert_invalid_input(&error, "variant");
}

/// Bytes of the networks' weights where each value takes `width`: the most that a policy has on the
/// device at once, what it has there while it draws, and what it has in host memory.
fn memory(offload: Offload, width: u64) -> [u64; 3] {
    let values = |component: &str, config: &str| {
        let path = golden("inventories").join(format!("{config}.config.json"));
        let inventory = crate::models::inventory(component, path).unwrap();
        // T5's table goes by two names, and is read once.
        let twice = inventory.shape("encoder.embed_tokens.weight").unwrap_or(&[0]);
        inventory.values() - twice.iter().product::<i64>().unsigned_abs()
    };
    let t5 = width * values("t5-encoder", "t5_encoder");
    let transformer = width * values("pixart-transformer", "pixart_transformer");
    let vae = width * values("sdxl-vae", "vae");
    match offload {
        Offload::None => [t5 + transformer + vae, t5 + transformer + vae, 0],
        Offload::Cpu => [t5.max(transformer) + vae, transformer + vae, t5 + transformer],
        Offload::Disk => [t5.max(transformer) + vae, transformer + vae, 0],
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
    for offload in [Offload::None, Offload::Cpu, Offload::Disk] {
        let builder = sigma().offload(offload);
        let told = told_loading(|listener| builder.load_listener(listener).load());
        assert_eq!(told, loading_of(&["text_encoder", "transformer", "vae"]));
    }
}
