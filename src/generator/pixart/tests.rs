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
use crate::models::common::json::read_json;

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

/// The format in which a run was recorded, or the one in which the tests run.
fn dtype_of(run: &Value) -> DType {
    match run["dtype"].as_str() {
        Some("bfloat16") => DType::Bf16,
        Some("float16") => DType::F16,
        _ => dtype(),
    }
}

fn runs() -> Vec<(Value, Image)> {
    let runs: Vec<Value> = read_json(&fixture("runs.json")).unwrap();
    let image = |run: &Value| {
        let name = format!("{}_{}.png", run["folder"], run["name"]).replace('"', "");
        Image::open(fixture(&name)).unwrap()
    };
    runs.into_iter().map(|run| (run.clone(), image(&run))).collect()
}

#[test]
fn every_image_equals_diffusers() {
    let runs = runs();
    assert!(runs.len() >= 14);
    for (i, (run, expected)) in runs.iter().enumerate() {
        let (builder, request) = recorded(run);
        let found = draw(&builder.clone().load().unwrap(), request.clone()).unwrap();
        let name = format!("{} {}", run["folder"], run["name"]);
        if dtype() == DType::F32 || run["dtype"].is_string() {
            assert_near(&name, &found, expected, dtype_of(run));
        } else {
            // Noise of 16 bits is other noise: the CPU's image stands for diffusers'.
            let on_cpu = draw(&builder.device(Device::Cpu).load().unwrap(), request).unwrap();
            assert_near(&name, &found, &on_cpu, dtype());
        }
        assert!(runs[..i].iter().all(|(_, other)| other != expected), "{run} tells nothing new");
    }
}
