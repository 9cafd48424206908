//! Whole images against diffusers', and everything that must fail before work begins.

use futures::executor::block_on;
use serde_json::Value;
use std::path::PathBuf;

use super::*;
use crate::Error;
use crate::conditioner::{Conditioning, ImageTokens};
use crate::generator::checks::*;
use crate::generator::{GenerateRequest, Generator, Offload};
use crate::models::common::golden::{dtype, fixture as golden, place};

pub(super) fn fixture(name: &str) -> PathBuf {
    golden("flux").join(name)
}

pub(super) fn schnell() -> FluxBuilder {
    let builder = Flux::builder(fixture("schnell")).device(place()).dtype(dtype());
    builder.steps(2).max_sequence_length(16)
}

/// A small image: the default size takes long.
pub(super) fn request(prompt: &str) -> GenerateRequest {
    GenerateRequest { width: Some(32), height: Some(32), ..GenerateRequest::new(prompt) }
}

/// The builder and the request of a recorded run.
fn recorded(run: &Value) -> (FluxBuilder, GenerateRequest) {
    let mut builder = Flux::builder(fixture(run["folder"].as_str().unwrap()))
        .max_sequence_length(run["max_sequence_length"].as_u64().unwrap() as usize);
    if let Some(scale) = run["true_cfg_scale"].as_f64() {
        builder = builder.true_cfg_scale(scale);
    }
    (builder.device(place()).dtype(dtype_of(run)), recorded_request(&run["prompt"], run))
}

#[test]
fn every_image_equals_diffusers() {
    let runs = runs(&fixture(""));
    assert!(runs.len() >= 9);
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
        if !["plain", "negative"].contains(&run["name"].as_str().unwrap()) {
            continue;
        }
        let images = [Offload::None, Offload::Cpu, Offload::Disk].map(|offload| {
            let (builder, request) = recorded(&run);
            let flux = builder.offload(offload).load().unwrap();
            let other = GenerateRequest { prompt: "another".into(), ..request.clone() };
            // The second and the fourth know their prompt.
            [request.clone(), request.clone(), other, request].map(|one| draw(&flux, one).unwrap())
        });
        let [first, again, other, last] = &images[0];
        assert!(first == again && first == last && first != other);
        assert!(images.iter().all(|drawn| drawn == &images[0]));
    }
}

/// An adapter's tokens do not fit a generator that draws from the prompt alone.
#[cfg(feature = "testing")]
#[test]
fn the_pipeline_refuses_an_ip_adapter_and_says_what_is_accepted() {
    use crate::conditioner::{Conditioner, IpAdapter};
    use crate::testing::{FakeCritic, FakeRetriever};

    let (file, encoder) = (golden("sdxl/adapter.safetensors"), golden("sdxl/image_encoder"));
    let adapter = IpAdapter::load(file, encoder, Device::Cpu, DType::F32).unwrap();
    let (tokens, named) = (adapter.produces().to_string(), adapter.to_string());
    let pipeline = crate::RagPipeline::builder()
        .generator(schnell().load().unwrap())
        .critic(FakeCritic::new())
        .retriever(FakeRetriever::new::<String>([]))
        .conditioner(adapter);
    let error = pipeline.build().unwrap_err();
    assert!(matches!(error, Error::Incompatible { .. }), "{error}");
    for words in ["FLUX(schnell)", &named, "expected no conditioning", &tokens] {
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
}

#[test]
fn an_image_depends_on_its_own_request_alone() {
    let flux = schnell().load().unwrap();
    let seeded = |seed, prompt| GenerateRequest { seed, ..request(prompt) };
    let requests = [seeded(1, "a bird"), seeded(2, "a bird"), seeded(1, "a house")];
    let together = draw_together(&flux, &requests);
    assert!(together[0] != together[1] && together[0] != together[2]);
    assert_eq!(block_on(flux.generate(&[])).unwrap(), []);
}

/// Three requests of a batch, without and with a negative prompt each.
pub(super) fn plain_and_guided() -> [[GenerateRequest; 3]; 2] {
    let guided = three(&request(""));
    [guided.clone().map(|one| GenerateRequest { negative_prompt: None, ..one }), guided]
}

#[test]
fn a_batch_of_prompts_equals_each_alone() {
    let [plain, guided] = plain_and_guided();
    for offload in [Offload::None, Offload::Disk] {
        let builder = schnell().offload(offload).batch_pixels(1 << 18);
        assert_one_batch(&builder.clone().load().unwrap(), &plain);
        assert_one_batch(&builder.true_cfg_scale(3.0).load().unwrap(), &guided);
    }
    // One that is told its guidance.
    let dev = Flux::builder(fixture("dev")).max_sequence_length(16).load().unwrap();
    assert_one_batch(&dev, &plain);
}

#[cfg(feature = "testing")]
#[test]
fn keeps_the_contract_of_every_generator() {
    let flux = Flux::builder(fixture("schnell")).max_sequence_length(8).size(32, 24);
    let flux = flux.load().unwrap();
    block_on(crate::testing::conformance::generator(&flux));
}

#[test]
fn every_step_is_told_and_previews_come_when_asked_for() {
    let flux = schnell().load().unwrap();
    let request = GenerateRequest { steps: Some(3), width: Some(160), ..request("a bird") };
    let preview = Some((52, 10)); // 80 x 16 latents, by 3
    assert_eq!(told_steps(&flux, request), [(1, 3, None), (2, 3, preview), (3, 3, None)]);
}

#[test]
fn dropping_the_future_stops_between_steps() {
    let long = GenerateRequest { steps: Some(9_000), ..request("a bird") };
    assert_stops_between_steps(&schnell().load().unwrap(), vec![long], request("a bird"));
}

#[test]
fn values_out_of_range_are_named_before_work_begins() {
    let flux = schnell().load().unwrap();
    let plain = request("a bird");
    assert_bounded(&flux, &plain);
    let tokens = ImageTokens::new("another", 1, 40, vec![0.0; 40], vec![0.0; 40]).unwrap();
    let tokens = Conditioning::Tokens(tokens);
    let unknown = "expected no conditioning, found tokens of another";
    for (request, words) in [
        (
            changed(plain.clone(), |r| r.width = Some(34)),
            "width: expected a multiple of 4, found 34",
        ),
        (changed(plain.clone(), |r| r.guidance_scale = Some(3.5)), "not told its guidance"),
        (changed(plain.clone(), |r| r.negative_prompt = Some("grey".into())), "true CFG scale"),
        (changed(plain, |r| r.conditioning = tokens), unknown),
    ] {
        assert_refused(&flux, request, words);
    }
    for (builder, words) in [
        (schnell().steps(0), "steps"),
        (schnell().guidance_scale(-1.0), "guidance scale"),
        (schnell().true_cfg_scale(f64::INFINITY), "true CFG scale"),
        (schnell().max_sequence_length(0), "max sequence length: expected 1 to 512"),
        (schnell().max_sequence_length(513), "max sequence length: expected 1 to 512"),
    ] {
        assert_invalid_input(&builder.load().unwrap_err(), words);
    }
}

#[test]
fn two_at_once_do_not_disturb_each_other() {
    let load = |device| schnell().device(device).load().unwrap();
    assert_undisturbed(load, |seed| GenerateRequest { seed, ..request("a bird") });
}

#[test]
fn words_that_are_not_read_are_told_once_in_note_and_progress() {
    let (tell, told) = std::sync::mpsc::channel();
    let progress = crate::generator::Progress::new(move |step| {
        tell.send((step.index, step.note)).unwrap();
    });
    let flux = schnell().true_cfg_scale(2.0).load().unwrap();
    let note = |request: &GenerateRequest| {
        let drawn = block_on(flux.generate(std::slice::from_ref(request))).unwrap();
        drawn[0].note.clone()
    };
    // T5 reads 16 tokens, the end among them, and CLIP 77.
    let long = "a ".repeat(200) + "bird";
    let watched = request(&long).with_negative_prompt("grey").with_progress(progress);
    let found = note(&watched).unwrap();
    let sentences: Vec<_> = found.split(". ").collect();
    assert_eq!(sentences.len(), 2, "{found}");
    for (sentence, words) in sentences.iter().zip([
        "text_encoder reads 77 tokens; not read of the prompt: \"a",
        "text_encoder_2 reads 16 tokens; not read of the prompt: \"a",
    ]) {
        assert!(sentence.starts_with(words) && sentence.ends_with(" a bird\""), "{sentence}");
    }
    assert!(sentences[1].len() > sentences[0].len(), "{found}");
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [(1, Some(found)), (2, None)]);
    let negative = request("a").with_negative_prompt(long.clone());
    let found = note(&negative).unwrap();
    assert!(
        found.contains("of the negative prompt") && !found.contains("of the prompt"),
        "{found}"
    );
    assert_eq!(note(&request("a bird").with_negative_prompt("a")), None);
}
