//! `GeminiImages`: recorded exchanges, and a server that draws from what it was sent.

use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use imagerag::conditioner::{Conditioning, InPrompt};
use imagerag::generator::{GeminiImages, GeminiImagesBuilder, GenerateRequest};
use imagerag::testing::conformance;
use imagerag::{Generator, GeneratorExt};
use serde_json::{Value, json};

use crate::cassette::{SECRETS, picture, play_all};
use crate::painter::painted;
use crate::support::{answer, raw_server};

fn build(origin: &str, settings: &Value) -> Arc<dyn Generator> {
    let text = |name: &str| settings[name].as_str();
    let mut builder = GeminiImages::builder(text("model").unwrap_or("gemini-3.1-flash-image"))
        .base_url(origin.to_owned() + text("base_path").unwrap_or("/v1beta"))
        .api_key(text("key").unwrap_or_default())
        .timeout(Duration::from_secs(60))
        .max_retries(settings["max_retries"].as_u64().unwrap_or(0) as u32)
        .first_wait(Duration::from_millis(2));
    if let Some(ratio) = text("aspect_ratio") {
        builder = builder.aspect_ratio(ratio);
    }
    if let Some(size) = text("image_size") {
        builder = builder.image_size(size);
    }
    for (name, value) in settings["headers"].as_object().into_iter().flatten() {
        builder = builder.header(name, value.as_str().unwrap());
    }
    for (name, value) in settings["fields"].as_object().into_iter().flatten() {
        builder = builder.field(name, value.to_string());
    }
    Arc::new(builder.build().unwrap())
}

#[tokio::test]
async fn every_recorded_exchange_comes_out_as_recorded() {
    let played = play_all("gemini_images", build).await;
    assert!(played >= 32, "only {played} cassettes");
}

fn model(origin: &str) -> GeminiImagesBuilder {
    GeminiImages::builder("gemini-3.1-flash-image")
        .base_url(format!("{origin}/v1beta"))
        .api_key(SECRETS[0])
        .timeout(Duration::from_secs(60))
        .max_retries(0)
}

#[tokio::test]
async fn the_contract_of_generators_is_kept() {
    let (origin, _heads) = raw_server(|number, request, stream| {
        let seen = [&request.body[..], &number.to_le_bytes()].concat();
        let part = json!({ "inlineData": { "mimeType": "image/png", "data": painted(&seen) } });
        let body = json!({ "candidates": [{ "content": { "parts": [part] } }] });
        answer(stream, "200 OK", "", &body.to_string());
    });
    let generator = model(&origin).build().unwrap();
    assert!(!generator.repeats());
    conformance::generator(&generator).await;
    conformance::generator_with(&generator, &InPrompt::new(14).unwrap()).await;
}

#[test]
fn references_that_are_too_large_are_scaled_down_and_told_of() {
    let (origin, _heads) = raw_server(|_, request, stream| {
        assert!(request.body.len() < 20_000_000, "{} bytes", request.body.len());
        let part = json!({ "inlineData": { "data": painted(&request.body) } });
        let body = json!({ "candidates": [{ "content": { "parts": [part] } }] });
        answer(stream, "200 OK", "", &body.to_string());
    });
    let generator = model(&origin).max_reference_pixels(1200).build().unwrap();
    let images = Conditioning::Images(vec![picture(80, 60, 1), picture(20, 60, 2)]);
    let request = GenerateRequest::new("a bee").with_conditioning(images);
    let drawn = block_on(generator.generate_one(&request)).unwrap();
    assert_eq!(drawn.note.as_deref(), Some("references scaled to 1200 pixels: 1 of 2"));
}

#[test]
fn settings_out_of_range_are_named() {
    let build = || model("http://localhost:1");
    for (builder, told) in [
        (GeminiImages::builder(" models/ "), "model: expected a name, found \" models/ \""),
        (build().concurrency(0), "requests at a time: expected at least 1, found 0"),
        (build().max_reference_pixels(0), "pixels of a reference: expected at least 1, found 0"),
        (build().jpeg_quality(0), "JPEG quality: expected 1 to 100, found 0"),
        (build().aspect_ratio("wide"), "aspect ratio: expected such as 16:9, found wide"),
        (build().image_size(" "), "image size: expected such as 1K, found \" \""),
        (build().timeout(Duration::ZERO), "timeout: expected more than 0 s, found 0 s"),
    ] {
        assert_eq!(builder.build().unwrap_err().to_string(), told);
    }
    let error = build().field("tools", "{").build().unwrap_err().to_string();
    assert!(error.starts_with("field \"tools\": expected a JSON value"), "{error}");
    let builder = build().header("x-tenant", SECRETS[1]);
    let told = format!("{builder:?} {:?}", builder.clone().build().unwrap());
    assert!(SECRETS.iter().all(|secret| !told.contains(secret)), "{told}");
}
