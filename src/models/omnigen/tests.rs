//! The network against what diffusers makes of the same weights; see tests/fixtures/make_omnigen.py.

use tch::{IndexOp, Tensor};

use super::block::Qkv;
use super::condition::{CHUNK, Part};
use super::conditions::Conditions;
use super::config::OmniGenConfig;
use super::patches::unpatch;
use super::rope::Positions;
use super::transformer::{Canvas, OmniGenTransformer};
use crate::models::common::cuda::fake;
use crate::models::common::golden::{Pass, assert_close, device, fixture, kind};
use crate::models::common::math::attention;
use crate::models::common::prefetch::PinnedPool;
use crate::models::common::weights::Weights;
use crate::models::common::worker::Cancel;

/// diffusers' sums run in another order.
const TOLERANCE: f64 = 1e-4;
const CASES: [&str; 2] = ["short", "long"];

struct Golden {
    pass: Pass,
    network: OmniGenTransformer,
}

impl std::ops::Deref for Golden {
    type Target = Pass;

    fn deref(&self) -> &Pass {
        &self.pass
    }
}

impl Golden {
    fn open(case: &'static str) -> Self {
        let folder = fixture("omnigen/layers").join(case);
        let config = OmniGenConfig::read(&folder.join("config.json")).unwrap();
        let weights = Weights::open(&folder, device(), kind()).unwrap();
        Self {
            pass: Pass::open("omnigen/layers", case, TOLERANCE),
            network: OmniGenTransformer::new(&weights, &config).unwrap(),
        }
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
        assert_close(golden.pass.case, &turned.squeeze(), &expected, 1e-6);
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
            assert_close(&format!("{} row {row}", golden.pass.case), &found, &expected, TOLERANCE);
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
        let noise = golden.get("noise");
        let flow = |step, conditions: &Conditions| {
            network.forward(&noise, step, &times, &canvas, conditions).unwrap()
        };
        let rows = (0..golden.rows()).map(|i| row(i).on_device());
        let on_device = Conditions::new(rows.collect(), None).unwrap();
        let found = flow(1, &on_device);
        golden.check("flow", &found);
        let other = flow(0, &on_device);
        assert_ne!(found, other);

        // The same from host memory, with copies as late as they may be, step by step.
        if device() != tch::Device::Cpu {
            continue;
        }
        let cuda = fake::cuda();
        let tokens: i64 = (0..golden.rows()).map(|row| golden.parts(row).1 + 1).sum();
        let config = network.config();
        let values = tokens * 2 * config.hidden_size * config.num_layers;
        let bytes = values as usize * kind().elt_size_in_bytes();
        let mut blocks = PinnedPool::default().take(cuda, bytes).unwrap();
        let rows = (0..golden.rows()).map(|i| row(i).in_host_memory(&mut blocks).unwrap());
        let rows = rows.collect();
        let in_host_memory = Conditions::new(rows, Some((cuda, blocks))).unwrap();
        for (step, expected) in [(1, &found), (0, &other), (1, &found)] {
            assert_eq!(flow(step, &in_host_memory), *expected, "{} step {step}", golden.pass.case);
        }
    }
}

#[test]
fn a_caller_who_leaves_stops_the_condition_between_its_parts() {
    let golden = Golden::open("short");
    let (parts, cancel) = (golden.parts(0).0, Cancel::default());
    let times = golden.network.times(&[0.0]);
    cancel.cancel();
    let left = golden.network.condition(&parts, golden.positions(0), 4, &times, &cancel);
    assert!(matches!(left, Err(crate::Error::Cancelled)));
}

/// A text of more than one chunk: each token reads all before it, wherever the chunks end.
#[test]
fn long_texts_are_read_in_chunks() {
    let golden = Golden::open("long");
    let network = &golden.network;
    let ids: Vec<_> = (0..CHUNK as i64 + 70).map(|i| 3 + i % 29).collect();
    let positions = Positions { shift: 0, length: 4_000 };
    let times = network.times(&[0.0, 0.5]);
    let keys = |parts: &[Part]| {
        let condition = network.condition(parts, positions, 4, &times, &Cancel::default()).unwrap();
        let tokens = ids.len() as i64; // behind them is room for a time
        let layers: Vec<_> = condition.layers.iter().map(|kv| kv.narrow(2, 0, tokens)).collect();
        Tensor::cat(&layers.into_iter().chain(condition.times).collect::<Vec<_>>(), 2)
    };
    let whole = keys(&[Part::Text(ids.clone())]);
    let (head, tail) = ids.split_at(50);
    let parts = [head, tail].map(|ids| Part::Text(ids.to_vec()));
    assert_close("other chunks", &keys(&parts), &whole, TOLERANCE);
    // Another first token is heard by the last, beyond the end of its chunk.
    let other = keys(&[Part::Text([&[4], &ids[1..]].concat())]);
    let last = |keys: &Tensor| keys.i((.., .., 2 * ids.len() as i64 - 1));
    assert!((last(&other) - last(&whole)).abs().max().double_value(&[]) > 1e-6);
}

/// However texts and pictures fall into chunks, they are what one pass under one mask makes of them.
#[test]
fn chunks_of_text_and_pictures_equal_one_pass() {
    let _guard = tch::no_grad_guard();
    let golden = Golden::open("long");
    let network = &golden.network;
    let positions = Positions { shift: 0, length: 4_000 };
    let text = |count: usize| Part::Text((0..count as i64).map(|i| 3 + i % 29).collect());
    let picture = || Part::Picture(golden.get("picture.0"));
    let times = network.times(&[0.0]);
    for parts in [
        vec![picture(), text(3)],
        vec![text(CHUNK), picture()],
        vec![text(CHUNK - 2), picture(), text(4), picture()],
        vec![text(CHUNK - 6), picture(), picture(), text(1)],
    ] {
        // 1. all tokens at once
        let embedded = |part: &Part| match part {
            Part::Text(ids) => network.embed(ids),
            Part::Picture(latents) => network.patches.reference(latents).unwrap(),
        };
        let all: Vec<_> = parts.iter().map(embedded).collect();
        let mut x = Tensor::cat(&all, 1);
        let tokens = x.size()[1];
        let mask = Tensor::ones([tokens, tokens], (tch::Kind::Bool, device())).tril(0);
        let mut start = 0;
        for (part, own) in parts.iter().zip(&all) {
            let length = own.size()[1];
            if matches!(part, Part::Picture(_)) {
                let _ = mask.i((start..start + length, start..start + length)).fill_(1);
            }
            start += length;
        }
        let rope = network.rope(positions, 0..tokens);
        let mut expected = Vec::new();
        for block in &network.blocks {
            let Qkv { q, k, v } = Qkv::new(block.project(&x), &rope);
            x = block.after(&x, &attention(&q, &k, &v, Some(&mask)));
            expected.push(Tensor::cat(&[k, v], 0)); // [2, heads, tokens, head_dim]
        }

        // 2. chunk by chunk
        let found = network.condition(&parts, positions, 4, &times, &Cancel::default()).unwrap();
        for (found, expected) in found.layers.iter().zip(&expected) {
            assert_close("keys and values", &found.narrow(2, 0, tokens), expected, TOLERANCE);
        }
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
