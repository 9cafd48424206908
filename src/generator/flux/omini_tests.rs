//! Images beside a reference against those of OminiControl's own program, and conditions that must
//! fail before work begins; see tests/fixtures/make_omini.py.

use std::path::PathBuf;

use futures::executor::block_on;
use serde_json::Value;

use super::tests::plain_and_guided;
use super::*;
#[cfg(feature = "testing")]
use crate::conditioner::OminiControl;
use crate::conditioner::{ConditionImage, ConditionLatents, Conditioning, ConditioningKind};
use crate::generator::checks::*;
use crate::generator::{GenerateRequest, Generator, Offload};
use crate::models::common::golden::{dtype, fixture as golden, place};
use crate::models::common::json::read_json;
use crate::{Error, Image};

fn fixture(name: &str) -> PathBuf {
    golden("omini").join(name)
}

fn flux(checkpoint: &str, loras: &[&str]) -> FluxBuilder {
    let folder = golden("flux").join(checkpoint);
    let builder = Flux::builder(folder).device(place()).dtype(dtype()).max_sequence_length(32);
    loras.iter().fold(builder, |builder, lora| builder.omini_control(fixture(lora)))
}

/// A picture in the condition's size, as Pillow resizes it where it has another.
fn picture(name: &str, size: Option<(u32, u32)>) -> Image {
    use crate::image::resample::{Filter, resize};
    let image = Image::open(fixture(name)).unwrap();
    let Some((width, height)) = size else { return image };
    let [w, h] = [width, height].map(|side| side as usize);
    let from = (image.width() as usize, image.height() as usize);
    let pixels = resize(image.pixels(), from, (w, h), Filter::Bicubic, 0..w, 0..h);
    Image::new(width, height, pixels).unwrap()
}

/// The request of a recorded run.
fn request(prompt: &Value, run: &Value, flux: &Flux) -> GenerateRequest {
    let number = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    let size = run["size"].as_array().map(|size| (number(&size[0]), number(&size[1])));
    let name = format!("{}.png", run["picture"].as_str().unwrap());
    let adapter = run["lora"].as_str().unwrap().strip_suffix(".safetensors").unwrap();
    let mut condition = ConditionImage::new(adapter, picture(&name, size));
    condition.pixels_per_token = flux.size_multiple();
    let delta = |i: usize| i32::try_from(run["delta"][i].as_i64().unwrap()).unwrap();
    condition.position_delta = (delta(0), delta(1));
    condition.position_scale = run["position_scale"].as_f64().unwrap_or(1.0);
    condition.independent = run["kv_cache"].as_bool().unwrap_or(false);
    if run["latents"] == "mean" {
        condition.latents = ConditionLatents::Mean;
    }
    let conditioning = Conditioning::Condition(condition);
    GenerateRequest { conditioning, ..recorded_request(prompt, run) }
}

#[test]
fn images_beside_a_reference_equal_the_program() {
    let recorded: Value = read_json(&fixture("runs.json")).unwrap();
    let runs = recorded["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 7);
    for run in runs {
        let (checkpoint, lora) = (run["checkpoint"].as_str(), run["lora"].as_str());
        let builder = flux(checkpoint.unwrap(), &[lora.unwrap()]);
        let flux = builder.clone().load().unwrap();
        let request = request(&recorded["prompt"], run, &flux);
        let found = draw(&flux, request.clone()).unwrap();
        let expected = match dtype() {
            DType::F32 => Image::open(fixture(run["image"].as_str().unwrap())).unwrap(),
            // Noise of 16 bits is other noise: the CPU's image stands for the program's.
            _ => draw(&builder.device(Device::Cpu).load().unwrap(), request.clone()).unwrap(),
        };
        assert_near(&run.to_string(), &found, &expected, dtype());

        let plain = GenerateRequest { conditioning: Conditioning::None, ..request };
        let (largest, _) = difference(&draw(&flux, plain).unwrap(), &expected);
        assert!(largest > 8, "{run}: without the reference {largest}");
    }
}

/// A small request with the condition that `change` makes.
fn conditioned(flux: &Flux, change: impl FnOnce(&mut ConditionImage)) -> GenerateRequest {
    let mut condition = ConditionImage::new("schnell_full", picture("wide_crop.png", None));
    condition.pixels_per_token = flux.size_multiple();
    condition.position_delta = (0, 8);
    change(&mut condition);
    let (conditioning, side) = (Conditioning::Condition(condition), Some(32));
    let request = GenerateRequest::new("this item in the snow");
    GenerateRequest { conditioning, width: side, height: side, steps: Some(2), ..request }
}

#[test]
fn an_image_depends_on_everything_of_its_condition() {
    let without = flux("schnell", &[]).load().unwrap();
    let flux = flux("schnell", &["schnell_full.safetensors", "schnell_reduced.safetensors"]);
    let flux = flux.load().unwrap();
    let request = |change: fn(&mut ConditionImage)| conditioned(&flux, change);
    let plain = GenerateRequest { conditioning: Conditioning::None, ..request(|_| {}) };
    let requests = [
        request(|_| {}),
        request(|c| c.adapter = "schnell_reduced".into()),
        request(|c| c.position_delta = (-8, 0)),
        request(|c| c.position_scale = 2.0),
        request(|c| c.strength = 0.3),
        request(|c| c.strength = 3.0),
        request(|c| c.latents = ConditionLatents::Mean),
        request(|c| c.independent = true),
        request(|c| (c.independent, c.strength) = (true, 0.3)),
        request(|c| c.image = picture("high_crop.png", None)),
        plain,
        request(|c| c.strength = 0.0),
    ];
    let together = images(&flux, &requests);
    let last = together.len() - 1;
    assert_eq!(together[last - 1], together[last], "a strength of 0 means none");
    let plain = draw(&without, requests[last - 1].clone()).unwrap();
    // Adapters change nothing where there is no reference.
    assert_same(&together[last - 1], &plain);
    for (i, image) in together[..last].iter().enumerate() {
        assert!(together[i + 1..last].iter().all(|other| other != image), "{i}");
    }
    // Alone it is the same, whatever was drawn before.
    assert_eq!(draw(&flux, requests[4].clone()).unwrap(), together[4]);
}

#[test]
fn a_batch_with_conditions_equals_each_alone() {
    let flux = flux("schnell", &["schnell_full.safetensors"]).true_cfg_scale(3.0);
    let flux = flux.batch_pixels(1 << 18).load().unwrap();
    for (strength, independent, latents) in [
        (1.0, false, ConditionLatents::Sample),
        (0.4, false, ConditionLatents::Mean),
        (1.0, true, ConditionLatents::Sample),
        (1.7, true, ConditionLatents::Sample),
    ] {
        for mut requests in plain_and_guided() {
            let pictures = ["wide.png", "high.png", "wide_crop.png"];
            for (request, name) in requests.iter_mut().zip(pictures) {
                let conditioned = conditioned(&flux, |condition| {
                    condition.image = picture(name, Some((32, 24)));
                    (condition.strength, condition.independent) = (strength, independent);
                    condition.latents = latents;
                });
                request.conditioning = conditioned.conditioning;
            }
            assert_one_batch(&flux, &requests);
        }
    }
}

#[test]
fn a_condition_goes_with_every_offload_type_and_negative_prompt() {
    let loras = ["schnell_full.safetensors"];
    let kept = flux("schnell", &loras).load().unwrap();
    let expected = draw(&kept, conditioned(&kept, |_| {})).unwrap();
    for offload in [Offload::Cpu, Offload::Disk] {
        let flux = flux("schnell", &loras).offload(offload).load().unwrap();
        assert_eq!(draw(&flux, conditioned(&flux, |_| {})).unwrap(), expected, "{offload:?}");
    }
    let guided = flux("schnell", &loras).true_cfg_scale(3.0).load().unwrap();
    let negative_prompt = Some("grey".into());
    let negative = GenerateRequest { negative_prompt, ..conditioned(&guided, |_| {}) };
    assert_ne!(draw(&guided, negative).unwrap(), expected);
    let half = flux("schnell", &loras).dtype(DType::Bf16).load().unwrap();
    let seen = draw(&half, conditioned(&half, |_| {})).unwrap();
    assert_ne!(seen, draw(&half, conditioned(&half, |c| c.strength = 0.0)).unwrap());
}

#[cfg(feature = "testing")]
#[test]
fn keeps_the_contract_of_every_generator() {
    let flux = flux("schnell", &["schnell_full.safetensors"]).size(32, 24).load().unwrap();
    let reads = ConditioningKind::Condition { adapter: "schnell_full".into() };
    assert_eq!(flux.accepts(), [ConditioningKind::None, reads]);
    let adapter = OminiControl::builder("schnell_full").condition_size(32).position_delta(0, 8);
    let adapter = adapter.pixels_per_token(flux.size_multiple()).build().unwrap();
    block_on(crate::testing::conformance::conditioner(&adapter));
    block_on(crate::testing::conformance::generator_with(&flux, &adapter));
}

#[test]
fn conditions_out_of_range_are_named_before_work_begins() {
    let flux = flux("schnell", &["schnell_full.safetensors"]).load().unwrap();
    let accepted = "conditioning: expected no conditioning or a condition image for schnell_full, \
                    found a condition image for another";
    type Change = fn(&mut ConditionImage);
    let cases: [(Change, &str); 7] = [
        (|c| c.adapter = "another".into(), accepted),
        (|c| c.pixels_per_token = 16, "expected 4, the generator's, found 16"),
        (|c| c.pixels_per_token = 0, "pixels of a token"),
        (|c| c.image = picture("wide.png", None), "width of the condition image"),
        (|c| c.strength = f64::NAN, "strength of the condition"),
        (|c| c.position_scale = -1.0, "position scale"),
        (|c| c.position_delta = (0, 4000), "position delta"),
    ];
    for (change, words) in cases {
        assert_refused(&flux, conditioned(&flux, change), words);
    }
}

#[test]
fn adapters_that_do_not_fit_are_named_before_the_weights_are_read() {
    // That of a transformer of other widths.
    let error = flux("schnell", &["dev_full.safetensors"]).load().unwrap_err();
    assert!(matches!(error, Error::InvalidFile { .. }), "{error}");
    assert!(error.to_string().contains("lora_A.weight: expected shape"), "{error}");
    let error = flux("schnell", &["none.safetensors"]).load().unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    let twice = ["schnell_full.safetensors"; 2];
    let error = flux("schnell", &twice).load().unwrap_err().to_string();
    let words = "expected one of each name, found 2: a condition image for schnell_full";
    assert_eq!(error, format!("adapters: {words}"));
}
