//! The network against what diffusers makes of the same weights; see tests/fixtures/make_omnigen.py.

use tch::{IndexOp, Tensor};

use super::block::Qkv;
use super::condition::Part;
use super::config::OmniGenConfig;
use super::patches::unpatch;
use super::rope::Positions;
use super::transformer::{Canvas, OmniGenTransformer};
use crate::models::common::golden::{assert_close, device, fixture, kind, recorded};
use crate::models::common::math::attention;
use crate::models::common::weights::Weights;
use crate::models::common::worker::Cancel;

/// diffusers' sums run in another order.
const TOLERANCE: f64 = 1e-4;
const CASES: [&str; 2] = ["short", "long"];

struct Golden {
    case: &'static str,
    network: OmniGenTransformer,
}

impl Golden {
    fn open(case: &'static str) -> Self {
        let folder = fixture("omnigen/layers").join(case);
        let config = OmniGenConfig::read(&folder.join("config.json")).unwrap();
        let weights = Weights::open(&folder, device(), kind()).unwrap();
        Self { case, network: OmniGenTransformer::new(&weights, &config).unwrap() }
    }

    fn get(&self, name: &str) -> Tensor {
        let path = fixture("omnigen/layers").join(format!("{}.safetensors", self.case));
        recorded(&path, name).to_device(device())
    }

    /// What a layer takes, in its type.
    fn input(&self, name: &str) -> Tensor {
        self.get(name).to_kind(kind())
    }

    #[track_caller]
    fn check(&self, name: &str, found: &Tensor) {
        assert_close(&format!("{} {name}", self.case), found, &self.get(name), TOLERANCE);
    }

    fn canvas(&self) -> Canvas {
        let sizes = self.get("sizes");
        self.network.canvas(sizes.int64_value(&[0]), sizes.int64_value(&[1])).unwrap()
    }

    fn rows(&self) -> i64 {
        self.get("mask").size()[0]
    }

    /// The parts of a row, and how many tokens they are.
    fn parts(&self, row: i64) -> (Vec<Part>, i64) {
        let ids = Vec::<i64>::try_from(self.get(&format!("text.{row}"))).unwrap();
        let (mut parts, mut tokens) = (Vec::new(), 0);
        for group in ids.chunk_by(|a, b| *a >= 0 && *b >= 0) {
            match group {
                [id @ ..0] => {
                    let latents = self.get(&format!("picture.{}", -1 - id));
                    tokens += latents.size()[2] * latents.size()[3] / 4;
                    parts.push(Part::Picture(latents));
                }
                text => {
                    tokens += text.len() as i64;
                    parts.push(Part::Text(text.to_vec()));
                }
            }
        }
        (parts, tokens)
    }

    /// Where a row stands as diffusers has it: by the first row.
    fn positions(&self, row: i64) -> Positions {
        let tokens = |row| self.parts(row).1;
        let longest = (0..self.rows()).map(tokens).max().unwrap();
        let length = longest + 1 + self.canvas().tokens();
        Positions { shift: tokens(0) - tokens(row), length }
    }
}

#[test]
fn embeddings_equal_diffusers() {
    let _guard = tch::no_grad_guard();
    for golden in CASES.map(Golden::open) {
        let network = &golden.network;
        let noise = network.patches.noise(&golden.get("noise"), &golden.canvas().positions);
        assert_close("noise", &noise, &golden.get("patch_embedding.0.0").i(0..1), TOLERANCE);
        for i in 0..2 {
            let found = network.patches.reference(&golden.get(&format!("picture.{i}"))).unwrap();
            golden.check(&format!("patch_embedding.1.{i}"), &found);
        }
        let time = golden.get("time").double_value(&[0]);
        // The time of the pass is the same among others.
        let times = network.times(&[0.0, time, 1.0]);
        let expected = golden.get("time_token.0.0").i(0);
        assert_close("time token", &times.tokens.i(1), &expected, TOLERANCE);
        let found = network.modulate(&golden.input("norm_out.0.input"), 1, &times);
        golden.check("norm_out.0.0", &found);
    }
}

#[test]
fn rotations_equal_diffusers() {
    for golden in CASES.map(Golden::open) {
        let head = golden.get("rope.0.0").size()[1];
        let tokens = golden.get("mask").size()[1];
        let places = 0..tokens - golden.padding(0);
        let rope = golden.network.rope(golden.positions(0), places);
        // Halves (1, 0) turn to (cos, sin), and (0, 1) to (-sin, cos).
        let first = Tensor::ones([head / 2], (tch::Kind::Float, device()));
        let unit = Tensor::cat(&[&first, &first.zeros_like()], 0);
        let [cos, sin] =
            ["rope.0.0", "rope.0.1"].map(|name| golden.get(name).i(golden.padding(0)..));
        let turned = rope.forward(&unit.expand_as(&cos).unsqueeze(0).unsqueeze(2)); // [1, tokens, 1, head_dim]
        let expected = &unit * &cos + (1.0 - &unit) * &sin;
        assert_close(golden.case, &turned.squeeze(), &expected, 1e-6);
    }
}

impl Golden {
    /// Padding before a row.
    fn padding(&self, row: i64) -> i64 {
        self.get("mask").size()[1] - self.parts(row).1 - 1 - self.canvas().tokens()
    }
}

#[test]
fn blocks_equal_diffusers() {
    let _guard = tch::no_grad_guard();
    for golden in CASES.map(Golden::open) {
        let block = &golden.network.blocks[0];
        for row in 0..golden.rows() {
            let padding = golden.padding(row);
            let tail = |x: Tensor| x.i((row..row + 1, padding..));
            let x = tail(golden.input("layers.0.0.input"));
            let rope = golden.network.rope(golden.positions(row), 0..x.size()[1]);
            let Qkv { q, k, v } = block.qkv(&x, &rope);
            let mask = golden.get("mask").i((row, padding.., padding..)).to_kind(tch::Kind::Bool);
            let found = block.after(&x, &attention(&q, &k, &v, Some(&mask)));
            let expected = tail(golden.get("layers.0.0.0"));
            assert_close(&format!("{} row {row}", golden.case), &found, &expected, TOLERANCE);
        }
    }
}

/// The condition and the times once, and the noise without a mask: as the whole rows with theirs.
#[test]
fn flows_equal_diffusers_with_kept_keys_and_values() {
    for golden in CASES.map(Golden::open) {
        let network = &golden.network;
        let canvas = golden.canvas();
        let times = network.times(&[0.0, golden.get("time").double_value(&[0])]);
        let row = |row| {
            let positions = golden.positions(row);
            let (parts, cancel) = (golden.parts(row).0, Cancel::default());
            network.condition(&parts, positions, canvas.tokens(), &times, &cancel).unwrap()
        };
        let rows: Vec<_> = (0..golden.rows()).map(row).collect();
        let found = network.forward(&golden.get("noise"), 1, &times, &canvas, &rows);
        golden.check("flow", &found);
        let other = network.forward(&golden.get("noise"), 0, &times, &canvas, &rows);
        assert_ne!(found, other);
    }
}

#[test]
fn tokens_are_channels_last() {
    let tokens = Tensor::arange(2 * 3 * 8, (tch::Kind::Float, tch::Device::Cpu)).view([1, 6, 8]);
    let latents = unpatch(&tokens, 2, 3, 2); // [1, 2, 4, 6]
    assert_eq!(latents.size(), [1, 2, 4, 6]);
    // Token 4 is that of row 1, column 1; its value 5 is of row 1, column 0, channel 1 in it.
    assert_eq!(latents.double_value(&[0, 1, 3, 2]), 4.0 * 8.0 + 5.0);
}
