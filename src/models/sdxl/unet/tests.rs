//! The UNet against what diffusers makes of the same weights; see tests/fixtures/make_unet.py.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::models::common::golden::{assert_close, device, fixture, kind};
use crate::models::common::memory_format::MemoryFormat;

/// diffusers' sums run in another order.
const TOLERANCE: f64 = 1e-4;

fn unet(name: &str) -> PathBuf {
    fixture("unet").join(name)
}

/// What a network that is told its guidance was told; see tests/fixtures/make_unet.py.
const GUIDANCE: f64 = 7.5;

struct Golden(HashMap<String, Tensor>);

impl Golden {
    fn read(name: &str) -> Self {
        Self(Tensor::read_safetensors(unet(name)).unwrap().into_iter().collect())
    }

    fn get(&self, name: &str) -> Tensor {
        let tensor = self.0.get(name).unwrap_or_else(|| panic!("no {name} in the fixture"));
        tensor.to_device(device()).to_kind(kind())
    }

    /// Fails unless `found` is the tensor `name`, to a share of its largest value.
    fn check(&self, name: &str, found: &Tensor) {
        assert_close(name, found, &self.get(name), TOLERANCE);
    }

    /// The whole UNet on the inputs whose names begin with `case`.
    fn run(&self, unet: &UNet, case: &str, timestep: f64) -> Tensor {
        let get = |name: &str| self.get(&format!("{case}{name}"));
        let added = match self.0.contains_key("pooled") {
            true => unet.added(&get("pooled"), &get("time_ids")),
            false => Added(None),
        };
        let times = unet.times(&[timestep], &added, GUIDANCE);
        unet.forward(&get("sample"), times.at(0), &unet.text_context(&get("text")), None)
    }
}

fn load(name: &str) -> UNet {
    UNet::load(&unet(name), device(), kind()).unwrap()
}

fn load_in(name: &str, format: MemoryFormat) -> UNet {
    let folder = unet(name);
    let config = UNetConfig::read(&folder.join("config.json")).unwrap();
    let weights = Weights::open(&folder, device(), kind()).unwrap();
    UNet::new(config, &weights.with_memory_format(format)).unwrap()
}

fn sdxl() -> UNetConfig {
    UNetConfig::parse(Path::new("config.json"), SDXL_CONFIG).unwrap()
}

#[test]
fn sdxl_asks_for_its_1680_tensors() {
    let inventory = UNet::inventory(sdxl()).unwrap();
    assert_eq!((inventory.tensors(), inventory.values()), (1_680, 2_567_463_684));
}

/// ComfyUI's adapter counted the middle block in its place in the forward pass until 2024.
#[test]
fn sites_are_numbered_down_up_mid() {
    let config = sdxl();
    let unet = UNet::new(config, &Weights::recording()).unwrap();
    let names: Vec<_> = unet.sites().iter().map(|site| &site.name[..]).collect();
    assert_eq!(names.len(), 70);
    assert_eq!(names[0], "down_blocks.1.attentions.0.transformer_blocks.0.attn2");
    assert_eq!(names[23], "down_blocks.2.attentions.1.transformer_blocks.9.attn2");
    assert_eq!(names[24], "up_blocks.0.attentions.0.transformer_blocks.0.attn2");
    assert_eq!(names[59], "up_blocks.1.attentions.2.transformer_blocks.1.attn2");
    assert_eq!(names[60], "mid_block.attentions.0.transformer_blocks.0.attn2");
    assert_eq!((unet.sites()[0].heads, unet.sites()[0].width), (10, 640));
}

#[test]
fn timesteps_equal_diffusers() {
    let golden = Golden::read("timesteps.safetensors");
    // Numbers of steps up to 1,000 are more than 16 bits hold.
    let steps = golden.0["steps"].to_device(device());
    golden.check("cos_sin_8", &timestep_embedding(&steps, 8, true, 0.0));
    golden.check("sin_cos_7_shifted", &timestep_embedding(&steps, 7, false, 1.0));
}

#[test]
fn whole_unets_equal_diffusers() {
    for name in ["sdxl", "plain", "odd", "small"] {
        let golden = Golden::read(&format!("{name}/golden.safetensors"));
        let timestep = golden.get("timestep").double_value(&[0]);
        for format in [MemoryFormat::Contiguous, MemoryFormat::ChannelsLast] {
            println!("{name}, {format:?}");
            golden.check("out", &golden.run(&load_in(name, format), "", timestep));
        }
    }
}

#[test]
fn sides_that_downsampling_does_not_divide_equal_diffusers() {
    let golden = Golden::read("sdxl/golden.safetensors");
    golden.check("uneven.out", &golden.run(&load("sdxl"), "uneven.", 601.0));
}

#[test]
fn layers_of_sdxl_equal_diffusers() {
    let (unet, golden) = (load("sdxl"), Golden::read("sdxl/golden.safetensors"));
    let get = |name: &str| golden.get(name);

    golden.check("time_embedding.out", &unet.time_embedding.forward(&get("time_embedding.in")));
    let Added(added) = unet.added(&get("pooled"), &get("time_ids"));
    golden.check("add_embedding.out", &added.unwrap());

    let time = (get("time_embedding.out") + get("add_embedding.out")).silu();
    let times = unet.project(&time.unsqueeze(0));
    let (time, text) = (times.at(0), &unet.text_context(&get("text")));
    let conditions = Conditions { time, text, image: None };
    let resnet = |at: usize| &unet.down[at].resnets[0];
    let check = |name: &str, layer: &dyn Fn(Tensor) -> Tensor| {
        golden.check(&format!("{name}.out"), &layer(get(&format!("{name}.in"))));
    };
    for at in 0..2 {
        check(&format!("down_blocks.{at}.resnets.0"), &|x| resnet(at).forward(&x, time));
    }
    let (name, transformer) = ("down_blocks.2.attentions.1", &unet.down[2].transformers[1]);
    check(name, &|x| transformer.forward(&x, conditions));
    let block = &transformer.blocks[1];
    check(&format!("{name}.transformer_blocks.1"), &|x| block.forward(x, conditions));
    check_blocks(&unet, &golden, conditions, &[0, 2], &[0, 2]);
}

#[test]
fn blocks_of_a_plain_unet_equal_diffusers() {
    let (unet, golden) = (load("plain"), Golden::read("plain/golden.safetensors"));
    let times = unet.project(&golden.get("time_embedding.out").silu().unsqueeze(0));
    let (time, text) = (times.at(0), &unet.text_context(&golden.get("text")));
    let conditions = Conditions { time, text, image: None };
    check_blocks(&unet, &golden, conditions, &[0, 1], &[0]);
}

fn check_blocks(
    unet: &UNet,
    golden: &Golden,
    conditions: Conditions<'_>,
    down: &[usize],
    up: &[usize],
) {
    for &at in down {
        let name = format!("down_blocks.{at}");
        let mut skips = Vec::new();
        let given = golden.get(&format!("{name}.in"));
        let found = unet.down[at].forward_down(given, conditions, &mut skips);
        golden.check(&format!("{name}.out"), &found);
        let resampled = usize::from(unet.config.down[at].resamples);
        assert_eq!(skips.len(), unet.config.down[at].inputs.len() + resampled);
    }
    let found = unet.mid.as_ref().unwrap().forward_mid(&golden.get("mid_block.in"), conditions);
    golden.check("mid_block.out", &found);
    for &at in up {
        let name = format!("up_blocks.{at}");
        let count = unet.config.up[at].inputs.len();
        // The first is not for this block: the size of its result is taken from it.
        let mut skips = vec![golden.get(&format!("{name}.out"))];
        skips.extend((0..count).map(|i| golden.get(&format!("{name}.skip{i}"))));
        let given = golden.get(&format!("{name}.in"));
        let found = unet.up[at].forward_up(given, conditions, &mut skips);
        golden.check(&format!("{name}.out"), &found);
    }
}
