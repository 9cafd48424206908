//! `OpenAiImages` in every profile.

use std::sync::Arc;
use std::time::Duration;

use imagerag::Generator;
use imagerag::generator::OpenAiImages;
use serde_json::Value;

use crate::cassette::{cassettes, play};

fn build(origin: &str, settings: &Value) -> Arc<dyn Generator> {
    let text = |name: &str| settings[name].as_str();
    let mut builder = OpenAiImages::builder(text("model").unwrap_or("test-model"))
        .base_url(origin.to_owned() + text("base_path").unwrap_or("/v1"))
        .api_key(text("key").unwrap_or_default())
        .timeout(Duration::from_secs(60))
        .max_retries(settings["max_retries"].as_u64().unwrap_or(0) as u32)
        .first_wait(Duration::from_millis(2));
    if let Some(profile) = text("profile") {
        builder = builder.profile(profile.parse().unwrap());
    }
    if let Some(quality) = text("quality") {
        builder = builder.quality(quality);
    }
    if let Some(fidelity) = text("input_fidelity") {
        builder = builder.input_fidelity(fidelity);
    }
    for (name, value) in settings["headers"].as_object().into_iter().flatten() {
        builder = builder.header(name, value.as_str().unwrap());
    }
    for (name, value) in settings["fields"].as_object().into_iter().flatten() {
        builder = builder.field(name, value.to_string());
    }
    if let Some(images) = settings["partial_images"].as_u64() {
        builder = builder.partial_images(images as u8);
    }
    builder = builder.true_cfg_scale(settings["true_cfg_scale"] == true);
    builder = builder.adapt_parameters(settings["adapt_parameters"] != false);
    Arc::new(builder.build().unwrap())
}

#[tokio::test]
async fn every_recorded_exchange_comes_out_as_recorded() {
    let cassettes = cassettes("openai_images");
    for (name, cassette) in &cassettes {
        play(name, cassette, build).await;
    }
    assert!(cassettes.len() >= 2, "only {} cassettes", cassettes.len());
}
