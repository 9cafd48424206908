//! The transformer against what diffusers makes of the same weights; see tests/fixtures/make_flux.py.

use std::path::Path;

use tch::{Kind, Tensor};

use super::attention::Beside;
use super::branch::Branch;
use super::config::FluxConfig;
use super::latents;
use super::lora::{Delta, Lora};
use super::rope::image_positions;
use super::transformer::{FluxTransformer, Places};
use crate::models::golden::{assert_close, device, fixture, kind, recorded};

/// diffusers' sums run in another order.
const TOLERANCE: f64 = 1e-4;
const CASES: [&str; 2] = ["schnell", "dev"];

struct Golden {
    case: &'static str,
    network: FluxTransformer,
}

impl Golden {
    fn open(case: &'static str) -> Self {
        let folder = fixture("flux/layers").join(case);
        Self { case, network: FluxTransformer::load(&folder, device(), kind()).unwrap() }
    }

    fn get(&self, name: &str) -> Tensor {
        let path = fixture("flux/layers").join(format!("{}.safetensors", self.case));
        recorded(&path, name).to_device(device())
    }

    #[track_caller]
    fn check(&self, name: &str, found: &Tensor) {
        assert_close(&format!("{} {name}", self.case), found, &self.get(name), TOLERANCE);
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
        let rope = golden.places().joined;
        let head = golden.network.config.attention_head_dim;
        // A pair (1, 0) turns to (cos, sin), and (0, 1) to (-sin, cos).
        let unit = Tensor::from_slice(&[1f32, 0.0]).repeat([head / 2]).to_device(device());
        let (cos, sin) = (golden.get("pos_embed.0"), golden.get("pos_embed.1"));
        let turned = rope.forward(&unit.expand_as(&cos).unsqueeze(0).unsqueeze(2)); // [1, tokens, 1, head_dim]
        let expected = &unit * &cos + (1.0 - &unit) * &sin;
        assert_close(golden.case, &turned.squeeze(), &expected, 1e-6);
    }
}

#[test]
fn blocks_equal_diffusers() {
    let _guard = tch::no_grad_guard();
    for golden in CASES.map(Golden::open) {
        let (network, places) = (&golden.network, golden.places());
        let time = golden.get("time_text_embed.0").silu().unsqueeze(0); // [1, b, width]
        let (text, image) = (network.text_modulations(&time), network.modulations(&time, None));
        let (text, image) = (&text[0], &image[0]);
        let given = |block: &str, part: &str| golden.get(&format!("{block}.{part}"));
        let branch = |tokens, rope, modulations| Branch { tokens, rope, modulations, lora: None };

        let block = "transformer_blocks.0";
        let mut branches = [
            branch(given(block, "encoder_hidden_states"), &places.text, text),
            branch(given(block, "hidden_states"), &places.image, image),
        ];
        network.double[0].forward(&mut branches, Beside::default());
        for (i, branch) in branches.iter().enumerate() {
            golden.check(&format!("{block}.{i}"), &branch.tokens);
        }

        let block = "single_transformer_blocks.0";
        let parts = [given(block, "encoder_hidden_states"), given(block, "hidden_states")];
        let joined = Tensor::cat(&parts, 1);
        let mut together = [branch(joined, &places.joined, image)];
        network.single[0].forward(&mut together, Beside::default());
        let expected = Tensor::cat(&[given(block, "0"), given(block, "1")], 1);
        assert_close(block, &together[0].tokens, &expected, TOLERANCE);

        // Apart, as a condition is, they are the same.
        let [first, second] = parts;
        let mut apart = [branch(first, &places.text, &image), branch(second, &places.image, image)];
        network.single[0].forward(&mut apart, Beside::default());
        for (i, branch) in apart.iter().enumerate() {
            golden.check(&format!("{block}.{i}"), &branch.tokens);
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
        let times = network.times(&[1000.0, time, 0.0], guidance, &prompt);
        let latents = golden.get("latents");
        let flow = network.forward(&latents, &times, 1, &prompt, &golden.places(), None);
        golden.check("flow", &flow);
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
        let a = Tensor::ones([1, site.inputs], (Kind::Float, device())) * 0.1;
        let b = Tensor::ones([site.outputs, 1], (Kind::Float, device()));
        lora.0[at(name)] = Some(Delta { a, b });
    }
    let time = golden.get("time_text_embed.0").silu().unsqueeze(0); // [1, b, width]
    let (text, image) = (network.text_modulations(&time), network.modulations(&time, None));
    let (text, image) = (&text[0], &image[0]);
    let run = |lora| {
        let branch = |tokens, rope, modulations, lora| Branch { tokens, rope, modulations, lora };
        let get = |name: &str| golden.get(&format!("transformer_blocks.0.{name}"));
        let mut branches = [
            branch(get("encoder_hidden_states"), &places.text, text, None),
            branch(get("hidden_states"), &places.image, image, None),
            branch(get("hidden_states") * 2.0, &places.image, image, lora),
        ];
        network.double[0].forward(&mut branches, Beside::default());
        branches.map(|branch| branch.tokens)
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
        let error = FluxConfig::parse(Path::new("config.json"), json).unwrap_err();
        assert!(matches!(error, crate::Error::InvalidFile { .. }), "{json}: {error}");
        assert!(error.to_string().contains(field), "{json}: {error}");
    }
}
