//! Four services on this machine, each in its dialect: one that draws (`/v1/images/generations`, and
//! `/v1/images/edits` in colours of the pictures), one that embeds (`/v1/embeddings`), one that sees
//! (`/v1/chat/completions`). They know colours, and keep what they were asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::prelude::{BASE64_STANDARD, Engine};
use imagerag::Image;
use outside::{mean, solid};
use serde_json::{Value, json};

/// The only key that is let in.
pub const KEY: &str = "sk-outside-0123456789";

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    /// Its JSON, or the text fields of its form.
    pub body: Value,
    /// The pictures of its form, in order.
    pub pictures: Vec<Image>,
}

/// Starts the services. Gives their base URL and what they are asked.
pub fn start() -> (String, Arc<Mutex<Vec<Asked>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let all = Arc::<Mutex<Vec<Asked>>>::default();
    let kept = Arc::clone(&all);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let kept = Arc::clone(&kept);
            thread::spawn(move || converse(&stream, &kept));
        }
    });
    (url, all)
}

fn converse(mut stream: &TcpStream, kept: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let (status, reply) = match header("authorization").as_deref() == Some(&format!("Bearer {KEY}"))
    {
        true => {
            let kind = header("content-type").unwrap_or_default();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let asked = read(path, &kind, &body);
            kept.lock().unwrap().push(asked.clone());
            answer(&asked)
        }
        false => (401, json!({ "error": { "message": "no such key" } })),
    };
    let reply = reply.to_string();
    let _ = write!(
        stream,
        "HTTP/1.1 {status} Reply\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{reply}",
        reply.len()
    );
}

fn read(path: String, kind: &str, body: &[u8]) -> Asked {
    let Some((_, boundary)) = kind.split_once("boundary=") else {
        return Asked { path, body: serde_json::from_slice(body).unwrap(), pictures: Vec::new() };
    };
    let (mut fields, mut pictures) = (json!({}), Vec::new());
    let end = format!("\r\n--{boundary}");
    let mut rest = &body[end.len() - 2..];
    while let Some(length) = find(rest, end.as_bytes()) {
        let (part, behind) = (&rest[2..length], &rest[length + end.len()..]);
        let split = find(part, b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&part[..split]).into_owned();
        let name = head.split("name=\"").nth(1).unwrap().split('"').next().unwrap();
        match name {
            "image[]" | "image" => pictures.push(Image::decode(&part[split + 4..]).unwrap()),
            name => fields[name] = String::from_utf8_lossy(&part[split + 4..]).into(),
        }
        rest = behind;
    }
    Asked { path, body: fields, pictures }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn answer(Asked { path, body, pictures }: &Asked) -> (u16, Value) {
    match path.as_str() {
        // It has never seen a bird, and draws all of them grey.
        "/v1/images/generations" => (200, drawn(&solid(64, [120; 3]).unwrap())),
        "/v1/images/edits" => {
            (200, drawn(&solid(64, mean(&pictures[0]).map(|one| one as u8)).unwrap()))
        }
        "/v1/embeddings" => (200, embeddings(&body["input"])),
        "/v1/chat/completions" => (200, chat(&body["messages"])),
        path => (404, json!({ "error": { "message": format!("no such path: {path}") } })),
    }
}

fn drawn(image: &Image) -> Value {
    let png = BASE64_STANDARD.encode(image.encode_png().unwrap());
    json!({
        "created": 1, "data": [{ "b64_json": png }],
        "usage": { "input_tokens": 20, "output_tokens": 100, "total_tokens": 120 },
    })
}

const COLOURS: [(&str, [f32; 3]); 3] =
    [("red", [255.0, 0.0, 0.0]), ("green", [0.0, 255.0, 0.0]), ("blue", [0.0, 0.0, 255.0])];

fn embeddings(inputs: &Value) -> Value {
    let embed = |input: &Value| {
        let rgb = match (input["image"].as_str(), input["text"].as_str()) {
            (Some(url), _) => mean(&picture(url)),
            (_, text) => named(text.unwrap_or_default()).map_or([9.0; 3], |(_, rgb)| rgb),
        };
        rgb.map(|channel| channel + 1.0)
    };
    let inputs = inputs.as_array().unwrap();
    let data = (0..).zip(inputs).map(|(n, input)| json!({ "index": n, "embedding": embed(input) }));
    let data: Vec<_> = data.collect();
    json!({ "data": data, "usage": { "total_tokens": 5 * inputs.len() } })
}

/// The questions of the paper, about the colour that the prompt names.
fn chat(messages: &Value) -> Value {
    let (mut said, mut seen) = (Vec::new(), Vec::new());
    for message in messages.as_array().unwrap() {
        match &message["content"] {
            Value::Array(parts) => {
                for part in parts {
                    said.extend(part["text"].as_str());
                    seen.extend(part["image_url"]["url"].as_str().map(picture));
                }
            }
            text => said.extend(text.as_str()),
        }
    }
    let (colour, rgb) = named(&said.join(" ")).unwrap();
    let is_shown = seen.iter().any(|image| {
        let off = mean(image).into_iter().zip(rgb).map(|(one, other)| (one - other).abs());
        off.fold(0.0, f32::max) < 60.0
    });
    let reply = match said.last().unwrap() {
        last if last.contains("yes or no") => if is_shown { "yes" } else { "no" }.to_owned(),
        last if last.contains("caption") => format!("a photo of a {colour} bird"),
        _ => format!("a {colour} bird"),
    };
    json!({
        "choices": [{ "message": { "content": reply }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 90, "completion_tokens": 4 },
    })
}

fn named(text: &str) -> Option<(&'static str, [f32; 3])> {
    COLOURS.into_iter().find(|(name, _)| text.contains(&format!("{name} bird")))
}

fn picture(url: &str) -> Image {
    let base64 = url.rsplit(',').next().unwrap();
    Image::decode(&BASE64_STANDARD.decode(base64).unwrap()).unwrap()
}
