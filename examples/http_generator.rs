//! A generator of one's own over HTTP, errors included, in under 60 lines.
//!
//! ```text
//! cargo run --example http_generator
//! ```
//!
//! starts a small service on this machine, because it is given no address of another, and prints
//!
//! ```text
//! sketch drew 64x64 pixels: 1 image (the service drew a quetzal at dawn, in daylight)
//! sketch declines the request: no weapons
//! sketch could not be reached: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)
//! ```
//!
//! A part on reqwest or tokio must be polled inside tokio's runtime, as `#[tokio::main]` does:
//! under `futures::executor::block_on` it panics, because it finds no runtime. All else in imagerag
//! runs under any executor.

#[path = "support/stub.rs"]
mod stub;

use std::fmt;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use clap::Parser;
use futures::future::try_join_all;
use imagerag::conditioner::{Conditioning, ConditioningKind};
use imagerag::generator::{Drawn, GenerateRequest};
use imagerag::{Error, Generator, GeneratorExt, Image, Result, Usage, async_trait};
use serde_json::{Value, json};

/// A service that draws: `POST url` with a prompt and pictures, which replies with a picture.
#[derive(Debug)]
struct Sketch {
    client: reqwest::Client,
    url: String,
}

impl fmt::Display for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sketch") // Traces and errors call the part by this name.
    }
}

#[async_trait]
impl Generator for Sketch {
    fn accepts(&self) -> &[ConditioningKind] {
        &[ConditioningKind::None, ConditioningKind::Images]
    }

    async fn generate(&self, requests: &[GenerateRequest]) -> Result<Vec<Drawn>> {
        for request in requests {
            request.validate()?; // What is out of range is refused before any work begins.
            request.validate_conditioning(self.accepts())?;
        }
        try_join_all(requests.iter().map(|request| self.draw(request))).await
    }
}

impl Sketch {
    const LIMIT: Duration = Duration::from_secs(120); // For one image.

    async fn draw(&self, request: &GenerateRequest) -> Result<Drawn> {
        let GenerateRequest { prompt, seed, width, height, .. } = request;
        let mut body = json!({ "prompt": prompt, "seed": seed, "width": width, "height": height });
        if let Conditioning::Images(images) = &request.conditioning {
            let encode = |image: &Image| Ok(BASE64_STANDARD.encode(image.encode_png()?));
            body["images"] = images.iter().map(encode).collect::<Result<_>>()?;
        }
        let failed = |error: reqwest::Error| match error.is_timeout() {
            true => Error::timeout(self, Self::LIMIT),
            false => Error::connection(self, error.without_url()),
        };
        let sent = self.client.post(&self.url).timeout(Self::LIMIT).json(&body).send();
        let reply = sent.await.map_err(failed)?;
        let (status, text) = (reply.status().as_u16(), reply.text().await.map_err(failed)?);
        let reply: Value = serde_json::from_str(&text).unwrap_or_default();
        let words = reply["error"].as_str().unwrap_or(&text);
        let png = match status {
            200 => reply["image"].as_str().and_then(|png| BASE64_STANDARD.decode(png).ok()),
            403 => return Err(Error::refused(self, words)), // This service's way to decline.
            other => return Err(Error::service(self, other, words)),
        };
        let png = png.ok_or_else(|| Error::invalid_reply(self, "a picture in base64", &text))?;
        let image = Image::decode_reply(self, &png)?;
        let mut drawn = Drawn::from(image).with_usage(Usage::images(1));
        drawn.note = reply["note"].as_str().map(Into::into);
        Ok(drawn)
    }
}

/// Draws with a generator of one's own.
#[derive(Parser)]
struct Options {
    /// Address of the service; without one, a small one is started on this machine.
    #[arg(long)]
    url: Option<String>,
    /// What to draw.
    #[arg(long, default_value = "a quetzal at dawn")]
    prompt: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let url = options.url.map_or_else(|| stub::serve(|_, body| answer(body)), Ok)?;
    let sketch = Sketch { client: reqwest::Client::new(), url };
    let drawn = sketch.generate_one(&GenerateRequest::new(options.prompt)).await?;
    let (width, height) = (drawn.image.width(), drawn.image.height());
    let (usage, note) = (drawn.usage.unwrap_or_default(), drawn.note.unwrap_or_default());
    println!("{sketch} drew {width}x{height} pixels: {usage} ({note})");

    // What goes wrong is an error that says what can be done about it.
    let nobody = Sketch { client: reqwest::Client::new(), url: "http://127.0.0.1:9".into() };
    for (sketch, prompt) in [(&sketch, "a weapon"), (&nobody, "a quetzal")] {
        if let Err(error) = sketch.generate_one(&GenerateRequest::new(prompt)).await {
            println!("{}", error.chain());
        }
    }
    Ok(())
}

/// The service on this machine: one colour, which depends on the length of the prompt.
fn answer(body: &Value) -> (u16, Value) {
    let prompt = body["prompt"].as_str().unwrap_or_default();
    if prompt.contains("weapon") {
        return (403, json!({ "error": "no weapons" }));
    }
    let side = |name: &str| body[name].as_u64().unwrap_or(64) as u32;
    let (width, height) = (side("width"), side("height"));
    let pixels = [prompt.len() as u8, 140, 70].repeat(width as usize * height as usize);
    match Image::new(width, height, pixels).and_then(|image| image.encode_png()) {
        Ok(png) => {
            let note = format!("the service drew {prompt}, in daylight");
            (200, json!({ "image": BASE64_STANDARD.encode(png), "note": note }))
        }
        Err(error) => (500, json!({ "error": error.to_string() })),
    }
}
