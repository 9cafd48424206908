//! Conditions and LoRA files against what OminiControl's own program makes of the same weights; see
//! tests/fixtures/make_omini.py.

use tch::{Kind, Tensor};

use super::branch::{Sequence, parts};
use super::condition::{Condition, Reference};
use super::lora::Lora;
use super::rope::{Position, condition_positions, image_positions};
use super::transformer::{FluxTransformer, Places, Prompt};
use crate::models::common::golden::{assert_close, device, fixture, kind, recorded};

/// The program's sums run in another order.
const TOLERANCE: f64 = 1e-4;
const CASES: [(&str, &str); 3] = [("reduced", "schnell"), ("full", "schnell"), ("dev", "dev")];

struct Golden {
    case: &'static str,
    transformer: &'static str,
    network: FluxTransformer,
    lora: Lora,
    prompt: Prompt,
    places: Places,
    /// Where the condition's tokens stand.
    positions: Vec<Position>,
}

impl Golden {
    fn open((case, transformer): (&'static str, &'static str)) -> Self {
        let folder = fixture("flux/layers").join(transformer);
        let network = FluxTransformer::load(&folder, device(), kind()).unwrap();
        let file = fixture(&format!("omini/{case}.safetensors"));
        let lora = Lora::open(&file, network.sites(), device(), kind()).unwrap();
        let get = |name: &str| get(case, name);
        let size = |i| get("sizes").int64_value(&[i]);
        let delta = [0, 1].map(|i| get("delta").double_value(&[i]));
        let positions =
            condition_positions(size(2), size(3), delta, get("time").double_value(&[3]));
        let prompt = network.prompt(&get("text"), &get("pooled"));
        let places = network.places(get("text").size()[1], &image_positions(size(0), size(1)));
        Self { case, transformer, network, lora, prompt, places, positions }
    }

    fn condition(&self, strength: f64, independent: bool) -> Condition<'_> {
        let latents = &get(self.case, "condition");
        let reference = Reference { latents, positions: &self.positions, strength, independent };
        let others = get(self.case, "text").size()[1] + get(self.case, "latents").size()[1];
        self.network.condition(&reference, &self.lora, &self.prompt, others)
    }

    /// The vector of the `step`-th time, found in f32: 16 bits round a time to its third digit, as
    /// they do in diffusers, and the program was asked in f32.
    fn embed_time(&self, step: i64) -> Tensor {
        let folder = fixture("flux/layers").join(self.transformer);
        let network = FluxTransformer::load(&folder, device(), Kind::Float).unwrap();
        let prompt = network.prompt(&get(self.case, "text"), &get(self.case, "pooled"));
        let time = get(self.case, "time");
        let (now, guidance) = (time.double_value(&[step]), time.double_value(&[2]));
        network.embed_times(&[now], guidance, &prompt).to_kind(kind()) // [1, b, width]
    }

    /// The flow at the `step`-th time.
    fn flow(&self, step: i64, latents: &Tensor, condition: Option<&Condition<'_>>) -> Tensor {
        let times = self.network.modulate(&self.embed_time(step));
        self.network.forward(latents, &times, 0, &self.prompt, &self.places, condition)
    }

    #[track_caller]
    fn check(&self, name: &str, found: &Tensor) {
        assert_close(&format!("{} {name}", self.case), found, &get(self.case, name), TOLERANCE);
    }
}

fn get(case: &str, name: &str) -> Tensor {
    recorded(&fixture(&format!("omini/{case}_golden.safetensors")), name).to_device(device())
}

#[test]
fn every_block_equals_the_program() {
    let _guard = tch::no_grad_guard();
    for golden in CASES.map(Golden::open) {
        let (network, places) = (&golden.network, &golden.places);
        let time = golden.embed_time(0);
        let (text, image) = (network.text_modulations(&time), network.modulations(&time, None));
        let (text, image) = (&text[0], &image[0]);
        let condition = golden.condition(1.0, false);
        let names = ["text", "image", "condition"];
        let tokens = golden.prompt.tokens.shallow_clone();
        let mut of_text = Sequence::new(tokens, &places.text, text, None);
        let tokens = network.embed(&get(golden.case, "latents"), None);
        let of_image = Sequence::new(tokens, &places.image, image, None);
        let mut of_image = of_image.join(condition.in_pass().unwrap());
        for (i, block) in network.double.iter().enumerate() {
            block.forward(&mut of_text, &mut of_image, condition.beside(i));
            let of_image = parts(&of_image.branches, &of_image.tokens);
            let tokens = std::iter::once(of_text.tokens.shallow_clone())
                .chain(of_image.map(|(_, tokens)| tokens));
            for (name, tokens) in names.iter().zip(tokens) {
                golden.check(&format!("double.{i}.{name}"), &tokens);
            }
        }
        // In the single blocks the text may be a branch of its own too.
        of_text.branches[0].modulations = image;
        let mut all = of_text.join(of_image);
        for (i, block) in network.single.iter().enumerate() {
            block.forward(&mut all, condition.beside(network.double.len() + i));
            for (name, (_, tokens)) in names.iter().zip(parts(&all.branches, &all.tokens)) {
                golden.check(&format!("single.{i}.{name}"), &tokens);
            }
        }
    }
}

#[test]
fn the_flow_beside_a_condition_equals_the_program() {
    let _guard = tch::no_grad_guard();
    for golden in CASES.map(Golden::open) {
        let latents = get(golden.case, "latents");
        golden.check("flow", &golden.flow(0, &latents, Some(&golden.condition(1.0, false))));
        for strength in ["0.4", "2.0"] {
            let condition = golden.condition(strength.parse().unwrap(), false);
            let found = golden.flow(0, &latents, Some(&condition));
            golden.check(&format!("flow.strength_{strength}"), &found);
        }
        // At strength 0 it is unseen, as if there were none.
        for condition in [None, Some(&golden.condition(0.0, false))] {
            golden.check("flow.strength_0.0", &golden.flow(0, &latents, condition));
        }
    }
}

#[test]
fn an_independent_condition_is_computed_once() {
    let _guard = tch::no_grad_guard();
    for golden in CASES.map(Golden::open) {
        let latents = get(golden.case, "latents");
        let condition = golden.condition(1.0, true);
        golden.check("flow.cached_0", &golden.flow(0, &latents, Some(&condition)));
        golden.check("flow.cached_1", &golden.flow(1, &(latents * 0.5), Some(&condition)));
    }
}
