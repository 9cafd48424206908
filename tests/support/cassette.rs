//! Recorded exchanges of a remote generator: they are played by a local server, and what arrives, what is
//! drawn and what is told must be as recorded.
//!
//! A cassette is JSON:
//! ```json
//! {
//!   "about": "what it shows",
//!   "settings": { "what the builder of the generator is told": "as its test reads it" },
//!   "draw": { "prompt": "a bee", "seed": 7, "width": 64, "height": 48, "steps": 4, "guidance_scale": 3.5,
//!             "negative_prompt": "blur", "references": [[8, 6]], "previews": true },
//!   "times": 1,
//!   "exchanges": [
//!     { "request": { "method": "POST", "path": "/v1/images/edits", "headers": { "authorization": null },
//!                    "body": {}, "parts": [["prompt", "a bee"], ["image[]", "image_1.png image/png <png 8x6 #1>"]] },
//!       "response": { "status": 200, "headers": {}, "body": { "data": [{ "b64_json": "<png 64x48 #7>" }] } } }
//!   ],
//!   "drawn": { "picture": "<png 64x48 #7>", "note": null, "usage": [10, 20, 1], "previews": [] },
//!   "error": { "kind": "Refused", "text": "the whole chain, with {origin} and {size} in it" }
//! }
//! ```
//! Only what stands in a cassette is compared. Every `<png WxH #N>` in a response is the base64 of picture
//! number N as PNG (`jpeg`, `gif` and `webp` likewise, and `<text …>` of words), and in a request the
//! reverse: pictures number 1, 2, … are the references. `<fill N>` is N times `x`. A response has a `body` of JSON, a `text`, or a
//! `file` such as `<png 8x8 #1>`, which is sent as bytes; `cut` sends only so many bytes of it.
//! `{origin}` is the server's. `times` draws the same request again, and the exchanges go on.

use std::io::Write;
use std::net::TcpStream;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use imagerag::conditioner::Conditioning;
use imagerag::generator::{Drawn, GenerateRequest, Progress};
use imagerag::{Error, Generator, GeneratorExt, Image};
use serde_json::{Value, json};

use crate::support::{Request, raw_server};

/// Picture number `n`: noise in coarse squares, so that every format can be told apart.
pub(crate) fn picture(width: u32, height: u32, n: u32) -> Image {
    let pixel = |x: u32, y: u32| [x * 5 + n * 40, y * 5 + n * 90, n * 60].map(|v| (v % 256) as u8);
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y)));
    Image::new(width, height, pixels.collect::<Vec<_>>()).unwrap()
}

/// The file in `<png 8x6 #1>` or the like.
fn file(described: &str) -> Vec<u8> {
    let words: Vec<&str> = described.trim_matches(['<', '>']).splitn(3, ' ').collect();
    if words[0] == "text" {
        return words[1..].join(" ").into_bytes();
    }
    let (width, height) = words[1].split_once('x').unwrap();
    let n = words.get(2).map_or(1, |n| n.trim_start_matches('#').parse().unwrap());
    let image = picture(width.parse().unwrap(), height.parse().unwrap(), n);
    match words[0] {
        "png" => image.encode_png().unwrap(),
        "jpeg" => image.encode_jpeg(90).unwrap(),
        other => {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(format!("picture.{other}"));
            image.save(&path).unwrap();
            std::fs::read(path).unwrap()
        }
    }
}

/// `text` with everything in it that stands for something else.
fn filled(text: &str, origin: &str) -> String {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some(start) = rest.find('<') {
        let end = rest[start..].find('>').map(|end| start + end + 1);
        let Some(end) = end else { break };
        let (described, kind) = (&rest[start..end], rest[start + 1..end - 1].split(' ').next());
        filled += &rest[..start];
        match kind.unwrap() {
            "png" | "jpeg" | "gif" | "webp" | "text" => filled += &STANDARD.encode(file(described)),
            "fill" => {
                let count = described.trim_matches(['<', '>'])[5..].parse().unwrap();
                filled += &"x".repeat(count);
            }
            _ => filled += described,
        }
        rest = &rest[end..];
    }
    (filled + rest).replace("{origin}", origin)
}

/// `value` with every string in it filled.
fn filled_in(value: &Value, origin: &str) -> Value {
    match value {
        Value::String(text) => filled(text, origin).into(),
        Value::Array(all) => all.iter().map(|one| filled_in(one, origin)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), filled_in(value, origin))).collect()
        }
        other => other.clone(),
    }
}

fn respond(response: &Value, origin: &str, mut stream: TcpStream) {
    let text = |value: &Value| filled(value.as_str().unwrap(), origin).into_bytes();
    let body = match response {
        one if one["file"].is_string() => file(one["file"].as_str().unwrap()),
        one if one["text"].is_string() => text(&one["text"]),
        one => filled_in(&one["body"], origin).to_string().into_bytes(),
    };
    let mut head = format!("HTTP/1.1 {} Status\r\n", response["status"]);
    for (name, value) in response["headers"].as_object().into_iter().flatten() {
        head += &format!("{name}: {}\r\n", filled(value.as_str().unwrap(), origin));
    }
    head += &format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let sent = response["cut"].as_u64().map_or(body.len(), |cut| cut as usize);
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body[..sent]));
}

/// The parts of a form in their order, each with what it holds: `[name, text]`, or of a file
/// `[name, "file.png image/png <png 8x6 #1>"]`.
pub(crate) fn parts(request: &Request) -> Vec<[String; 2]> {
    let kind = header(request, "content-type").expect("a content type");
    let boundary = kind.split_once("boundary=").expect("a form").1.trim_matches('"').to_owned();
    let (mut parts, mut rest) = (Vec::new(), &request.body[..]);
    let find = |all: &[u8], what: &[u8]| all.windows(what.len()).position(|one| one == what);
    let line = format!("--{boundary}");
    while let Some(at) = find(rest, line.as_bytes()) {
        rest = &rest[at + line.len()..];
        if rest.starts_with(b"--") {
            break;
        }
        let head_end = find(rest, b"\r\n\r\n").expect("the head of a part");
        let head = String::from_utf8_lossy(&rest[..head_end]).into_owned();
        let end = find(rest, format!("\r\n{line}").as_bytes()).expect("the end of a part");
        let content = &rest[head_end + 4..end];
        let quoted = |name: &str| {
            let (_, behind) = head.split_once(&format!("{name}=\""))?;
            Some(behind.split_once('"')?.0.to_owned())
        };
        let described = match quoted("; filename") {
            None => String::from_utf8_lossy(content).into_owned(),
            Some(name) => {
                let kind = head.lines().find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-type: ").map(str::to_owned)
                });
                format!("{name} {} {}", kind.unwrap_or_default(), described(content))
            }
        };
        parts.push([quoted("; name").expect("the name of a part"), described]);
        rest = &rest[end..];
    }
    parts
}

/// `<png 8x6 #1>` of the bytes of a picture.
fn described(bytes: &[u8]) -> String {
    let kind = match bytes {
        [0x89, b'P', b'N', b'G', ..] => "png",
        [0xff, 0xd8, ..] => "jpeg",
        _ => return format!("{} bytes", bytes.len()),
    };
    let image = Image::decode(bytes).expect("a whole picture");
    let (width, height) = (image.width(), image.height());
    let number = (1..20).find(|n| picture(width, height, *n) == image);
    let number = number.map_or("?".into(), |n| n.to_string());
    format!("<{kind} {width}x{height} #{number}>")
}

/// `value` with what is base64 of a picture described.
fn described_in(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let (head, base64) = text.split_once(";base64,").unwrap_or(("", text));
            let bytes = STANDARD.decode(base64).ok().filter(|bytes| bytes.len() > 30);
            let known = bytes.map(|bytes| described(&bytes)).filter(|known| known.starts_with('<'));
            match known {
                Some(known) if head.is_empty() => known.into(),
                Some(known) => format!("{head};base64,{known}").into(),
                None => text.clone().into(),
            }
        }
        Value::Array(all) => all.iter().map(described_in).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), described_in(value))).collect()
        }
        other => other.clone(),
    }
}

pub(crate) fn header(request: &Request, name: &str) -> Option<String> {
    request.head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

/// Compares what arrived with what a cassette has.
fn check_request(name: &str, expected: &Value, request: &Request) {
    let line = request.head.lines().next().unwrap().to_owned();
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    assert_eq!(method, expected["method"].as_str().unwrap_or("POST"), "{name}");
    assert_eq!(path, expected["path"].as_str().expect("a path"), "{name}");
    for (header_name, value) in expected["headers"].as_object().into_iter().flatten() {
        assert_eq!(
            header(request, header_name).as_deref(),
            value.as_str(),
            "{name}: {header_name}"
        );
    }
    if let Some(body) = expected.get("body") {
        assert_eq!(header(request, "content-type").as_deref(), Some("application/json"), "{name}");
        let found = serde_json::from_slice(&request.body).expect("a body of JSON");
        assert_eq!(&described_in(&found), body, "{name}");
    }
    if let Some(expected) = expected.get("parts") {
        assert_eq!(&json!(parts(request)), expected, "{name}");
    }
}

fn request(draw: &Value, previews: Arc<Mutex<Vec<String>>>) -> GenerateRequest {
    let number = |name: &str| draw[name].as_u64();
    let side = |name: &str| number(name).map(|side| side as u32);
    let mut request = GenerateRequest::new(draw["prompt"].as_str().unwrap());
    request.negative_prompt = draw["negative_prompt"].as_str().map(str::to_owned);
    request.seed = number("seed").unwrap_or(0);
    (request.width, request.height) = (side("width"), side("height"));
    request.steps = number("steps").map(|steps| steps as usize);
    request.guidance_scale = draw["guidance_scale"].as_f64();
    if let Some(references) = draw["references"].as_array() {
        let side = |size: &Value, at: usize| size[at].as_u64().unwrap() as u32;
        let images =
            (1..).zip(references).map(|(n, size)| picture(side(size, 0), side(size, 1), n));
        request.conditioning = Conditioning::Images(images.collect());
    }
    if draw["previews"] == true {
        let tell = move |step: imagerag::generator::Step| {
            let preview = step.preview.map(|image| described(&image.encode_png().unwrap()));
            let told = format!("{} of {}: {}", step.index, step.total, preview.unwrap_or_default());
            previews.lock().unwrap().push(told);
        };
        request = request.with_progress(Progress::new(tell).with_previews_every(1));
    }
    request
}

/// The variant of an error, as its `Debug` begins.
pub(crate) fn kind(error: &Error) -> String {
    let debug = format!("{error:?}");
    debug.split([' ', '(']).next().unwrap_or_default().to_owned()
}

fn check_outcome(
    name: &str,
    cassette: &Value,
    origin: &str,
    outcome: Result<Drawn, Error>,
    previews: &[String],
) {
    if let Some(expected) = cassette.get("error") {
        let error = outcome.expect_err(name);
        assert_eq!(kind(&error), expected["kind"].as_str().unwrap(), "{name}: {error}");
        if let Some(text) = expected["text"].as_str() {
            assert_eq!(error.chain().to_string(), text.replace("{origin}", origin), "{name}");
        }
        return;
    }
    let expected = &cassette["drawn"];
    let drawn = outcome.unwrap_or_else(|error| panic!("{name}: {}", error.chain()));
    for (field, value) in expected.as_object().expect("`drawn` or `error`") {
        let found = match field.as_str() {
            "picture" => described(&drawn.image.encode_png().unwrap()).into(),
            "note" => json!(drawn.note),
            "usage" => {
                json!(drawn.usage.map(|one| [one.prompt_tokens, one.completion_tokens, one.images]))
            }
            "previews" => json!(previews),
            other => panic!("{name}: what is {other}?"),
        };
        assert_eq!(&found, value, "{name}: {field}");
    }
}

/// Plays one cassette: a server gives its answers in order to the generator that `build` makes of its
/// base, such as `http://127.0.0.1:PORT`, and its settings.
pub(crate) async fn play(
    name: &str,
    cassette: &Value,
    build: impl Fn(&str, &Value) -> Arc<dyn Generator>,
) {
    let exchanges = cassette["exchanges"].as_array().expect("exchanges").clone();
    let count = exchanges.len();
    let (sender, arrived) = channel();
    let base = Arc::new(Mutex::new(String::new()));
    let own = Arc::clone(&base);
    let (origin, _heads) = raw_server(move |number, request, stream| {
        let _ = sender
            .send((number, Request { head: request.head.clone(), body: request.body.clone() }));
        let origin = own.lock().unwrap().clone();
        if let Some(exchange) = exchanges.get(number) {
            respond(&exchange["response"], &origin, stream);
        }
    });
    base.lock().unwrap().clone_from(&origin);
    let generator = build(&origin, &cassette["settings"]);
    for _ in 0..cassette["times"].as_u64().unwrap_or(1) {
        let previews = Arc::default();
        let request = request(&cassette["draw"], Arc::clone(&previews));
        let outcome = generator.generate_one(&request).await;
        // No cassette has a secret in what is told.
        let told = match &outcome {
            Ok(drawn) => format!("{:?} {generator} {generator:?}", drawn.note),
            Err(error) => format!("{error:?} {} {generator:?}", error.chain()),
        };
        for secret in SECRETS {
            assert!(!told.contains(secret), "{name}: {told}");
        }
        check_outcome(name, cassette, &origin, outcome, &previews.lock().unwrap());
    }
    let arrived: Vec<_> = arrived.try_iter().collect();
    assert_eq!(arrived.len(), count, "{name}: requests");
    for (number, request) in &arrived {
        let exchange = &cassette["exchanges"][number];
        check_request(name, &exchange["request"], request);
    }
}

/// The keys that generators are built with in tests; no cassette may hold others.
pub(crate) const SECRETS: [&str; 2] = ["sk-proj-3xAmPl3", "azure-3xAmPl3"];

/// Plays every cassette in a folder of `tests/cassettes/`, and fails with the names of those that do not
/// come out as recorded. Returns how many there are.
pub(crate) async fn play_all(folder: &str, build: fn(&str, &Value) -> Arc<dyn Generator>) -> usize {
    let path = format!("{}/tests/cassettes/{folder}", env!("CARGO_MANIFEST_DIR"));
    let (mut played, mut failed) = (0, Vec::new());
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let cassette = serde_json::from_str(&text);
        let cassette = cassette.unwrap_or_else(|error| panic!("{name}: {error}"));
        let outcome = AssertUnwindSafe(play(&name, &cassette, build)).catch_unwind().await;
        played += 1;
        failed.extend(outcome.is_err().then_some(name));
    }
    assert!(failed.is_empty(), "not as recorded, see above: {failed:?}");
    played
}
