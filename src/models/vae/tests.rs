//! The autoencoder against diffusers' over several configs, and against the real checkpoint's list.

use std::path::Path;

use tch::Device;

use super::*;
use crate::models::common::golden::{
    assert_close, assert_invalid_file, device, fixture, kind, recorded,
};
use crate::models::common::inventory::Inventory;
use crate::models::common::json::read_json;
use crate::models::common::memory_format::MemoryFormat;
use crate::models::common::noise::Noise;

fn open(case: &str, device: Device, kind: Kind) -> Vae {
    let folder = fixture("vae").join(case);
    let config = VaeConfig::open(&folder.join("config.json")).unwrap();
    Vae::new(config, &Weights::open(&folder, device, kind).unwrap()).unwrap()
}

const CASES: [&str; 4] = ["two_blocks", "four_blocks", "bare", "older_names"];

#[test]
fn encoding_and_decoding_equal_diffusers() {
    let _guard = tch::no_grad_guard();
    for case in CASES {
        let vae = open(case, device(), kind());
        let file = fixture("vae").join(format!("{case}.safetensors"));
        let get = |name: &str| recorded(&file, name).to_device(device());
        let check = |what: &str, found: &Tensor| {
            assert_close(&format!("{case} {what}"), found, &get(what), 1e-4);
        };
        for tiling in [VaeTiling::Never, VaeTiling::Always] {
            let prefix = if tiling == VaeTiling::Always { "tiled_" } else { "" };
            let posterior = vae.encode(&get("pixels"), tiling).unwrap();
            check(&format!("{prefix}mean"), &posterior.mean);
            // Noise of 16 bits is other noise.
            if kind() == Kind::Float {
                check(&format!("{prefix}sample"), &posterior.sample(&mut Noise::new(5)));
            }
            check(&format!("{prefix}decoded"), &vae.decode(&get("latents"), tiling));
        }
        let [auto, never] =
            [VaeTiling::Auto, VaeTiling::Never].map(|tiling| vae.decode(&get("latents"), tiling));
        assert_eq!(auto, never);
    }
}

#[test]
fn half_precision_is_upcast_where_the_config_says_so() {
    let upcast = open("two_blocks", Device::Cpu, Kind::Half);
    assert!(upcast.config.force_upcast);
    assert_eq!(upcast.kind(), Kind::Float);
    assert_eq!(open("two_blocks", Device::Cpu, Kind::BFloat16).kind(), Kind::BFloat16);
    assert_eq!(open("bare", Device::Cpu, Kind::Half).kind(), Kind::Half);
}

fn asked_for(config: VaeConfig) -> Result<Inventory> {
    let weights = Weights::recording();
    Vae::new(config, &weights)?;
    Ok(weights.recorded())
}

#[test]
fn the_real_config_asks_for_the_real_tensors() {
    let config = VaeConfig::open(&fixture("vae").join("sdxl.json")).unwrap();
    let found = asked_for(config).unwrap();
    let expected: serde_json::Value = read_json(&fixture("vae/sdxl-vae.json")).unwrap();
    assert_eq!(expected, serde_json::from_str::<serde_json::Value>(&found.to_string()).unwrap());
    assert_eq!(found.tensors(), 248);
}

#[test]
fn settings_that_cannot_be_are_errors_that_name_the_field() {
    for (field, json) in [
        ("norm_num_groups", r#"{"norm_num_groups": 0}"#),
        ("block_out_channels", r#"{"block_out_channels": [30]}"#),
        ("block_out_channels", r#"{"block_out_channels": []}"#),
        ("block_out_channels", r#"{"block_out_channels": [9223372036854775776]}"#),
        ("down_block_types", r#"{"block_out_channels": [32, 64]}"#),
        ("NoBlock2D", r#"{"down_block_types": ["NoBlock2D"]}"#),
        ("scaling_factor", r#"{"scaling_factor": 0}"#),
        ("latents_mean", r#"{"latents_mean": [0.0]}"#),
        ("sample_size", r#"{"sample_size": []}"#),
        ("squish", r#"{"act_fn": "squish"}"#),
    ] {
        let parsed = VaeConfig::parse(Path::new("config.json"), json);
        assert_invalid_file(parsed.and_then(asked_for), field);
    }
}

#[test]
fn pixels_become_bytes_and_back() {
    let image = crate::Image::new(2, 1, vec![0, 127, 128, 255, 1, 254]).unwrap();
    assert_eq!(image_of(&pixels_in(&image)).unwrap(), image);
    let outside = Tensor::from_slice(&[-3_f32, 7.0, 0.0]).reshape([1, 3, 1, 1]);
    assert_eq!(image_of(&outside).unwrap().pixels(), [0, 255, 128]);
}

#[test]
fn channels_side_by_side_give_the_same() {
    let _guard = tch::no_grad_guard();
    for case in CASES {
        let folder = fixture("vae").join(case);
        let weights = Weights::open(&folder, device(), Kind::Float).unwrap();
        let [one, other] = [MemoryFormat::Contiguous, MemoryFormat::ChannelsLast].map(|format| {
            let config = VaeConfig::open(&folder.join("config.json")).unwrap();
            Vae::new(config, &weights.with_memory_format(format)).unwrap()
        });
        let latents = Noise::new(3).normal(&[1, one.config.latent_channels, 9, 8]);
        let [pixels, found] = [&one, &other].map(|vae| vae.decode(&latents, VaeTiling::Never));
        assert_close(&format!("{case} decoded"), &found, &pixels, 1e-4);
        let [mean, found] =
            [&one, &other].map(|vae| vae.encode(&pixels, VaeTiling::Never).unwrap().mean);
        assert_close(&format!("{case} encoded"), &found, &mean, 1e-4);
    }
}
