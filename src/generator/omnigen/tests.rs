//! Whole images against diffusers', and everything that must fail before work begins.

use std::path::PathBuf;

use futures::executor::block_on;
use serde_json::Value;

use super::*;
use crate::Image;
use crate::conditioner::{ConditionLatents, Conditioning};
use crate::generator::checks::*;
use crate::generator::{GenerateRequest, Generator};
use crate::models::common::golden::{dtype, fixture as golden, place};

pub(super) fn fixture(name: &str) -> PathBuf {
    golden("omnigen").join(name)
}

pub(super) fn plain() -> OmniGenBuilder {
    OmniGen::builder(fixture("plain")).device(place()).dtype(dtype()).steps(2)
}

/// A picture of the recorded runs.
pub(super) fn picture(name: &str) -> Image {
    Image::open(fixture(&format!("{name}.png"))).unwrap()
}

/// A small image: the default size takes long.
pub(super) fn request(prompt: &str) -> GenerateRequest {
    GenerateRequest { width: Some(32), height: Some(32), ..GenerateRequest::new(prompt) }
}

/// A small image with references.
pub(super) fn pictured(prompt: &str, names: &[&str]) -> GenerateRequest {
    let images = names.iter().map(|name| picture(name)).collect();
    request(prompt).with_conditioning(Conditioning::Images(images))
}

const ONE: &str = "a bird like <img><|image_1|></img> on a branch";
const TWO: &str = "<img><|image_2|></img> in the style of <img><|image_1|></img>";

/// The builder and the request of a recorded run.
fn recorded(run: &Value, folder: &str) -> (OmniGenBuilder, GenerateRequest) {
    let mut builder = OmniGen::builder(fixture(folder)).device(place()).dtype(dtype_of(run));
    if let Some(scale) = run["img_guidance_scale"].as_f64() {
        builder = builder.image_guidance_scale(scale);
    }
    if let Some(side) = run["max_input_image_size"].as_u64() {
        builder = builder.max_input_image_size(u32::try_from(side).unwrap());
    }
    if run["use_input_image_size_as_output"] == true {
        builder = builder.use_input_image_size_as_output(true);
    }
    if run["latents"] == "mean" {
        builder = builder.reference_latents(ConditionLatents::Mean);
    }
    if let Some(positions) = run["positions"].as_str() {
        builder = builder.rope_positions(positions.parse().unwrap());
    }
    let mut request = recorded_request(&run["prompt"], run);
    if let Some(names) = run["images"].as_array() {
        let images = names.iter().map(|name| picture(name.as_str().unwrap())).collect();
        request.conditioning = Conditioning::Images(images);
    }
    (builder, request)
}

#[test]
fn every_image_equals_diffusers() {
    let runs = runs(&fixture(""));
    assert!(runs.len() >= 16);
    let draw_on = |run: &Value, device| {
        let (builder, request) = recorded(run, run["folder"].as_str().unwrap());
        draw(&builder.device(device).load().unwrap(), request).unwrap()
    };
    // Samples of 16 bits are other samples.
    let is_sampled = |run: &Value| run["images"].is_array() && run["latents"] != "mean";
    assert_recorded(&runs, draw_on, is_sampled);
}

/// The authors' file holds the same weights in bf16, and the table of positions in f32.
#[test]
fn the_authors_layout_draws_the_same() {
    for (run, expected) in runs(&fixture("")) {
        if run["folder"] == "plain" && run["dtype"].is_null() && run["name"] == "two" {
            let (builder, request) = recorded(&run, "authors");
            let omnigen = builder.load().unwrap();
            assert_eq!(omnigen.to_string(), "OmniGen(authors)");
            let found = draw(&omnigen, request).unwrap();
            let (largest, mean) = difference(&found, &expected);
            // The fixture's weights are exact in f16, and lose a few digits in bf16.
            assert!(largest > 0 && mean < 12.0, "{largest} {mean}");
        }
    }
}

#[test]
fn an_image_depends_on_its_own_request_alone() {
    let omnigen = plain().load().unwrap();
    let seeded = |seed, request: GenerateRequest| GenerateRequest { seed, ..request };
    let requests = [
        seeded(1, request("a bird")),
        seeded(2, request("a bird")),
        seeded(1, request("a house")),
        seeded(1, pictured(ONE, &["wide"])),
        seeded(1, pictured(ONE, &["tall"])),
        seeded(1, pictured(TWO, &["tall", "small"])),
        seeded(1, pictured(TWO, &["small", "tall"])),
    ];
    let together = draw_together(&omnigen, &requests);
    for (i, one) in together.iter().enumerate() {
        assert!(together[..i].iter().all(|other| other != one), "{i}");
    }
    assert_eq!(block_on(omnigen.generate(&[])).unwrap(), []);
}

/// Prompts of unlike length, with unlike pictures.
#[test]
fn a_batch_equals_each_alone() {
    let omnigen = plain().batch_pixels(1 << 18).load().unwrap();
    assert_one_batch(&omnigen, &three(&request("")));
    let names = [&["wide"][..], &["tall"], &["small"]];
    let requests = three(&request(""));
    let pictured = requests.into_iter().zip(names).map(|(request, names)| GenerateRequest {
        prompt: format!("{} <img><|image_1|></img>", request.prompt),
        conditioning: Conditioning::Images(names.iter().map(|name| picture(name)).collect()),
        ..request
    });
    assert_one_batch(&omnigen, &pictured.collect::<Vec<_>>());
}

#[cfg(feature = "testing")]
#[test]
fn keeps_the_contract_of_every_generator() {
    let omnigen = plain().size(32, 16).load().unwrap();
    block_on(crate::testing::conformance::generator(&omnigen));
}

#[test]
fn steps_are_told_with_previews_and_a_caller_who_leaves_stops_the_work() {
    let omnigen = plain().load().unwrap();
    let told = told_steps(&omnigen, GenerateRequest { steps: Some(3), ..request("a bird") });
    assert_eq!(told, [(1, 3, None), (2, 3, Some((32, 32))), (3, 3, None)]);
    let endless = GenerateRequest { steps: Some(2_000), ..request("a bird") };
    assert_stops_between_steps(&omnigen, vec![endless], request("a bird"));
}

#[test]
fn a_reference_may_give_its_size() {
    let omnigen = plain().use_input_image_size_as_output(true).load().unwrap();
    let size = |request| {
        let image = draw(&omnigen, request).unwrap();
        (image.width(), image.height())
    };
    assert_eq!(size(pictured(ONE, &["wide"])), (64, 32));
    // The second stands first in the prompt.
    assert_eq!(size(pictured(TWO, &["wide", "tall"])), (16, 80));
    assert_eq!(size(request("a bird")), (32, 32));
    // Whatever was asked for, though it cannot be drawn.
    assert_eq!(size(pictured(ONE, &["wide"]).with_size(999, 7)), (64, 32));
    assert_refused(&omnigen, request("a bird").with_size(40, 32), "width: expected a multiple");
}

#[test]
fn what_cannot_be_drawn_is_refused_before_any_work() {
    let omnigen = plain().load().unwrap();
    let long = Image::new(1, 5_000, vec![9; 15_000]).unwrap();
    let long = request(ONE).with_conditioning(Conditioning::Images(vec![long]));
    for (request, words) in [
        (
            pictured("a bird", &["wide"]),
            "<img><|image_1|></img> for the image, found no placeholder",
        ),
        (request(ONE), "no placeholders, because there are no images, found <|image_1|>"),
        (pictured(TWO, &["wide"]), "found <|image_2|>"),
        (pictured(ONE, &["wide", "tall"]), "found no <|image_2|>"),
        (pictured("<img><|image_0|></img>", &["wide"]), "found <|image_0|>"),
        (long, "reference image"),
        (request("a bird").with_size(40, 32), "width: expected a multiple of 16, found 40"),
        (request("a bird").with_size(400, 32), "sides of at most 384 pixels, found 400x32"),
        (request("a bird").with_guidance_scale(f64::NAN), "guidance scale"),
        (request("a bird").with_steps(0), "steps"),
    ] {
        assert_refused(&omnigen, request, words);
    }
    // Any prompt will do: none, a very long one.
    for prompt in ["", &"word ".repeat(1_600)] {
        assert!(draw(&omnigen, request(prompt)).is_ok());
    }
    // In a negative prompt a mark is text.
    assert!(draw(&omnigen, request("a bird").with_negative_prompt(ONE)).is_ok());
    // No images are as good as none.
    let none = request("a bird").with_conditioning(Conditioning::Images(vec![]));
    assert_eq!(draw(&omnigen, none).unwrap(), draw(&omnigen, request("a bird")).unwrap());
}

#[test]
fn settings_out_of_range_are_named() {
    for (builder, words) in [
        (plain().image_guidance_scale(f64::NAN), "image guidance scale"),
        (plain().image_guidance_scale(-1.0), "image guidance scale"),
        (plain().guidance_scale(f64::INFINITY), "guidance scale"),
        (plain().max_input_image_size(0), "largest side of a reference image"),
        (plain().size(32, 30), "height: expected a multiple of 16"),
        (plain().size(32, 1_600), "sides of at most 384 pixels"),
        (plain().steps(0), "steps"),
    ] {
        assert_invalid_input(&builder.load().unwrap_err(), words);
    }
}
