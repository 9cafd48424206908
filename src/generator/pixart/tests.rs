//! Whole images against diffusers', and everything that must fail before work begins.

use std::path::PathBuf;

use futures::executor::block_on;
use serde_json::Value;

use super::*;
use crate::Image;
use crate::conditioner::{Conditioning, ImageTokens};
use crate::generator::checks::*;
use crate::generator::{GenerateRequest, Generator, Offload};
use crate::models::SchedulerKind;
use crate::models::common::golden::{dtype, fixture as golden, place};

pub(super) fn fixture(name: &str) -> PathBuf {
    golden("pixart").join(name)
}

pub(super) fn sigma() -> PixArtSigmaBuilder {
    let builder = PixArtSigma::builder(fixture("sigma")).device(place()).dtype(dtype());
    builder.steps(2).resolution_binning(false)
}

/// A small image: the default size takes long.
pub(super) fn request(prompt: &str) -> GenerateRequest {
    GenerateRequest { width: Some(48), height: Some(32), ..GenerateRequest::new(prompt) }
}

/// The builder and the request of a recorded run.
fn recorded(run: &Value) -> (PixArtSigmaBuilder, GenerateRequest) {
    let mut builder = PixArtSigma::builder(fixture(run["folder"].as_str().unwrap()))
        .clean_caption(run["clean_caption"] != false)
        .resolution_binning(run["use_resolution_binning"] != false);
    if let Some(tokens) = run["max_sequence_length"].as_u64() {
        builder = builder.max_sequence_length(tokens as usize);
    }
    (builder.device(place()).dtype(dtype_of(run)), recorded_request(&run["prompt"], run))
}

#[test]
fn every_image_equals_diffusers() {
    let runs = runs(&fixture(""));
    assert!(runs.len() >= 14);
    let draw_on = |run: &Value, device| {
        let (builder, request) = recorded(run);
        draw(&builder.device(device).load().unwrap(), request).unwrap()
    };
    // Noise of 16 bits is other noise.
    assert_recorded(&runs, draw_on, |_| true);
}

#[test]
fn every_offload_draws_the_same() {
    for (run, _) in runs(&fixture("")) {
        if !["unbinned", "negative"].contains(&run["name"].as_str().unwrap()) {
            continue;
        }
        let images = [Offload::None, Offload::Cpu, Offload::Disk].map(|offload| {
            let (builder, request) = recorded(&run);
            let pixart = builder.offload(offload).load().unwrap();
            let other = GenerateRequest { prompt: "another".into(), ..request.clone() };
            // The second and the fourth know their prompt.
            [request.clone(), request.clone(), other, request]
                .map(|one| draw(&pixart, one).unwrap())
        });
        let [first, again, other, last] = &images[0];
        assert!(first == again && first == last && first != other);
        assert!(images.iter().all(|drawn| drawn == &images[0]));
    }
}

#[test]
fn an_image_has_the_size_that_is_asked_for() {
    let pixart = sigma().resolution_binning(true).steps(1).load().unwrap();
    assert_eq!((pixart.default_size(), pixart.size_multiple()), ((256, 256), 1));
    // diffusers returns a row or a column for the fourth to the last: see `resize_and_crop`.
    let sizes =
        [(1, 1), (256, 256), (512, 128), (31, 700), (232, 88), (88, 232), (960, 832), (513, 129)];
    for (width, height) in sizes {
        let request = GenerateRequest::new("a bird").with_size(width, height);
        let image = draw(&pixart, request).unwrap();
        assert_eq!((image.width(), image.height()), (width, height));
    }
}

#[test]
fn sizes_of_one_shape_are_drawn_alike_and_scaled() {
    let pixart = sigma().resolution_binning(true).load().unwrap();
    let of = |width, height| {
        let request = GenerateRequest::new("a bird").with_size(width, height);
        draw(&pixart, request).unwrap()
    };
    // Scaled down, it is the same picture.
    let [small, large] = [of(64, 64), of(256, 256)];
    let mean = |image: &Image| {
        let sum: u64 = image.pixels().iter().map(|&value| u64::from(value)).sum();
        sum as f64 / image.pixels().len() as f64
    };
    assert!((mean(&small) - mean(&large)).abs() < 3.0, "{} {}", mean(&small), mean(&large));
    // Asked for in one call, each has its own size.
    let requests = [(64, 64), (256, 256), (64, 64)]
        .map(|(width, height)| GenerateRequest::new("a bird").with_size(width, height));
    let together = images(&pixart, &requests);
    assert_same(&together[0], &small);
    assert_same(&together[1], &large);
    assert_same(&together[2], &small);
}

#[test]
fn an_image_depends_on_its_own_request_alone() {
    let pixart = sigma().load().unwrap();
    let seeded = |seed, prompt| GenerateRequest { seed, ..request(prompt) };
    let requests = [seeded(1, "a bird"), seeded(2, "a bird"), seeded(1, "a house")];
    let together = draw_together(&pixart, &requests);
    assert!(together[0] != together[1] && together[0] != together[2]);
    assert_eq!(block_on(pixart.generate(&[])).unwrap(), []);
}

/// Their prompts and negative prompts have different numbers of tokens.
#[test]
fn a_batch_of_prompts_equals_each_alone() {
    let guided = three(&request(""));
    let plain = guided.clone().map(|one| GenerateRequest { negative_prompt: None, ..one });
    let unguided = plain.clone().map(|one| GenerateRequest { guidance_scale: Some(1.0), ..one });
    for offload in [Offload::None, Offload::Disk] {
        let pixart = sigma().offload(offload).batch_pixels(1 << 18).load().unwrap();
        for requests in [&guided, &plain, &unguided] {
            assert_one_batch(&pixart, requests);
        }
    }
}

#[test]
fn without_guidance_the_negative_prompt_says_nothing() {
    let pixart = sigma().load().unwrap();
    let of = |guidance, negative: Option<&str>| {
        let negative_prompt = negative.map(str::to_owned);
        let guidance_scale = Some(guidance);
        draw(&pixart, GenerateRequest { negative_prompt, guidance_scale, ..request("a bird") })
            .unwrap()
    };
    assert_eq!(of(1.0, Some("grey")), of(1.0, None));
    assert_eq!(of(0.0, Some("grey")), of(1.0, None));
    assert_ne!(of(4.5, Some("grey")), of(4.5, None));
    // None is the empty one, unless the builder knows another.
    assert_eq!(of(4.5, Some("")), of(4.5, None));
    let grey = sigma().negative_prompt("grey").load().unwrap();
    assert_eq!(draw(&grey, request("a bird")).unwrap(), of(4.5, Some("grey")));
}

#[cfg(feature = "testing")]
#[test]
fn keeps_the_contract_of_every_generator() {
    block_on(crate::testing::conformance::generator(&sigma().load().unwrap()));
}

#[test]
fn every_step_is_told_and_previews_come_when_asked_for() {
    let request = GenerateRequest { steps: Some(3), width: Some(400), ..request("a bird") };
    let preview = Some((200, 16)); // 50 x 4 latents, by 2
    let told = told_steps(&sigma().load().unwrap(), request);
    assert_eq!(told, [(1, 3, None), (2, 3, preview), (3, 3, None)]);
}

#[test]
fn dropping_the_future_stops_between_steps() {
    let long = GenerateRequest { steps: Some(900), ..request("a bird") };
    assert_stops_between_steps(&sigma().load().unwrap(), vec![long], request("a bird"));
}

#[test]
fn two_at_once_do_not_disturb_each_other() {
    let load = |device| sigma().device(device).load().unwrap();
    assert_undisturbed(load, |seed| GenerateRequest { seed, ..request("a bird") });
}

#[test]
fn values_out_of_range_are_named_before_work_begins() {
    let pixart = sigma().load().unwrap();
    let plain = request("a bird");
    assert_bounded(&pixart, &plain);
    let tokens = ImageTokens::new("another", 1, 40, vec![0.0; 40], vec![0.0; 40]).unwrap();
    let tokens = Conditioning::Tokens(tokens);
    for (request, words) in [
        (
            changed(plain.clone(), |r| r.width = Some(40)),
            "width: expected a multiple of 16, found 40",
        ),
        (changed(plain, |r| r.conditioning = tokens), "expected no conditioning, found tokens"),
    ] {
        assert_refused(&pixart, request, words);
    }
    let binned = sigma().resolution_binning(true).load().unwrap();
    for (width, height, words) in [
        (0, 64, "width: expected 1 to"),
        (64, 1 << 20, "height: expected 1 to"),
        (16_000, 16_000, "image size"),
    ] {
        assert_refused(&binned, GenerateRequest::new("a bird").with_size(width, height), words);
    }
    for (builder, words) in [
        (sigma().steps(0), "steps"),
        (sigma().guidance_scale(-1.0), "guidance scale"),
        (sigma().guidance_scale(f64::NAN), "guidance scale"),
        (sigma().max_sequence_length(0), "max sequence length: expected at least 1 token"),
    ] {
        assert_invalid_input(&builder.load().unwrap_err(), words);
    }
}

#[test]
fn words_that_are_not_read_are_told_once_in_note_and_progress() {
    let (tell, told) = std::sync::mpsc::channel();
    let progress = crate::generator::Progress::new(move |step| {
        tell.send((step.index, step.note)).unwrap();
    });
    let pixart = sigma().max_sequence_length(16).load().unwrap();
    let note = |request: &GenerateRequest| {
        let drawn = block_on(pixart.generate(std::slice::from_ref(request))).unwrap();
        drawn[0].note.clone()
    };
    // 16 tokens are read, the end among them; what is not is told as it was cleaned.
    let long = "A ".repeat(200) + "(bird)";
    let watched = request(&long).with_negative_prompt("grey").with_progress(progress);
    let found = note(&watched).unwrap();
    let words = "text_encoder reads 16 tokens; not read of the prompt: \"a a";
    assert!(found.starts_with(words) && found.ends_with(" a bird\""), "{found}");
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [(1, Some(found)), (2, None)]);
    let negative = request("a").with_negative_prompt(long.clone());
    let found = note(&negative).unwrap();
    assert!(
        found.contains("of the negative prompt") && !found.contains("of the prompt"),
        "{found}"
    );
    assert_eq!(note(&negative.with_guidance_scale(1.0)), None);
    assert_eq!(note(&request("a bird").with_negative_prompt("a")), None);
}

#[test]
fn another_scheduler_reads_the_settings_of_the_checkpoints() {
    let kinds = [
        (None, "DPM-Solver++"),
        (Some(SchedulerKind::DpmSolver), "DPM-Solver++"),
        (Some(SchedulerKind::Euler), "Euler"),
        (Some(SchedulerKind::Ddim), "DDIM"),
    ];
    let drawn = kinds.map(|(kind, name)| {
        let builder = sigma().steps(3);
        let builder = kind.into_iter().fold(builder, PixArtSigmaBuilder::scheduler);
        let pixart = builder.load().unwrap();
        assert_eq!(pixart.to_string(), format!("PixArt-Sigma(sigma, {name})"));
        draw(&pixart, request("a bird")).unwrap()
    });
    assert_eq!(drawn[0], drawn[1]);
    assert!(drawn[2] != drawn[0] && drawn[3] != drawn[0] && drawn[3] != drawn[2]);
}
