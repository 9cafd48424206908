//! The transformer against what diffusers makes of the same weights; see tests/fixtures/make_flux.py.

use std::path::Path;

use tch::{Kind, Tensor};

use super::attention::ConditionContext;
use super::branch::Sequence;
use super::config::FluxConfig;
use super::latents;
use super::lora::{Delta, Lora};
use super::rope::image_positions;
use super::transformer::{FluxTransformer, Places};
use crate::models::common::golden::{
    Pass, assert_close, assert_invalid_file, device, fixture, kind,
};

/// diffusers' sums run in another order.
const TOLERANCE: f64 = 1e-4;
const CASES: [&str; 2] = ["schnell", "dev"];

struct Golden {
    pass: Pass,
    network: FluxTransformer,
}

impl std::ops::Deref for Golden {
    type Target = Pass;

    fn deref(&self) -> &Pass {
        &self.pass
    }
}

impl Golden {
    fn open(case: &'static str) -> Self {
        let folder = fixture("flux/layers").join(case);
        Self {
            pass: Pass::open("flux/layers", case, TOLERANCE),
            network: FluxTransformer::load(&folder, device(), kind()).unwrap(),
        }
    }

    /// The time of the pass, and its guidance.
    fn time(&self) -> (f64, f64) {
        let time = self.get("time");
        (time.double_value(&[0]), time.double_value(&[1]))
    }

    fn places(&self) -> Places {
        let sizes = self.get("sizes");
        let positions = image_positions(sizes.int64_value(&[0]), sizes.int64_value(&[1]));
        self.network.places(self.get("text").size()[1], &positions)
    }
}

#[test]
fn embeddings_equal_diffusers() {
    let _guard = tch::no_grad_guard();
    for golden in CASES.map(Golden::open) {
        let network = &golden.network;
        let prompt = network.prompt(&golden.get("text"), &golden.get("pooled"));
        golden.check("context_embedder.0", &prompt.tokens);
        golden.check("x_embedder.0", &network.embed(&golden.get("latents"), None));
        if kind() != Kind::Float {
            continue; // 16 bits round a time to its third digit, as they do in diffusers.
        }
        let (time, guidance) = golden.time();
        let expected = golden.get("time_text_embed.0").silu();
        // The time of the pass is the same among others.
        let found = network.embed_times(&[1000.0, time, 0.0], guidance, &prompt);
        assert_close("time, guidance and text", &found.select(0, 1), &expected, TOLERANCE);
    }
}

#[test]
fn rotations_equal_diffusers() {
    for golden in CASES.map(Golden::open) {
        let places = golden.places();
        let rope = places.text.join(&places.image);
        let head = golden.network.config.attention_head_dim;
        // A pair (1, 0) turns to (cos, sin), and (0, 1) to (-sin, cos).
        let unit = Tensor::from_slice(&[1f32, 0.0]).repeat([head / 2]).to_device(device());
        let (cos, sin) = (golden.get("pos_embed.0"), golden.get("pos_embed.1"));
        let turned = rope.forward(&unit.expand_as(&cos).unsqueeze(0).unsqueeze(2)); // [1, tokens, 1, head_dim]
        let expected = &unit * &cos + (1.0 - &unit) * &sin;
        assert_close(golden.pass.case, &turned.squeeze(), &expected, 1e-6);
    }
}

#[test]
fn blocks_equal_diffusers() {
    let _guard = tch::no_grad_guard();
    for golden in CASES.map(Golden::open) {
        let (network, places) = (&golden.network, golden.places());
        let time = golden.input("time_text_embed.0").silu().unsqueeze(0); // [1, b, width]
        let (text, image) = (network.text_modulations(&time), network.modulations(&time, None));
        let (text, image) = (&text[0], &image[0]);
        let given = |block: &str, part: &str| golden.input(&format!("{block}.{part}"));
        let block = "transformer_blocks.0";
        let [mut text_branch, mut image_branch] = [
            Sequence::new(given(block, "encoder_hidden_states"), &places.text, text, None),
            Sequence::new(given(block, "hidden_states"), &places.image, image, None),
        ];
        network.double[0].forward(&mut text_branch, &mut image_branch, ConditionContext::default());
        golden.check(&format!("{block}.0"), &text_branch.tokens);
        golden.check(&format!("{block}.1"), &image_branch.tokens);

        // With the same modulations text and image are one branch, or two.
        let block = "single_transformer_blocks.0";
        let parts = ["encoder_hidden_states", "hidden_states"].map(|part| given(block, part));
        let [first, second] = parts;
        let second = Sequence::new(second, &places.image, image, None);
        let mut two = Sequence::new(first, &places.text, image, None).join(second);
        let (tokens, rope) = (two.tokens.shallow_clone(), two.rope.shallow_clone());
        let mut one = Sequence::new(tokens, &rope, image, None);
        let expected = Tensor::cat(&[given(block, "0"), given(block, "1")], 1);
        for sequence in [&mut one, &mut two] {
            network.single[0].forward(sequence, ConditionContext::default());
            assert_close(block, &sequence.tokens, &expected, TOLERANCE);
        }
    }
}

#[test]
fn the_flow_equals_diffusers() {
    let _guard = tch::no_grad_guard();
    for golden in CASES.map(Golden::open) {
        let network = &golden.network;
        let prompt = network.prompt(&golden.get("text"), &golden.get("pooled"));
        let (time, guidance) = golden.time();
        let latents = golden.get("latents");
        let flow =
            |times, step| network.forward(&latents, &times, step, &prompt, &golden.places(), None);
        let embedded = golden.input("time_text_embed.0").silu().unsqueeze(0); // [1, b, width]
        golden.check("flow", &flow(network.modulate(&embedded), 0));
        if kind() == Kind::Float {
            let times = network.times(&[1000.0, time, 0.0], guidance, &prompt);
            golden.check("flow", &flow(times, 1));
        }
    }
}

#[test]
fn a_lora_changes_the_layers_it_names_for_the_branch_that_has_it() {
    let _guard = tch::no_grad_guard();
    let golden = Golden::open("schnell");
    let (network, places) = (&golden.network, golden.places());
    let sites = network.sites();
    // Every linear layer but those of text and time alone.
    assert_eq!(sites.len(), 1 + 2 * 14 + 3 * 6);
    let at = |name: &str| sites.iter().position(|site| site.name == name).unwrap();
    let mut lora = Lora(sites.iter().map(|_| None).collect());
    for name in ["transformer_blocks.0.attn.to_k", "transformer_blocks.0.ff.net.2"] {
        let site = &sites[at(name)];
        let a = Tensor::ones([1, site.inputs], (kind(), device())) * 0.1;
        let b = Tensor::ones([site.outputs, 1], (kind(), device()));
        lora.0[at(name)] = Some(Delta { a, b });
    }
    let time = golden.input("time_text_embed.0").silu().unsqueeze(0); // [1, b, width]
    let (text, image) = (network.text_modulations(&time), network.modulations(&time, None));
    let (text, image) = (&text[0], &image[0]);
    let run = |lora| {
        let get = |name: &str| golden.input(&format!("transformer_blocks.0.{name}"));
        let mut of_text = Sequence::new(get("encoder_hidden_states"), &places.text, text, None);
        let of_image = Sequence::new(get("hidden_states"), &places.image, image, None);
        let condition = Sequence::new(get("hidden_states") * 2.0, &places.image, image, lora);
        let mut of_image = of_image.join(condition);
        network.double[0].forward(&mut of_text, &mut of_image, ConditionContext::default());
        let mut tokens = of_image.tokens.chunk(2, 1);
        tokens.insert(0, of_text.tokens);
        tokens
    };
    let (plain, adapted) = (run(None), run(Some(&lora)));
    for (i, (plain, adapted)) in plain.iter().zip(&adapted).enumerate() {
        assert_ne!(plain, adapted, "branch {i}: its own weights, or what it reads, are others");
    }
    let empty = Lora(Vec::new());
    assert_eq!(run(Some(&empty)), plain);
}

#[test]
fn latents_are_packed_by_patches_and_unpacked() {
    let sides = Tensor::arange(2 * 4 * 6, (Kind::Float, tch::Device::Cpu)).view([1, 2, 4, 6]);
    let packed = latents::pack(&sides);
    assert_eq!(packed.size(), [1, 6, 8]);
    // The second patch of the first row: both channels, row by row.
    let second = Vec::<f32>::try_from(packed.select(1, 1).squeeze()).unwrap();
    assert_eq!(second, [2.0, 3.0, 8.0, 9.0, 26.0, 27.0, 32.0, 33.0]);
    assert_eq!(latents::unpack(&packed, 2, 3), sides);
}

#[test]
fn settings_that_cannot_be_are_errors_that_name_the_field() {
    for (field, json) in [
        ("_class_name", r#"{"_class_name": "SD3Transformer2DModel"}"#),
        ("patch_size", r#"{"patch_size": 2}"#),
        ("num_layers", r#"{"num_layers": 0}"#),
        ("num_single_layers", r#"{"num_single_layers": 5000}"#),
        ("attention_head_dim", r#"{"attention_head_dim": -8}"#),
        ("axes_dims_rope", r#"{"axes_dims_rope": [16, 56, 55]}"#),
        ("axes_dims_rope", r#"{"attention_head_dim": 3, "axes_dims_rope": [1, 1, 1]}"#),
        ("length 2", r#"{"axes_dims_rope": [64, 64]}"#),
        ("joint_attention_dim", r#"{"joint_attention_dim": 9223372036854775807}"#),
    ] {
        assert_invalid_file(FluxConfig::parse(Path::new("config.json"), json), field);
    }
}
