//! Whole images against diffusers', and everything that must fail before work begins.

use std::path::PathBuf;

use futures::executor::block_on;
use serde_json::Value;

use super::*;
use crate::Image;
use crate::conditioner::{
    ConditionRequest, Conditioner, Conditioning, ImageTokens, IpAdapter, Strength,
};
use crate::generator::checks::*;
use crate::generator::{GenerateRequest, Generator};
use crate::models::common::golden::{
    assert_close, device, dtype, fixture as golden, kind, place, recorded,
};
use crate::models::common::json::read_json;
use crate::reference::{Caption, Provenance, Reference, Source};

pub(super) fn fixture(name: &str) -> PathBuf {
    golden("sdxl").join(name)
}

pub(super) fn wide() -> SdxlBuilder {
    Sdxl::builder(fixture("wide")).device(place()).dtype(dtype()).steps(2)
}

/// The tokens of the pictures of these `numbers`.
fn tokens(numbers: &[usize]) -> ImageTokens {
    let reference = |&n: &usize| Reference {
        picture: Image::open(fixture(&format!("reference_{n}.png"))).unwrap().into(),
        caption: Caption::concept("a bird"),
        provenance: Provenance::new(Source::Caller(n), "test", 1.0, n),
    };
    let references: Vec<_> = numbers.iter().map(reference).collect();
    let (file, encoder) = (fixture("adapter.safetensors"), fixture("image_encoder"));
    let adapter = IpAdapter::load(file, encoder, Device::Cpu, DType::F32).unwrap();
    let adapter = adapter.with_capacity(numbers.len());
    match block_on(adapter.condition(&ConditionRequest::new("a bird", references)))
        .unwrap()
        .conditioning
    {
        Conditioning::Tokens(tokens) => tokens,
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
        builder = builder.long_prompts(run["long_prompts"] == true);
        if run["adapter"] == true {
            builder = builder.ip_adapter(fixture("adapter.safetensors"));
        }
        let sdxl = builder.clone().load().unwrap();

        // 2. the request
        let mut request = recorded_request(&run["prompt"], &run);
        if let Some(references) = run["references"].as_array() {
            let numbers = references.iter().map(|number| number.as_u64().unwrap() as usize);
            let mut tokens = tokens(&numbers.collect::<Vec<_>>());
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
    let request = |seed, prompt: &str| GenerateRequest { seed, ..GenerateRequest::new(prompt) };
    let tokens = tokens(&[0]);
    let weightless = ImageTokens { strength: Strength::new(0.0), ..tokens.clone() };
    let [conditioned, weightless] = [tokens, weightless].map(|tokens| GenerateRequest {
        conditioning: Conditioning::Tokens(tokens),
        ..request(1, "a bird")
    });
    let requests = [request(1, "a bird"), conditioned, request(2, "a house"), weightless];
    let together = draw_together(&sdxl, &requests);
    assert_ne!(together[0], together[1]);
    assert_ne!(together[0], together[2]);
    assert_eq!(together[0], together[3], "a scale of 0 means none");
    assert_eq!(block_on(sdxl.generate(&[])).unwrap(), []);
}

#[test]
fn references_act_in_the_steps_they_are_asked_for() {
    let sdxl = wide().ip_adapter(fixture("adapter.safetensors")).load().unwrap();
    let tokens = tokens(&[1]);
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

#[test]
fn a_batch_of_prompts_equals_each_alone() {
    let (wide, three) = (wide().batch_pixels(1 << 18), three(&GenerateRequest::new("")));
    for scheduler in
        [SchedulerKind::Euler, SchedulerKind::Ddim, SchedulerKind::DpmSolver, SchedulerKind::Lcm]
    {
        assert_one_batch(&wide.clone().scheduler(scheduler).load().unwrap(), &three);
    }
    let sdxl = wide.load().unwrap();
    // Without a negative prompt, which is zeros, and without guidance.
    let plain = three.clone().map(|one| GenerateRequest { negative_prompt: None, ..one });
    assert_one_batch(&sdxl, &plain);
    let off = three.map(|one| GenerateRequest { guidance_scale: Some(1.0), ..one });
    assert_one_batch(&sdxl, &off);
}

#[test]
fn prompts_of_different_lengths_are_read_whole_and_drawn_as_alone() {
    let sdxl = wide().batch_pixels(1 << 18).long_prompts(true).load().unwrap();
    let [long, longer] = [10, 20].map(|times| "a bird in the snow ".repeat(times));
    let request = |prompt: &str, negative: &str| {
        GenerateRequest::new(prompt).with_negative_prompt(negative).with_steps(2)
    };
    let requests = [
        request("a bird", "grey"),
        request(&long, "grey"),
        request(&longer, "grey"),
        request("a bird", &longer),
        request("a house", "grey"),
    ];
    let drawn = draw_together(&sdxl, &requests);
    // What is short is drawn as it is without the option, and nothing is left unread.
    let cut = wide().load().unwrap();
    assert_same(&drawn[0], &draw(&cut, requests[0].clone()).unwrap());
    assert!(difference(&drawn[1], &draw(&cut, requests[1].clone()).unwrap()).0 > 2);
    let drawn = block_on(sdxl.generate(&requests)).unwrap();
    assert!(drawn.iter().all(|drawn| drawn.note.is_none()));
}

#[test]
fn states_of_a_long_prompt_equal_the_encoders_of_transformers() {
    let options = model::Options { long_prompts: true, ..model::Options::default() };
    let checkpoint = Checkpoint::open(&fixture("wide"), None, &options).unwrap();
    let loader = crate::generator::loading::Loader {
        device: device(),
        kind: kind(),
        listener: Default::default(),
        done: Default::default(),
        total: 2,
    };
    let mut encoders = text::TextEncoders::open(&checkpoint, &loader).unwrap();
    let runs: Vec<Value> = read_json(&fixture("runs.json")).unwrap();
    let run = runs.iter().find(|run| run["name"] == "chunks").unwrap();
    let count = |text: &str| checkpoint.tokenizers.count(text).unwrap();
    let texts = ["prompt", "negative_prompt"].map(|field| run[field].as_str().unwrap());
    let longest = texts.map(count).into_iter().max().unwrap();
    for (field, text) in ["prompt", "negative_prompt"].into_iter().zip(texts) {
        let encoded = encoders.encode(text, longest).unwrap();
        for (what, found) in [("states", &encoded.states), ("pooled", &encoded.pooled)] {
            let name = format!("{field}.{what}");
            let expected = recorded(&fixture("long_prompts.safetensors"), &name);
            assert_close(&name, found, &expected, 1e-4);
        }
    }
    assert_eq!(["", "a", "a a"].map(count), [0, 1, 2]);
    assert!((76..150).contains(&count(texts[0])), "{}", count(texts[0]));
}

#[test]
fn words_that_are_not_read_are_told_once_in_note_and_progress() {
    // 75 tokens of one letter each fit.
    let [fits, long] = [75, 80].map(|letters| "q ".repeat(letters));
    let (tell, told) = std::sync::mpsc::channel();
    let progress = crate::generator::Progress::new(move |step| {
        tell.send((step.index, step.note)).unwrap();
    });
    let sdxl = wide().load().unwrap();
    let request = GenerateRequest::new(format!("{long}and a bird")).with_negative_prompt(&*long);
    let request = request.with_progress(progress).with_steps(3);
    let note = draw_one(&sdxl, &request).note.unwrap();
    let both = "text_encoder and text_encoder_2 read 77 tokens; not read of the";
    let expected =
        format!("{both} prompt: \"q q q q q and a bird\". {both} negative prompt: \"q q q q q\"");
    assert_eq!(note, expected);
    let told: Vec<_> = told.try_iter().collect();
    assert_eq!(told, [(1, Some(expected)), (2, None), (3, None)]);
    // Without guidance there is no negative prompt.
    let unguided = request.clone().with_guidance_scale(1.0);
    assert!(!draw_one(&sdxl, &unguided).note.unwrap().contains("negative"));
    for prompt in [&*fits, "a bird", ""] {
        let request = GenerateRequest::new(prompt).with_negative_prompt(prompt).with_steps(1);
        assert_eq!(draw_one(&sdxl, &request).note, None, "{prompt}");
    }
}

fn draw_one(sdxl: &Sdxl, request: &GenerateRequest) -> crate::generator::Drawn {
    block_on(sdxl.generate(std::slice::from_ref(request))).unwrap().remove(0)
}

#[test]
fn a_batch_with_references_equals_each_alone() {
    let sdxl = wide().batch_pixels(1 << 18).ip_adapter(fixture("adapter.safetensors"));
    let sdxl = sdxl.load().unwrap();
    let mut requests = three(&GenerateRequest::new(""));
    for (i, request) in requests.iter_mut().enumerate() {
        let mut tokens = tokens(&[i % 2]);
        (tokens.strength.scale, tokens.strength.end) = (0.8, 0.7);
        request.conditioning = Conditioning::Tokens(tokens);
    }
    assert_one_batch(&sdxl, &requests);
    let off = requests.map(|one| GenerateRequest { guidance_scale: Some(1.0), ..one });
    assert_one_batch(&sdxl, &off);
}

#[cfg(feature = "testing")]
#[test]
fn keeps_the_contract_of_every_generator() {
    let sdxl = wide().ip_adapter(fixture("adapter.safetensors")).load().unwrap();
    let (file, encoder) = (fixture("adapter.safetensors"), fixture("image_encoder"));
    let adapter = IpAdapter::load(file, encoder, Device::Cpu, DType::F32).unwrap();
    block_on(crate::testing::conformance::conditioner(&adapter));
    block_on(crate::testing::conformance::generator_with(&sdxl, &adapter));
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
    let space = tokens(&[0]).space;
    let tokens = ImageTokens::new(space, 1, 40, vec![0.0; 40], vec![0.0; 40]).unwrap();
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
