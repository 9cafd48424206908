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
use crate::models::common::golden::{dtype, fixture as golden, place};
use crate::models::common::json::read_json;
use crate::models::common::preprocess::{Family, Preprocessor};
use crate::models::ip_adapter::Resampler;

pub(super) fn fixture(name: &str) -> PathBuf {
    golden("sdxl").join(name)
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
    let runs: Vec<Value> = read_json(&fixture("runs.json")).unwrap();
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
        let mut request = recorded_request(&run["prompt"], &run);
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
    let request = |seed, prompt: &str| GenerateRequest { seed, ..GenerateRequest::new(prompt) };
    let tokens = tokens(&space(&sdxl), &[picture]);
    let weightless = ImageTokens { strength: Strength::new(0.0), ..tokens.clone() };
    let [conditioned, weightless] = [tokens, weightless].map(|tokens| GenerateRequest {
        conditioning: Conditioning::Tokens(tokens),
        ..request(1, "a bird")
    });
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
        let conditioning = Conditioning::Tokens(tokens);
        let request = GenerateRequest { conditioning, ..GenerateRequest::new("a bird") };
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
    let request = GenerateRequest::new("a bird");
    let request = GenerateRequest { steps: Some(5), width: Some(160), ..request };
    let preview = Some((52, 10)); // 80 x 16 latents, by 3
    let expected = [(1, 5, None), (2, 5, preview), (3, 5, None), (4, 5, preview), (5, 5, None)];
    assert_eq!(told_steps(&sdxl, request), expected);
}

#[test]
fn dropping_the_future_stops_between_steps() {
    let next = GenerateRequest::new("a bird");
    let long = GenerateRequest { steps: Some(900), ..next.clone() };
    assert_stops_between_steps(&wide().load().unwrap(), vec![long], next);
}

#[test]
fn values_out_of_range_are_named_before_work_begins() {
    let sdxl = wide().ip_adapter(fixture("adapter.safetensors")).load().unwrap();
    let plain = GenerateRequest::new("a bird");
    assert_bounded(&sdxl, &plain);
    let tokens = ImageTokens::new(space(&sdxl), 1, 40, vec![0.0; 40], vec![0.0; 40]).unwrap();
    let with = |change: &dyn Fn(&mut ImageTokens)| {
        let mut tokens = tokens.clone();
        change(&mut tokens);
        GenerateRequest { conditioning: Conditioning::Tokens(tokens), ..plain.clone() }
    };
    let infinite = Some(f64::INFINITY);
    for (request, words) in [
        (
            changed(plain.clone(), |r| r.width = Some(33)),
            "width: expected a multiple of 2, found 33",
        ),
        (changed(plain.clone(), |r| r.guidance_scale = infinite), "guidance scale"),
        (with(&|tokens| tokens.space = "another".into()), "found tokens of another"),
        (with(&|tokens| tokens.dim = 39), "1 token of 40 values"),
        (with(&|tokens| tokens.tokens = 0), "0 of 40"),
        (with(&|tokens| tokens.data = vec![0.0; 41].into()), "41 values"),
        (with(&|tokens| tokens.negative = vec![f32::NAN; 40].into()), "negative image tokens"),
        (with(&|tokens| tokens.strength.scale = f64::NAN), "conditioning scale"),
        (with(&|tokens| tokens.strength.end = 2.0), "start and end"),
    ] {
        assert_refused(&sdxl, request, words);
    }
}

#[test]
fn two_at_once_do_not_disturb_each_other() {
    let load = |device| wide().device(device).load().unwrap();
    let request = GenerateRequest { steps: Some(6), ..GenerateRequest::new("a bird") };
    assert_undisturbed(load, |seed| GenerateRequest { seed, ..request.clone() });
}
