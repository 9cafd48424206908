//! The transformer against what diffusers makes of the same weights; see tests/fixtures/make_pixart.py.

use std::path::Path;

use tch::{Kind, Tensor};

use super::config::PixArtConfig;
use super::transformer::PixArtTransformer;
use crate::models::common::golden::{
    Pass, assert_close, assert_invalid_file, device, fixture, kind,
};

/// diffusers' sums run in another order.
const TOLERANCE: f64 = 1e-4;
const CASES: [&str; 2] = ["sigma", "plain"];

struct Golden {
    pass: Pass,
    network: PixArtTransformer,
}

impl std::ops::Deref for Golden {
    type Target = Pass;

    fn deref(&self) -> &Pass {
        &self.pass
    }
}

impl Golden {
    fn open(case: &'static str) -> Self {
        let folder = fixture("pixart/layers").join(case);
        Self {
            pass: Pass::open("pixart/layers", case, TOLERANCE),
            network: PixArtTransformer::load(&folder, device(), kind()).unwrap(),
        }
    }

    /// The states of each caption, of its own tokens alone.
    fn states(&self, name: &str) -> Vec<Tensor> {
        let (states, tokens) = (self.input(name), self.get("tokens"));
        (0..2).map(|i| states.narrow(0, i, 1).narrow(1, 0, tokens.int64_value(&[i]))).collect()
    }

    /// Rows and columns of tokens.
    fn grid(&self) -> [i64; 2] {
        [2, 3].map(|side| self.get("latents").size()[side] / self.network.config.patch_size)
    }
}

#[test]
fn positions_equal_diffusers() {
    for golden in CASES.map(Golden::open) {
        let [rows, columns] = golden.grid();
        let network = &golden.network;
        golden.check("positions", &network.positions(rows, columns));
        let side = network.config.sample_size / network.config.patch_size;
        golden.check("table", &network.positions(side, side));
        // Not square, or of another size, so that rows and columns differ.
        assert!((rows, columns) != (side, side) || golden.pass.case == "plain");
    }
}

#[test]
fn embeddings_equal_diffusers() {
    let _guard = tch::no_grad_guard();
    for golden in CASES.map(Golden::open) {
        let (network, [rows, columns]) = (&golden.network, golden.grid());
        let positions = network.positions(rows, columns);
        let tokens = network.patches.forward(&golden.input("latents"), &positions);
        golden.check("pos_embed.0", &tokens);
        if let Some(projection) = &network.caption_projection {
            golden.check("caption_projection.0", &projection.forward(&golden.input("text")));
        }
        // The time of the pass is the same among others.
        let time = golden.get("time").int64_value(&[0]) as f64;
        let times = network.times(&[999.0, time, 0.0]);
        let expected = [golden.get("adaln_single.0"), golden.get("adaln_single.1")];
        for (found, expected) in [times.blocks, times.last].iter().zip(expected) {
            let found = found.get(1).flatten(0, 1);
            assert_close("adaLN-single", &found, &expected.get(0), TOLERANCE);
        }
    }
}

#[test]
fn blocks_equal_diffusers() {
    let _guard = tch::no_grad_guard();
    for golden in CASES.map(Golden::open) {
        let block = &golden.network.blocks[0];
        let name = "transformer_blocks.0";
        // 1. attention among the tokens, and to the captions
        let x = golden.input(&format!("{name}.attn1.in"));
        golden
            .check(&format!("{name}.attn1.0"), &block.attn1.forward(&x, &[&block.attn1.read(&x)]));
        let captions = golden.states(&format!("{name}.attn2.read"));
        let captions: Vec<_> = captions.iter().map(|states| block.attn2.read(states)).collect();
        let captions: Vec<_> = captions.iter().collect();
        let x = golden.input(&format!("{name}.attn2.in"));
        golden.check(&format!("{name}.attn2.0"), &block.attn2.forward(&x, &captions));
        // 2. the feed-forward layer
        let x = golden.input(&format!("{name}.ff.in"));
        golden.check(&format!("{name}.ff.0"), &block.ff.forward(&x));
        // 3. the whole
        let modulations = golden.input("adaln_single.0").get(0).view([6, -1]);
        let x = golden.input(&format!("{name}.in"));
        golden.check(&format!("{name}.0"), &block.forward(&x, &modulations, &captions));
    }
}

#[test]
fn the_noise_equals_diffusers() {
    for golden in CASES.map(Golden::open) {
        let (network, [rows, columns]) = (&golden.network, golden.grid());
        let captions: Vec<_> =
            golden.states("text").iter().map(|states| network.caption(states)).collect();
        let captions: Vec<_> = captions.iter().collect();
        let time = golden.get("time").int64_value(&[0]) as f64;
        let (times, positions) = (network.times(&[999.0, time]), network.positions(rows, columns));
        let noise = network.forward(&golden.get("latents"), &times, 1, &captions, &positions);
        golden.check("noise", &noise);
    }
}

#[test]
fn the_table_of_the_training_images_is_rounded_as_the_network_is() {
    let folder = fixture("pixart/layers/sigma");
    let network = PixArtTransformer::load(&folder, tch::Device::Cpu, Kind::BFloat16).unwrap();
    let side = network.config.sample_size / network.config.patch_size;
    assert_eq!(network.positions(side, side).kind(), Kind::BFloat16);
    assert_eq!(network.positions(side, side + 1).kind(), Kind::Float);
}

#[test]
fn settings_that_are_missing_have_the_defaults_of_diffusers() {
    let parse = |text| PixArtConfig::parse(Path::new("config.json"), text);
    let plain = parse(r#"{"use_additional_conditions": false}"#).unwrap();
    assert_eq!((plain.width(), plain.in_channels, plain.out_channels), (1152, 4, 8));
    assert_eq!((plain.sample_size, plain.interpolation_scale), (128, 2.0));
    assert_eq!((plain.caption_channels, plain.attention_bias), (None, true));
    // A null counts as diffusers counts it.
    let null = r#"{"sample_size": 64, "out_channels": null, "interpolation_scale": null,
        "use_additional_conditions": null}"#;
    let null = parse(null).unwrap();
    assert_eq!((null.out_channels, null.interpolation_scale), (4, 1.0));
    let half = parse(r#"{"sample_size": 32, "interpolation_scale": 0.5}"#).unwrap();
    assert_eq!(half.interpolation_scale, 0.5);
    let released = r#"{"_class_name": "Transformer2DModel", "norm_type": "ada_norm_single",
        "num_vector_embeds": null, "only_cross_attention": false, "double_self_attention": false,
        "use_linear_projection": false, "use_additional_conditions": false}"#;
    assert_eq!(parse(released).unwrap(), plain);
}

#[test]
fn settings_that_cannot_be_are_errors_that_name_the_field() {
    for (field, fields) in [
        ("_class_name", r#""_class_name": "DiTTransformer2DModel""#),
        ("norm_type", r#""_class_name": "Transformer2DModel""#),
        ("norm_type", r#""norm_type": "ada_norm_zero""#),
        ("num_vector_embeds", r#""num_vector_embeds": 5"#),
        ("only_cross_attention", r#""only_cross_attention": true"#),
        ("double_self_attention", r#""double_self_attention": true"#),
        ("norm_elementwise_affine", r#""norm_elementwise_affine": true"#),
        ("attention_type", r#""attention_type": "gated""#),
        ("use_additional_conditions", r#""use_additional_conditions": true"#),
        ("use_additional_conditions", r#""sample_size": 128"#),
        ("use_additional_conditions", r#""num_layers": 28"#),
        ("out_channels", r#""out_channels": 6"#),
        ("sample_size", r#""sample_size": 0"#),
        ("patch_size", r#""patch_size": 65"#),
        ("num_layers", r#""num_layers": 5000"#),
        ("attention_head_dim", r#""attention_head_dim": -8"#),
        ("attention_head_dim", r#""attention_head_dim": 3, "num_attention_heads": 2"#),
        ("attention_head_dim", r#""attention_head_dim": 65536, "num_attention_heads": 65536"#),
        ("activation_fn", r#""activation_fn": "mish""#),
        ("interpolation_scale", r#""interpolation_scale": 0"#),
        ("interpolation_scale", r#""interpolation_scale": "2""#),
        ("cross_attention_dim", r#""cross_attention_dim": null"#),
        ("cross_attention_dim", r#""cross_attention_dim": 9223372036854775807"#),
        ("cross_attention_dim", r#""caption_channels": 8, "cross_attention_dim": 8"#),
        ("norm_eps", r#""norm_eps": -1"#),
    ] {
        let size = if fields.contains("sample_size") || field.starts_with("use") {
            ""
        } else {
            r#""sample_size": 64, "#
        };
        let text = format!("{{{size}{fields}}}");
        assert_invalid_file(PixArtConfig::parse(Path::new("config.json"), &text), field);
    }
}
