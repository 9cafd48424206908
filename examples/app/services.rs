//! The three services of the application, on this machine and as small as they can be: one that
//! draws, one that embeds, one that speaks chat completions. They know the birds of [`world`] by
//! their colours, and take a while for each reply, as services do.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use imagerag::Image;
use serde_json::{Value, json};

use super::stub;
use super::world::{self, Colour};

/// Every so many images the drawing service is too busy to draw, and has to be asked again.
const BUSY_EVERY: usize = 25;

/// Starts the services, which wait for `latency` before each reply. Returns their address.
pub(crate) fn start(latency: Duration) -> io::Result<String> {
    let drawn = AtomicUsize::new(1);
    stub::serve(move |path, body| {
        sleep(latency);
        match path {
            "/draw" if drawn.fetch_add(1, Ordering::Relaxed).is_multiple_of(BUSY_EVERY) => {
                (503, json!({ "error": "too busy" }))
            }
            "/draw" => draw(body),
            "/embed" => (200, embed(body)),
            "/v1/chat/completions" => (200, chat(body)),
            _ => (404, json!({ "error": format!("no such path: {path}") })),
        }
    })
}

/// Draws a bird that it knows, or sees on a picture; others it draws grey.
fn draw(body: &Value) -> (u16, Value) {
    let prompt = words(&body["prompt"]);
    let pictures = pictures(&body["images"]);
    let known = world::named_in(prompt).filter(|n| n % 5 == 0);
    let colour = match (pictures.is_empty(), known) {
        // A reference comes out paler than it is.
        (false, _) => {
            let seen = Colour::of(&pictures);
            Colour { saturation: seen.saturation * 0.5, ..seen }
        }
        (true, Some(n)) => Colour { hue: world::hue(n), saturation: 0.8, value: 0.9 },
        (true, None) => Colour {
            hue: 0.0,
            saturation: 0.0,
            value: number(&format!("{prompt} {}", body["seed"])),
        },
    };
    let side = |name: &str| body[name].as_u64().unwrap_or(64) as u32;
    match colour.picture(side("width"), side("height")).and_then(|picture| picture.encode_png()) {
        Ok(png) => (200, json!({ "image": BASE64_STANDARD.encode(png) })),
        Err(error) => (500, json!({ "error": error.to_string() })),
    }
}

/// A picture is embedded as its hue, a text as that of the bird it names. Each seventh name is
/// misunderstood: what it is closest to is the bird beside it, which the verifier has to refuse.
fn embed(body: &Value) -> Value {
    let texts = body["texts"].as_array().into_iter().flatten().map(|text| {
        let text = words(text);
        let hue = match world::named_in(text) {
            Some(n) if n % 7 == 6 => world::hue(n) + 0.6 * world::hue(1),
            Some(n) => world::hue(n),
            None => 360.0 * number(text),
        };
        Colour { hue, saturation: 1.0, value: 1.0 }
    });
    let pictures = pictures(&body["images"]).into_iter().map(|picture| Colour::of(&[picture]));
    let vectors: Vec<_> = texts
        .chain(pictures)
        .map(|Colour { hue, value, .. }| {
            let (sin, cos) = hue.to_radians().sin_cos();
            [cos, sin, 0.05 * value]
        })
        .collect();
    json!({ "tokens": 12 * vectors.len(), "embeddings": vectors })
}

/// Answers the questions of the paper about birds.
fn chat(body: &Value) -> Value {
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let parts = messages.iter().flat_map(|message| match &message["content"] {
        Value::Array(parts) => parts.iter().collect::<Vec<_>>(),
        text => vec![text],
    });
    let (mut said, mut seen) = (Vec::new(), Vec::new());
    for part in parts {
        match part["image_url"]["url"].as_str() {
            Some(url) => seen.extend(picture(url.rsplit(',').next().unwrap_or_default())),
            None => said.push(part["text"].as_str().unwrap_or_else(|| words(part))),
        }
    }
    let (first, last) = (said.first().unwrap_or(&""), said.last().unwrap_or(&""));
    let bird = world::named_in(first);
    let name = bird.map_or_else(|| "a bird".into(), |n| format!("a {}", world::name(n)));
    let shown = bird.is_some_and(|n| !seen.is_empty() && Colour::of(&seen).shows(n));
    let reply = match last {
        last if last.contains("yes or no") => if shown { "yes" } else { "no" }.to_owned(),
        last if last.contains("caption") => format!("a photo of {name} in daylight"),
        _ => name,
    };
    let read: usize = said.iter().map(|text| text.split(' ').count()).sum();
    json!({
        "model": body["model"],
        "choices": [{ "message": { "role": "assistant", "content": reply } }],
        "usage": { "prompt_tokens": read + 85 * seen.len(), "completion_tokens": reply.split(' ').count() },
    })
}

fn words(text: &Value) -> &str {
    text.as_str().unwrap_or_default()
}

fn pictures(list: &Value) -> Vec<Image> {
    list.as_array().into_iter().flatten().filter_map(|one| picture(words(one))).collect()
}

fn picture(base64: &str) -> Option<Image> {
    Image::decode(&BASE64_STANDARD.decode(base64).ok()?).ok()
}

/// A number in [0, 1) that depends on `text` alone.
fn number(text: &str) -> f32 {
    let hash = text.bytes().fold(17u32, |hash, byte| hash.wrapping_mul(31) ^ u32::from(byte));
    (hash.wrapping_mul(2_654_435_769) >> 8) as f32 / (1 << 24) as f32
}
