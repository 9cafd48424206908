//! Checkpoints to names, sizes and what is told of their loading, and those that are refused.

use super::tests::{fixture, plain};
use super::*;
use crate::Error;
use crate::conditioner::ConditioningKind;
use crate::generator::Generator;
use crate::generator::checks::*;
use crate::models::common::golden::fixture as golden;

#[test]
fn names_sizes_and_defaults_come_from_the_checkpoint() {
    let omnigen = OmniGen::load(fixture("plain"), Device::Cpu, DType::F32).unwrap();
    assert_eq!(omnigen.to_string(), "OmniGen(plain)");
    // Those of 128 latents, or as large as the table of positions.
    assert_eq!((omnigen.default_size(), omnigen.size_multiple()), ((384, 384), 16));
    assert_eq!(omnigen.accepts(), [ConditioningKind::None, ConditioningKind::Images]);
    assert_eq!(omnigen.image_mark(), Some("<img><|image_{n}|></img>"));
    let config = &omnigen.0.config;
    assert_eq!((config.steps, config.guidance_scale), (50, Some(2.5)));
    let negative = config.negative_prompt.as_deref().unwrap();
    assert!(negative.starts_with("low quality, jpeg artifacts,"), "{negative}");
    let omnigen = plain().size(32, 16).negative_prompt("").load().unwrap();
    assert_eq!(omnigen.default_size(), (32, 16));
    assert_eq!(omnigen.0.config.negative_prompt.as_deref(), Some(""));
}

#[test]
fn checkpoints_that_do_not_fit_are_named() {
    let (scheduler, transformer) = ("scheduler/scheduler_config.json", "transformer/config.json");
    let index = "transformer/diffusion_pytorch_model.safetensors.index.json";
    let heads = |change| set("num_key_value_heads", 3, change);
    let cases: Vec<(&str, Change, &str)> = vec![
        ("model_index.json", gone(), "model_index.json"),
        ("model_index.json", replace("OmniGenPipeline", "FluxPipeline"), "_class_name"),
        ("model_index.json", replace("OmniGenTransformer2D", "OmniGen2Transformer2D"), "OmniGen2"),
        ("model_index.json", replace("FlowMatchEuler", "Euler"), "EulerDiscrete"),
        ("model_index.json", replace("TokenizersBackend", "Qwen2TokenizerFast"), "Qwen2Tokenizer"),
        (scheduler, gone(), "scheduler_config.json"),
        (scheduler, set("stochastic_sampling", false, true), "stochastic_sampling"),
        (transformer, gone(), "transformer"),
        (transformer, heads(1), "num_key_value_heads: expected 3, as num_attention_heads"),
        (transformer, set("in_channels", 3, 4), "in_channels: expected 3, the VAE's"),
        (transformer, set("patch_size", 2, 4), "16 pixels a token"),
        (transformer, set("hidden_size", 24, 26), "hidden_size: expected a multiple of 6"),
        (transformer, set("num_layers", 3, 4), "layers.3"),
        (transformer, set("pos_embed_max_size", 13, 14), "pos_embed"),
        (transformer, replace("short_factor", "shorter_factor"), "rope_scaling.short_factor"),
        (transformer, replace("rope_scaling", "rope"), "rope_scaling: expected an object"),
        (transformer, set("original_max_position_embeddings", 8, 1), "original_max_position"),
        (transformer, set("time_step_dim", 9, 1), "time_step_dim"),
        (transformer, set("downscale_freq_shift", 1, 4), "downscale_freq_shift: expected other"),
        (transformer, replace("silu", "swiglu"), "timestep_activation_fn"),
        (index, gone(), "index.json"),
        (index, overwrite("{}"), "weight_map"),
        ("vae/config.json", replace("0.6", "0"), "scaling_factor"),
        ("vae/diffusion_pytorch_model.safetensors.index.json", gone(), "vae"),
        ("tokenizer/tokenizer.json", gone(), "tokenizer.json or tokenizer.model, found neither"),
        ("vae/config.json", replace("AutoencoderKL", "AutoencoderDC"), "AutoencoderDC"),
        (transformer, set("num_layers", 3, "3, \"model_type\": \"phi3\""), "OmniGen's authors"),
        ("tokenizer/tokenizer.json", overwrite("{}"), "tokenizer.json"),
    ];
    for (file, change, words) in cases {
        let folder = broken(&fixture("other"), file, &change);
        let load = OmniGen::load(folder.path(), Device::Cpu, DType::F32);
        assert_unfit(&load.unwrap_err(), words);
    }
    let error = OmniGen::load("/no/such/folder", Device::Cpu, DType::F32).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    let error = plain().device(Device::Cuda(99)).load().unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
}

#[test]
fn files_of_the_authors_that_do_not_fit_are_named() {
    let cases: Vec<(&str, Change, &str)> = vec![
        ("config.json", gone(), "model_index.json"),
        ("config.json", replace("phi3", "phi4"), "model_type: expected phi3"),
        ("config.json", replace("silu", "gelu"), "hidden_act"),
        ("config.json", set("num_key_value_heads", 2, 1), "num_key_value_heads"),
        ("config.json", set("num_hidden_layers", 2, 3), "llm.layers.2"),
        ("config.json", set("intermediate_size", 48, 49), "gate_up_proj.weight: expected shape"),
        ("model.safetensors", gone(), "weights: expected"),
        ("model.safetensors", overwrite("not tensors"), "header"),
        ("vae/config.json", gone(), "vae"),
        ("tokenizer.json", gone(), "tokenizer"),
    ];
    for (file, change, words) in cases {
        let folder = broken(&fixture("authors"), file, &change);
        let load = OmniGen::load(folder.path(), Device::Cpu, DType::F32);
        assert_unfit(&load.unwrap_err(), words);
    }
    // Another file of the same ending.
    let folder = crate::models::common::golden::copy(&fixture("authors"));
    let other = golden("flux/layers/dev/diffusion_pytorch_model.safetensors");
    std::fs::copy(other, folder.path().join("model.safetensors")).unwrap();
    let error = OmniGen::load(folder.path(), Device::Cpu, DType::F32).unwrap_err();
    assert_unfit(
        &error,
        "tensor x_embedder.proj.weight: expected a tensor of 4 dimensions, found no",
    );
}

#[test]
fn a_part_of_a_pipeline_is_no_checkpoint() {
    let error = OmniGen::load(fixture("plain/transformer"), Device::Cpu, DType::F32).unwrap_err();
    assert_unfit(&error, "transformer/model_index.json");
}

/// transformers 5 writes `rope_parameters`, with the base in it.
#[test]
fn what_transformers_5_writes_is_the_same_checkpoint() {
    let draw_of = |folder: &std::path::Path| {
        let omnigen = OmniGen::builder(folder).steps(2).load().unwrap();
        draw(&omnigen, super::tests::request("a bird")).unwrap()
    };
    let config = |change: &dyn Fn(&mut serde_json::Value)| {
        let folder = crate::models::common::golden::copy(&fixture("authors"));
        let path = folder.path().join("config.json");
        let text = std::fs::read_to_string(&path).unwrap();
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        change(&mut config);
        std::fs::write(&path, config.to_string()).unwrap();
        folder
    };
    let expected = draw_of(&fixture("authors"));
    let moved = config(&|config| {
        let fields = config.as_object_mut().unwrap();
        let mut rope = fields.remove("rope_scaling").unwrap();
        for field in ["rope_theta", "original_max_position_embeddings"] {
            rope[field] = fields.remove(field).unwrap();
        }
        fields.insert("rope_parameters".into(), rope);
    });
    assert_eq!(draw_of(moved.path()), expected);
    let other = config(&|config| config["rope_theta"] = 500.0.into());
    assert_ne!(draw_of(other.path()), expected);
}

#[test]
fn loading_is_told_part_by_part() {
    let told = told_loading(|listener| plain().load_listener(listener).load());
    assert_eq!(told, loading_of(&["transformer", "vae"]));
}
