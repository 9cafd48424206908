//! Networks layer by layer against what transformers recorded.

use std::path::PathBuf;

use serde_json::{Value, json};
use tch::Kind;

use super::*;
use crate::models::common::golden::{
    self, assert_close, assert_invalid_file, assert_invalid_input, device, fixture, kind,
};
use crate::models::common::json::read_json;
use crate::models::common::layers::Activation;

/// The checkpoints whose states were recorded.
const RECORDED: [&str; 6] =
    ["vit", "vit_classifier", "dinov2", "dinov2_classifier", "registers", "registers_gated"];

fn folder(name: &str) -> PathBuf {
    fixture("dino").join(name)
}

fn open(name: &str, kind: Kind) -> DinoModel {
    let config = DinoConfig::read(&folder(name).join("config.json")).unwrap();
    DinoModel::new(&Weights::open(&folder(name), device(), kind).unwrap(), &config).unwrap()
}

fn recorded(name: &str, part: &str) -> Tensor {
    golden::recorded(&folder(name).join("io.safetensors"), part)
}

#[test]
fn networks_equal_transformers_layer_by_layer() {
    for name in RECORDED {
        let model = open(name, kind());
        let check = |part: &str, found: &Tensor| {
            assert_close(&format!("{name} {part}"), found, &recorded(name, part), 1e-5);
        };
        let pixels = recorded(name, "pixels");
        let mut x = model.embeddings.forward(&pixels).unwrap();
        check("states.0", &x);
        assert_eq!(model.layers.len(), 2);
        for (layer, number) in model.layers.iter().zip(1..) {
            x = layer.forward(&x);
            check(&format!("states.{number}"), &x);
        }
        check("features", &model.forward(&pixels).unwrap());
    }
}

#[test]
fn half_precision_stays_near() {
    for name in RECORDED {
        for (kind, tolerance) in [(Kind::Half, 1e-2), (Kind::BFloat16, 6e-2)] {
            let found = open(name, kind).forward(&recorded(name, "pixels")).unwrap();
            assert_eq!(found.kind(), kind);
            assert_close(name, &found, &recorded(name, "features"), tolerance);
        }
    }
}

#[test]
fn pictures_that_a_network_does_not_take_are_errors() {
    let pixels = |size: [i64; 4]| Tensor::zeros(size, (Kind::Float, tch::Device::Cpu));
    for (name, size, expected) in [
        ("vit", [1, 3, 30, 36], "[b, 3, 30, 30], found [1, 3, 30, 36]"),
        ("vit", [1, 1, 30, 30], "found [1, 1, 30, 30]"),
        ("vit_classifier", [1, 3, 30, 18], "[b, 3, 18, 30], found [1, 3, 30, 18]"),
        ("dinov2", [2, 3, 30, 5], "at least 6 pixels a side, found [2, 3, 30, 5]"),
        ("registers", [2, 4, 30, 30], "found [2, 4, 30, 30]"),
    ] {
        assert_invalid_input(open(name, Kind::Float).forward(&pixels(size)), expected);
    }
    let tokens = open("registers", Kind::Float).embeddings.forward(&pixels([1, 3, 7, 100]));
    assert_eq!(tokens.unwrap().size(), [1, 1 + 3 + 16, 24]);
}

/// A config of the fixture `name` with another `field`.
fn changed(name: &str, field: &str, value: Value) -> Result<DinoConfig> {
    let mut whole: Value = read_json(&folder(name).join("config.json")).unwrap();
    whole[field] = value;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), whole.to_string()).unwrap();
    DinoConfig::read(file.path())
}

#[test]
fn settings_that_make_no_sense_are_errors_that_name_them() {
    for (name, field, value, expected) in [
        (
            "vit",
            "model_type",
            json!("deit"),
            "expected vit, dinov2, dinov2_with_registers, found deit",
        ),
        ("vit", "num_channels", json!(1), "num_channels"),
        ("vit", "hidden_size", json!(2), "at least 3, the num_attention_heads"),
        ("vit", "hidden_act", json!("gelu_10"), "gelu_10"),
        ("vit", "patch_size", json!([6, 5]), "a square, found 5x6"),
        ("vit", "image_size", json!([30, 5]), "at least 6, the patch_size, found 5x30"),
        ("vit", "image_size", json!([30, 30, 30]), "a number, or height and width"),
        ("vit", "image_size", json!("224"), "image_size"),
        ("vit", "layer_norm_eps", json!(-1), "layer_norm_eps"),
        ("vit", "qkv_bias", json!("yes"), "qkv_bias"),
        ("dinov2", "mlp_ratio", json!(0), "mlp_ratio"),
        ("dinov2", "mlp_ratio", json!(1e300), "mlp_ratio"),
        ("registers", "num_register_tokens", json!(-1), "num_register_tokens"),
    ] {
        assert_invalid_file(changed(name, field, value), expected);
    }
}

#[test]
fn what_a_file_leaves_out_has_the_default_of_its_class() {
    let read = |model_type: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), json!({"model_type": model_type}).to_string()).unwrap();
        DinoConfig::read(file.path()).unwrap()
    };
    // `ViTConfig()`, `Dinov2Config()` and `Dinov2WithRegistersConfig()` of transformers 5.23.
    for (model_type, patch, eps, registers, name) in [
        ("vit", 16, 1e-12, 0, "DINO ViT-B/16"),
        ("dinov2", 14, 1e-6, 0, "DINOv2 ViT-B/14"),
        ("dinov2_with_registers", 16, 1e-6, 4, "DINOv2 ViT-B/16 with registers"),
    ] {
        let config = read(model_type);
        assert_eq!((config.width, config.layers, config.heads, config.mlp), (768, 12, 12, 3072));
        assert_eq!((config.patch_size, config.eps, config.registers), (patch, eps, registers));
        assert!(config.qkv_bias && !config.swiglu && config.activation == Activation::Gelu);
        assert_eq!((config.image_size, config.name().as_str()), ([224, 224], name));
    }
    // Two thirds of 4 x 1,536, in eights, as the giant has.
    let mut giant = json!({"model_type": "dinov2", "hidden_size": 1536, "use_swiglu_ffn": true});
    giant["num_hidden_layers"] = json!(40);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), giant.to_string()).unwrap();
    let giant = DinoConfig::read(file.path()).unwrap();
    assert_eq!((giant.mlp, giant.name().as_str()), (4096, "DINOv2 ViT-g/14"));
    assert_eq!(changed("vit", "image_size", json!(48)).unwrap().name(), "DINO ViT-24x2/6@48");
    assert_eq!(
        changed("vit", "image_size", json!([18, 30])).unwrap().name(),
        "DINO ViT-24x2/6@30x18"
    );
}
