//! `OpenAiImages` in every profile.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use futures::executor::block_on;
use imagerag::conditioner::Conditioning;
use imagerag::generator::{
    GenerateRequest, ImagesProfile, OpenAiImages, OpenAiImagesBuilder, Progress,
};
use imagerag::testing::conformance;
use imagerag::{Error, Generator, GeneratorExt};
use serde_json::{Value, json};

use crate::cassette::{SECRETS, header, kind, parts, picture, play_all};
use crate::painter::painted;
use crate::support::{Request, answer, raw_server};

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
    let played = play_all("openai_images", build).await;
    assert!(played >= 55, "only {played} cassettes");
}

fn model(origin: &str, profile: ImagesProfile) -> OpenAiImagesBuilder {
    OpenAiImages::builder("m")
        .base_url(format!("{origin}/v1"))
        .api_key(SECRETS[0])
        .profile(profile)
        .timeout(Duration::from_secs(60))
        .max_retries(0)
}

/// A reply with `picture(8, 8, n)`.
fn image(n: u32) -> String {
    let png = picture(8, 8, n).encode_png().unwrap();
    json!({ "data": [{ "b64_json": STANDARD.encode(png) }] }).to_string()
}

fn answer_ok(stream: TcpStream, body: &str) {
    answer(stream, "200 OK", "", body);
}

/// Everything that arrives, references as the pictures that they are.
fn arrived(request: &Request) -> String {
    match header(request, "content-type").as_deref() {
        Some("application/json") => String::from_utf8(request.body.clone()).unwrap(),
        // The boundary is another each time.
        _ => format!("{:?} {}", parts(request), colours(request)),
    }
}

/// The first pixel of each PNG in a form.
fn colours(request: &Request) -> String {
    const START: &[u8] = b"\x89PNG";
    let starts = request.body.windows(4).enumerate().filter(|(_, window)| *window == START);
    let pixels = starts.map(|(at, _)| {
        let end = request.body[at..].windows(4).position(|window| window == b"IEND").unwrap();
        let png = imagerag::Image::decode(&request.body[at..at + end + 8]).unwrap();
        format!("{:?}", &png.pixels()[..3])
    });
    pixels.collect()
}

/// A server that draws one colour, made of what arrived, and of the number of the request if it has no
/// use for seeds.
fn painter(repeats: bool) -> String {
    let (origin, _heads) = raw_server(move |number, request, stream| {
        let seen = arrived(request) + &if repeats { String::new() } else { number.to_string() };
        let body = json!({ "data": [{ "b64_json": painted(seen.as_bytes()) }] });
        answer_ok(stream, &body.to_string());
    });
    origin
}

#[tokio::test]
async fn the_contract_of_generators_is_kept_in_every_profile() {
    for (profile, repeats) in [
        (ImagesProfile::OpenAi, false),
        (ImagesProfile::SelfHosted, true),
        (ImagesProfile::SdServer, true),
    ] {
        let generator = model(&painter(repeats), profile).build().unwrap();
        assert_eq!(generator.repeats(), repeats, "{profile}");
        conformance::generator(&generator).await;
    }
}

#[test]
fn images_come_in_order_and_no_more_at_a_time_than_was_said() {
    let (busy, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (Arc::clone(&busy), Arc::clone(&most));
    let (origin, heads) = raw_server(move |_, request, stream| {
        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let seed = body["seed"].as_u64().unwrap();
        // The first ones take longest.
        thread::sleep(Duration::from_millis(5 * (8 - seed)));
        now.fetch_sub(1, Ordering::SeqCst);
        answer_ok(stream, &image(seed as u32));
    });
    let generator = model(&origin, ImagesProfile::SelfHosted).concurrency(3).build().unwrap();
    let requests: Vec<_> = (0..8).map(|n| GenerateRequest::new("a bee").with_seed(n)).collect();
    let drawn = block_on(generator.generate(&requests)).unwrap();
    for (n, drawn) in (0..).zip(&drawn) {
        assert_eq!(drawn.image, picture(8, 8, n));
    }
    assert_eq!((drawn.len(), heads.try_iter().count()), (8, 8));
    assert!(most.load(Ordering::SeqCst) <= 3, "{most:?} at a time");
}

#[test]
fn what_cannot_be_drawn_is_refused_before_anything_is_sent() {
    let (origin, heads) = raw_server(|_, _, stream| answer_ok(stream, &image(1)));
    let build = || model(&origin, ImagesProfile::SelfHosted);
    let generator = build().max_references(2).build().unwrap();
    let images = vec![picture(8, 8, 1); 3];
    let request = GenerateRequest::new("a bee").with_conditioning(Conditioning::Images(images));
    let error = block_on(generator.generate_one(&request)).unwrap_err();
    assert_eq!(error.to_string(), "references: expected at most 2, found 3");
    let error = block_on(generator.generate_one(&GenerateRequest::new("a bee").with_steps(0)));
    assert_eq!(kind(&error.unwrap_err()), "InvalidInput");
    for (builder, told) in [
        (OpenAiImages::builder(" "), "model: expected a name, found \" \""),
        (build().concurrency(0), "requests at a time: expected at least 1, found 0"),
        (build().max_references(0), "references of a request: expected at least 1, found 0"),
        (build().max_reference_pixels(0), "pixels of a reference: expected at least 1, found 0"),
        (build().partial_images(4), "partial images: expected 0 to 3, found 4"),
        (
            build().base_url("ftp://x"),
            "base_url: expected an http(s) URL, found the scheme \"ftp\"",
        ),
        (build().timeout(Duration::ZERO), "timeout: expected more than 0 s, found 0 s"),
    ] {
        assert_eq!(builder.build().unwrap_err().to_string(), told);
    }
    let error = build().field("lora", "{").build().unwrap_err().to_string();
    assert!(error.starts_with("field \"lora\": expected a JSON value"), "{error}");
    assert_eq!(heads.try_iter().count(), 0);
}

#[test]
fn a_seed_that_is_refused_is_remembered_by_all_clones() {
    let (origin, heads) = raw_server(|_, request, stream| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        match body.get("seed") {
            Some(_) => answer(stream, "400 Bad Request", "", r#"{"detail":"unknown field: seed"}"#),
            None => answer_ok(stream, &image(1)),
        }
    });
    let generator = model(&origin, ImagesProfile::SelfHosted).build().unwrap();
    let clone = generator.clone();
    assert!(clone.repeats());
    let request = GenerateRequest::new("a bee");
    block_on(generator.generate_one(&request)).unwrap();
    assert!(!clone.repeats() && !generator.repeats());
    let drawn = block_on(clone.generate_one(&request)).unwrap();
    assert!(drawn.note.unwrap().contains("seed"));
    assert_eq!(heads.try_iter().count(), 3);
}

#[test]
fn a_service_that_refuses_everything_is_not_asked_for_ever() {
    let (origin, heads) = raw_server(|_, request, stream| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let name = body.as_object().unwrap().keys().next().unwrap().clone();
        let error = json!({ "error": { "message": format!("Unknown parameter: '{name}'") } });
        answer(stream, "400 Bad Request", "", &error.to_string());
    });
    let generator = model(&origin, ImagesProfile::SelfHosted).build().unwrap();
    let request = GenerateRequest::new("a bee").with_steps(3).with_size(8, 8);
    let error = block_on(generator.generate_one(&request)).unwrap_err();
    assert!(error.to_string().contains("Unknown parameter: 'model'"), "{error}");
    assert_eq!(heads.try_iter().count(), 1);
    assert!(generator.repeats(), "nothing was accepted without");
}

/// A proxy behind which `serve` answers for every host. Gives its origin and the heads that arrive.
fn far_away(
    serve: impl Fn(&str, TcpStream) + Clone + Send + 'static,
) -> (OpenAiImages, std::sync::mpsc::Receiver<String>) {
    let (proxy, heads) = raw_server(move |_, request, stream| {
        let url = request.head.split(' ').nth(1).unwrap().to_owned();
        serve(&url, stream);
    });
    let generator = model("http://images.example", ImagesProfile::SelfHosted)
        .header("x-tenant", SECRETS[1])
        .proxy(proxy)
        .build();
    (generator.unwrap(), heads)
}

#[test]
fn a_link_to_another_host_is_followed_without_the_key() {
    let (generator, heads) = far_away(|url, mut stream| match url {
        "http://images.example/v1/images/generations" => {
            answer_ok(stream, r#"{"data":[{"url":"http://cdn.example/a.png?sig=s"}]}"#);
        }
        _ => {
            let png = picture(8, 8, 4).encode_png().unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", png.len());
            let _ = stream.write_all(&[head.as_bytes(), &png].concat());
        }
    });
    let drawn = block_on(generator.generate_one(&GenerateRequest::new("a bee"))).unwrap();
    assert_eq!(drawn.image, picture(8, 8, 4));
    let heads: Vec<_> = heads.try_iter().collect();
    assert!(SECRETS.iter().all(|secret| heads[0].contains(secret)), "{}", heads[0]);
    assert!(heads[1].starts_with("GET http://cdn.example/a.png?sig=s "), "{}", heads[1]);
    assert!(!SECRETS.iter().any(|secret| heads[1].contains(secret)), "{}", heads[1]);
}

#[test]
fn a_link_from_elsewhere_to_this_machine_is_not_followed() {
    for link in [
        "http://127.0.0.1:9/a.png",
        "http://[::1]/a",
        "http://localhost/a",
        "http://10.0.0.1/a",
        "http://169.254.169.254/latest",
    ] {
        let (generator, heads) = far_away(move |_, stream| {
            answer_ok(stream, &json!({ "data": [{ "url": link }] }).to_string());
        });
        let error = block_on(generator.generate_one(&GenerateRequest::new("a bee"))).unwrap_err();
        assert!(error.to_string().ends_with("which is this machine or beside it"), "{error}");
        assert_eq!(heads.try_iter().count(), 1, "{link}");
    }
    let (generator, _heads) = far_away(move |_, stream| {
        answer_ok(stream, r#"{"data":[{"url":"file:///etc/passwd"}]}"#);
    });
    let error = block_on(generator.generate_one(&GenerateRequest::new("a bee"))).unwrap_err();
    assert!(error.to_string().ends_with("found the scheme \"file\""), "{error}");
}

#[test]
fn a_link_that_redirects_is_followed_and_the_key_stays() {
    let (generator, heads) = far_away(|url, mut stream| match url {
        "http://images.example/v1/images/generations" => {
            answer_ok(stream, r#"{"data":[{"url":"/a.png"}]}"#);
        }
        "http://images.example/a.png" => answer(stream, "302 Found", "location: b.png\r\n", ""),
        "http://images.example/b.png" => {
            answer(stream, "307 Temporary Redirect", "location: //cdn.example/c?sig=s\r\n", "");
        }
        "http://cdn.example/c?sig=s" => {
            answer(stream, "301 Moved", "location: http://images.example/d.png\r\n", "");
        }
        _ => {
            let png = picture(8, 8, 4).encode_png().unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", png.len());
            let _ = stream.write_all(&[head.as_bytes(), &png].concat());
        }
    });
    let drawn = block_on(generator.generate_one(&GenerateRequest::new("a bee"))).unwrap();
    assert_eq!(drawn.image, picture(8, 8, 4));
    let with_key: Vec<bool> = heads.try_iter().map(|head| head.contains(SECRETS[0])).collect();
    assert_eq!(with_key, [true, true, true, false, false]);
}

#[test]
fn a_link_that_redirects_to_where_no_link_may_lead_is_not_followed() {
    for (to, told) in [
        (
            "http://127.0.0.1:9/a.png",
            "http://127.0.0.1:9/a.png, which is this machine or beside it",
        ),
        ("http://169.254.169.254/latest", "http://169.254.169.254/latest, which is this machine"),
        ("file:///etc/passwd", "the scheme \"file\", to which http://cdn.example/a redirects"),
        ("http://cdn.example/a", "more than 5 redirections, the last to http://cdn.example/a"),
    ] {
        let (generator, heads) = far_away(move |url, stream| match url {
            "http://cdn.example/a" => {
                answer(stream, "302 Found", &format!("location: {to}\r\n"), "");
            }
            _ => answer_ok(stream, r#"{"data":[{"url":"http://cdn.example/a"}]}"#),
        });
        let error = block_on(generator.generate_one(&GenerateRequest::new("a bee"))).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert!(heads.try_iter().count() <= 7, "{to}");
    }
    // What is at the target is named.
    let (generator, _heads) = far_away(|url, stream| match url {
        "http://cdn.example/a" => answer(stream, "302 Found", "location: /gone?sig=s\r\n", ""),
        "http://cdn.example/gone?sig=s" => answer(stream, "410 Gone", "", "gone"),
        _ => answer_ok(stream, r#"{"data":[{"url":"http://cdn.example/a"}]}"#),
    });
    let error = block_on(generator.generate_one(&GenerateRequest::new("a bee"))).unwrap_err();
    let told = "answered 410: the picture at http://cdn.example/gone: gone";
    assert!(error.to_string().ends_with(told), "{error}");
}

#[test]
fn a_redirect_is_not_followed() {
    let (origin, heads) = raw_server(|_, _, stream| {
        answer(stream, "302 Found", "location: http://127.0.0.1:9/\r\n", "");
    });
    let generator = model(&origin, ImagesProfile::SelfHosted).build().unwrap();
    let error = block_on(generator.generate_one(&GenerateRequest::new("a bee"))).unwrap_err();
    assert!(matches!(error, Error::Service { status: 302, .. }), "{error}");
    assert_eq!(heads.try_iter().count(), 1);
}

#[test]
fn dropping_the_call_hangs_up() {
    let (hung_up, hang_up) = channel();
    let (origin, heads) = raw_server(move |_, _, mut stream| {
        let _ = hung_up.send(stream.read(&mut [0]).unwrap_or(0));
    });
    let generator = model(&origin, ImagesProfile::OpenAi).build().unwrap();
    let requests = [GenerateRequest::new("a bee")];
    let mut call = generator.generate(&requests);
    // The body is made on another thread, so the call is polled until it has arrived.
    let arrived = loop {
        assert!(call.as_mut().now_or_never().is_none());
        if let Ok(head) = heads.recv_timeout(Duration::from_millis(20)) {
            break head;
        }
    };
    assert!(arrived.starts_with("POST /v1/images/generations "), "{arrived}");
    drop(call);
    assert_eq!(hang_up.recv_timeout(Duration::from_secs(30)), Ok(0));
}

#[test]
fn a_service_that_hangs_is_left_after_the_timeout() {
    let (origin, _heads) = raw_server(|_, _, mut stream| {
        let _ = stream.read(&mut [0]);
    });
    let generator = model(&origin, ImagesProfile::OpenAi).timeout(Duration::from_millis(150));
    let request = GenerateRequest::new("a bee");
    let error = block_on(generator.build().unwrap().generate_one(&request)).unwrap_err();
    assert_eq!(error.to_string(), format!("m at {origin}/v1 took longer than 150ms"));
}

#[test]
fn previews_are_shown_while_the_service_still_draws() {
    let (shown, seen) = channel();
    let (tell, ready) = channel();
    let ready = Arc::new(Mutex::new(ready));
    let (origin, _heads) = raw_server(move |_, _, mut stream| {
        let part = json!({ "type": "image_generation.partial_image", "partial_image_index": 0,
            "b64_json": STANDARD.encode(picture(8, 8, 6).encode_png().unwrap()) });
        let last = json!({ "type": "image_generation.completed",
            "b64_json": STANDARD.encode(picture(8, 8, 3).encode_png().unwrap()) });
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        let _ = write!(stream, "{head}data: {part}\n\n");
        // The image is ready only when the preview was seen, and then the stream stays open.
        ready.lock().unwrap().recv_timeout(Duration::from_secs(60)).expect("a preview");
        let _ = write!(stream, "data: {last}\n\n");
        let _ = stream.read(&mut [0]);
    });
    let generator = model(&origin, ImagesProfile::OpenAi).build().unwrap();
    let progress = Progress::new(move |step| {
        let _ = shown.send((step.index, step.total, step.preview));
        let _ = tell.send(());
    });
    let request = GenerateRequest::new("a bee").with_progress(progress.with_previews_every(10));
    let drawn = block_on(generator.generate_one(&request)).unwrap();
    assert_eq!(drawn.image, picture(8, 8, 3));
    let seen: Vec<_> = seen.try_iter().collect();
    assert_eq!(seen, [(1, 2, Some(picture(8, 8, 6)))]);
}

/// No cassette has a key that is not made up.
#[test]
fn cassettes_hold_no_keys() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cassettes");
    let mut folders = vec![std::path::PathBuf::from(folder)];
    let mut scanned = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text =
                SECRETS.iter().fold(std::fs::read_to_string(&path).unwrap(), |text, secret| {
                    text.replace(secret, "")
                });
            for start in ["sk-", "AIza", "hf_", "Bearer "] {
                for (at, _) in text.match_indices(start) {
                    let behind = &text[at + start.len()..];
                    let length = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                    assert!(length.unwrap_or(0) < 16, "{}: {start}…", path.display());
                }
            }
            scanned += 1;
        }
    }
    assert!(scanned > 80, "only {scanned} cassettes");
}
