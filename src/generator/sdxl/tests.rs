//! Whole images against diffusers', and everything that must fail before work begins.

use futures::executor::block_on;
use serde_json::Value;
use tch::Kind;

use super::*;
use crate::Image;
use crate::conditioner::{Conditioning, ImageTokens, Strength};
use crate::generator::checks::*;
use crate::generator::{GenerateRequest, Generator};
use crate::models::clip::{VisionConfig, VisionModel};
use crate::models::common::golden::{dtype, place};
use crate::models::common::preprocess::{Family, Preprocessor};
use crate::models::ip_adapter::Resampler;

pub(super) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sdxl").join(name)
}

pub(super) fn wide() -> SdxlBuilder {
    Sdxl::builder(fixture("wide")).device(place()).dtype(dtype()).steps(2)
}

/// The tokens of pictures, made with the networks alone.
pub(super) fn tokens(space: &str, pictures: &[Image]) -> ImageTokens {
    let _guard = tch::no_grad_guard();
    let (folder, device) = (fixture("image_encoder"), tch::Device::Cpu);
    let config = VisionConfig::open(&folder).unwrap();
    let side = usize::try_from(config.sizes.image_size).unwrap();
    let pixels = Preprocessor::of(Family::CLIP, side).forward(pictures);
    let vision = VisionModel::open(&folder, device, Kind::Float).unwrap();
    let resampler = Resampler::open(&fixture("adapter.safetensors"), device, Kind::Float).unwrap();
    let read = |pixels: &tch::Tensor| {
        let tokens = resampler.forward(&vision.forward(pixels).unwrap().penultimate);
        let (n, each, dim) = tokens.size3().unwrap();
        let data = Vec::<f32>::try_from(tokens.reshape([-1])).unwrap();
        (usize::try_from(n * each).unwrap(), usize::try_from(dim).unwrap(), data)
    };
    let (count, dim, data) = read(&pixels);
    let (_, _, negative) = read(&pixels.zeros_like());
    ImageTokens::new(space, count, dim, data, negative).unwrap()
}

pub(super) fn space(sdxl: &Sdxl) -> String {
    match sdxl.accepts() {
        [ConditioningKind::None, ConditioningKind::Tokens { space }] => space.clone(),
        other => panic!("{other:?}"),
    }
}

fn strength(scale: &Value) -> Strength {
    if let Some(scale) = scale.as_f64() {
        return Strength::new(scale);
    }
    let mut strength = Strength::default();
    for (way, blocks) in scale.as_object().unwrap() {
        for (block, scales) in blocks.as_object().unwrap() {
            for (i, scale) in scales.as_array().unwrap().iter().enumerate() {
                let block = block.strip_prefix("block_").unwrap();
                let place = format!("{way}_blocks.{block}.attentions.{i}");
                strength.per_block.insert(place, scale.as_f64().unwrap());
            }
        }
    }
    strength
}

#[test]
fn every_image_equals_diffusers() {
    let runs = std::fs::read_to_string(fixture("runs.json")).unwrap();
    let runs: Vec<Value> = serde_json::from_str(&runs).unwrap();
    assert!(runs.len() >= 15);
    for run in runs {
        let text = |field: &str| run[field].as_str();
        let pair = |field: &str| {
            let pair = run[field].as_array()?;
            let number = |i: usize| u32::try_from(pair[i].as_u64().unwrap()).unwrap();
            Some((number(0), number(1)))
        };
        // 1. the settings of the run
        let folder = fixture(text("folder").unwrap());
        let mut builder = Sdxl::builder(folder).device(place()).dtype(dtype());
        if let Some(kind) = text("scheduler") {
            builder = builder.scheduler(kind.parse().unwrap());
        }
        if let Some((height, width)) = pair("original_size") {
            builder = builder.original_size(width, height);
        }
        if let Some((top, left)) = pair("crops_coords_top_left") {
            builder = builder.crop(left, top);
        }
        if let Some((height, width)) = pair("target_size") {
            builder = builder.target_size(width, height);
        }
        if run["adapter"] == true {
            builder = builder.ip_adapter(fixture("adapter.safetensors"));
        }
        let sdxl = builder.clone().load().unwrap();

        // 2. the request
        let size = |field: &str| run[field].as_u64().map(|side| u32::try_from(side).unwrap());
        let mut request = GenerateRequest::new(text("prompt").unwrap());
        request.negative_prompt = text("negative_prompt").map(str::to_owned);
        request.seed = run["seed"].as_u64().unwrap();
        (request.width, request.height) = (size("width"), size("height"));
        request.steps = run["num_inference_steps"].as_u64().map(|steps| steps as usize);
        request.guidance_scale = run["guidance_scale"].as_f64();
        if let Some(references) = run["references"].as_array() {
            let pictures: Vec<_> = references
                .iter()
                .map(|number| Image::open(fixture(&format!("reference_{number}.png"))).unwrap())
                .collect();
            let mut tokens = tokens(&space(&sdxl), &pictures);
            tokens.strength = strength(&run["scale"]);
            request.conditioning = Conditioning::Tokens(tokens);
        }

        // 3. the image
        let name = format!("{}_{}", text("folder").unwrap(), text("name").unwrap());
        let expected = match dtype() {
            DType::F32 => Image::open(fixture(&format!("{name}.png"))).unwrap(),
            // Noise of 16 bits is other noise: the CPU's image stands for diffusers'.
            _ => draw(&builder.device(Device::Cpu).load().unwrap(), request.clone()).unwrap(),
        };
        assert_near(&name, &draw(&sdxl, request).unwrap(), &expected, dtype());
    }
}

#[test]
fn an_image_depends_on_its_own_request_alone() {
    let sdxl = wide().ip_adapter(fixture("adapter.safetensors")).load().unwrap();
    let picture = Image::open(fixture("reference_0.png")).unwrap();
    let request = |seed, prompt: &str| {
        let mut request = GenerateRequest::new(prompt);
        request.seed = seed;
        request
    };
    let mut conditioned = request(1, "a bird");
    conditioned.conditioning = Conditioning::Tokens(tokens(&space(&sdxl), &[picture]));
    let mut weightless = conditioned.clone();
    if let Conditioning::Tokens(tokens) = &mut weightless.conditioning {
        tokens.strength.scale = 0.0;
    }
    let requests = [request(1, "a bird"), conditioned, request(2, "a house"), weightless];
    let together = block_on(sdxl.generate(&requests)).unwrap();
    for (request, image) in requests.into_iter().zip(&together).rev() {
        assert_same(&draw(&sdxl, request).unwrap(), image);
    }
    assert_ne!(together[0], together[1]);
    assert_ne!(together[0], together[2]);
    assert_eq!(together[0], together[3], "a scale of 0 means none");
    assert_eq!(block_on(sdxl.generate(&[])).unwrap(), []);
}

#[test]
fn references_act_in_the_steps_they_are_asked_for() {
    let sdxl = wide().ip_adapter(fixture("adapter.safetensors")).load().unwrap();
    let picture = Image::open(fixture("reference_1.png")).unwrap();
    let tokens = tokens(&space(&sdxl), &[picture]);
    let image = |start, end| {
        let mut tokens = tokens.clone();
        (tokens.strength.start, tokens.strength.end) = (start, end);
        let mut request = GenerateRequest::new("a bird");
        request.conditioning = Conditioning::Tokens(tokens);
        draw(&sdxl, request).unwrap()
    };
    let plain = draw(&sdxl, GenerateRequest::new("a bird")).unwrap();
    assert_eq!(image(0.0, 0.0), plain);
    let images = [image(0.0, 0.5), image(0.5, 1.0), image(0.0, 1.0), plain];
    for (i, one) in images.iter().enumerate() {
        assert!(images[i + 1..].iter().all(|other| other != one), "{i}");
    }
}

#[cfg(feature = "testing")]
#[test]
fn keeps_the_contract_of_every_generator() {
    let sdxl = wide().ip_adapter(fixture("adapter.safetensors")).load().unwrap();
    block_on(crate::testing::conformance::generator(&sdxl));
}

#[test]
fn every_step_is_told_and_previews_come_when_asked_for() {
    let sdxl = wide().load().unwrap();
    let mut request = GenerateRequest::new("a bird");
    (request.steps, request.width) = (Some(5), Some(160));
    let preview = Some((52, 10)); // 80 x 16 latents, by 3
    let expected = [(1, 5, None), (2, 5, preview), (3, 5, None), (4, 5, preview), (5, 5, None)];
    assert_eq!(told_steps(&sdxl, request), expected);
}

#[test]
fn dropping_the_future_stops_between_steps() {
    let mut long = GenerateRequest::new("a bird");
    long.steps = Some(900);
    let next = GenerateRequest::new("a bird");
    assert_stops_between_steps(&wide().load().unwrap(), vec![long], next);
}

#[test]
fn values_out_of_range_are_named_before_work_begins() {
    let sdxl = wide().ip_adapter(fixture("adapter.safetensors")).load().unwrap();
    let changed = |change: &dyn Fn(&mut GenerateRequest)| {
        refused(&sdxl, GenerateRequest::new("a bird"), change)
    };
    let tokens = ImageTokens::new(space(&sdxl), 1, 40, vec![0.0; 40], vec![0.0; 40]).unwrap();
    let with = |change: &dyn Fn(&mut ImageTokens)| {
        let mut tokens = tokens.clone();
        change(&mut tokens);
        changed(&|request| request.conditioning = Conditioning::Tokens(tokens.clone()))
    };
    for (error, words) in [
        (changed(&|request| request.width = Some(33)), "width: expected a multiple of 2, found 33"),
        (changed(&|request| request.height = Some(0)), "height: expected 1 to"),
        (
            changed(&|request| (request.width, request.height) = (Some(16_000), Some(16_000))),
            "image size",
        ),
        (changed(&|request| request.prompt = "x".repeat(10_000)), "10000 characters"),
        (changed(&|request| request.steps = Some(0)), "steps: expected 1 to"),
        (changed(&|request| request.guidance_scale = Some(f64::NAN)), "guidance scale"),
        (changed(&|request| request.guidance_scale = Some(f64::INFINITY)), "guidance scale"),
        (changed(&|request| request.conditioning = Conditioning::Images(vec![])), "found images"),
        (with(&|tokens| tokens.space = "another".into()), "found tokens of another"),
        (with(&|tokens| tokens.dim = 39), "1 token of 40 values"),
        (with(&|tokens| tokens.tokens = 0), "0 of 40"),
        (with(&|tokens| tokens.data = vec![0.0; 41].into()), "41 values"),
        (with(&|tokens| tokens.negative = vec![f32::NAN; 40].into()), "negative image tokens"),
        (with(&|tokens| tokens.strength.scale = f64::NAN), "conditioning scale"),
        (with(&|tokens| tokens.strength.end = 2.0), "start and end"),
    ] {
        assert_invalid_input(&error, words);
    }
    // Any prompt will do: none, a very long one.
    for prompt in [String::new(), "word ".repeat(1_600)] {
        assert!(draw(&sdxl, GenerateRequest::new(prompt)).is_ok());
    }
}

#[test]
fn two_at_once_do_not_disturb_each_other() {
    let load = |device| wide().device(device).load().unwrap();
    assert_undisturbed(load, |seed| {
        let mut request = GenerateRequest::new("a bird");
        (request.seed, request.steps) = (seed, Some(6));
        request
    });
}
