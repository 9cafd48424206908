//! `SdServer`: recorded exchanges, and jobs on a server that draws from what it was sent.

use std::collections::HashMap;
use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::executor::block_on;
use imagerag::conditioner::{ConditionRequest, Conditioner, Conditioning, InPrompt, MarkStyle};
use imagerag::generator::{
    GenerateRequest, ImagesProfile, OpenAiImages, References, SdServer, SdServerBuilder,
};
use imagerag::reference::{Caption, Reference};
use imagerag::testing::conformance;
use imagerag::{Error, Generator, GeneratorExt};
use serde_json::{Value, json};

use crate::cassette::{SECRETS, picture, play_all};
use crate::painter::painted;
use crate::support::{answer, raw_server};

fn build(origin: &str, settings: &Value) -> Arc<dyn Generator> {
    let text = |name: &str| settings[name].as_str();
    let mut builder = SdServer::builder()
        .base_url(origin.to_owned() + text("base_path").unwrap_or_default())
        .api_key(text("key").unwrap_or_default())
        .timeout(Duration::from_secs(60))
        .poll_interval(Duration::from_millis(2))
        .max_retries(settings["max_retries"].as_u64().unwrap_or(0) as u32)
        .first_wait(Duration::from_millis(2));
    if let Some(references) = text("references") {
        builder = builder.references(references.parse().unwrap());
    }
    if let Some(guidance) = text("guidance") {
        builder = builder.guidance(guidance.parse().unwrap());
    }
    if let Some(strength) = settings["ip_adapter_strength"].as_f64() {
        builder = builder.ip_adapter_strength(strength);
    }
    if let Some(sampler) = text("sampler") {
        builder = builder.sampler(sampler);
    }
    if let Some(scheduler) = text("scheduler") {
        builder = builder.scheduler(scheduler);
    }
    if let Some([name, weight]) = settings["lora"].as_array().map(Vec::as_slice) {
        builder = builder.lora(name.as_str().unwrap(), weight.as_f64().unwrap());
    }
    for (name, value) in settings["fields"].as_object().into_iter().flatten() {
        builder = builder.field(name, value.to_string());
    }
    Arc::new(builder.build().unwrap())
}

#[tokio::test]
async fn every_recorded_exchange_comes_out_as_recorded() {
    let played = play_all("sd_server", build).await;
    assert!(played >= 30, "only {played} cassettes");
}

fn server(origin: &str) -> SdServerBuilder {
    SdServer::builder()
        .base_url(origin)
        .api_key("")
        .timeout(Duration::from_secs(60))
        .poll_interval(Duration::from_millis(2))
        .max_retries(0)
}

/// A server whose jobs are answered by `state`, which has the body of the job. Gives its origin and what
/// arrives: the first line of each request.
fn jobs(state: impl Fn(&[u8]) -> Value + Clone + Send + 'static) -> (String, Receiver<String>) {
    let (sender, lines) = channel();
    let jobs: Arc<Mutex<HashMap<String, Vec<u8>>>> = Arc::default();
    let (origin, _heads) = raw_server(move |number, request, stream: TcpStream| {
        let line = request.head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
        let reply = match line.split_once("/sdcpp/v1/").unwrap().1 {
            "capabilities" => json!({ "supported_modes": ["img_gen"] }),
            "img_gen" => {
                let id = format!("job_{number}");
                jobs.lock().unwrap().insert(id.clone(), request.body.clone());
                json!({ "id": id, "status": "queued" })
            }
            job => {
                let id = job.split('/').nth(1).unwrap();
                state(&jobs.lock().unwrap()[id])
            }
        };
        let _ = sender.send(line);
        answer(stream, "200 OK", "", &reply.to_string());
    });
    (origin, lines)
}

fn completed(body: &[u8]) -> Value {
    json!({ "status": "completed", "result": { "images": [{ "index": 0, "b64_json": painted(body) }] } })
}

#[tokio::test]
async fn the_contract_of_generators_is_kept() {
    for references in [References::Auto, References::IpAdapter, References::RefImages] {
        let (origin, _lines) = jobs(completed);
        let generator = server(&origin).references(references).build().unwrap();
        conformance::generator(&generator).await;
        conformance::generator_with(&generator, &InPrompt::new(1).unwrap()).await;
    }
}

#[test]
fn the_capabilities_are_asked_for_once() {
    let (origin, lines) = jobs(completed);
    let generator = server(&origin).concurrency(4).build().unwrap();
    assert_eq!(lines.try_iter().count(), 0, "`build` sends nothing");
    let requests: Vec<_> = (0..6).map(|n| GenerateRequest::new("a bee").with_seed(n)).collect();
    let clone = generator.clone();
    block_on(futures::future::join(generator.generate(&requests), clone.generate(&requests)))
        .0
        .unwrap();
    let asked = lines.try_iter().filter(|line| line.contains("capabilities")).count();
    assert_eq!(asked, 1);
}

/// Polls `call` until `lines` has one that ends in `end`, and gives it.
fn until<F: Future + Unpin>(call: &mut F, lines: &Receiver<String>, end: &str) -> String {
    loop {
        assert!(call.now_or_never().is_none(), "it is not done");
        match lines.recv_timeout(Duration::from_millis(10)) {
            Ok(line) if line.contains(end) => return line,
            _ => {}
        }
    }
}

fn cancelled(lines: &Receiver<String>) -> String {
    loop {
        let line = lines.recv_timeout(Duration::from_secs(60)).expect("a call that cancels");
        if line.starts_with("POST ") && line.contains("/jobs/") {
            return line;
        }
    }
}

#[test]
fn dropping_the_call_cancels_the_job() {
    for state in ["queued", "generating"] {
        let (origin, lines) = jobs(move |_| json!({ "status": state, "queue_position": 1 }));
        let generator = server(&origin).build().unwrap();
        let requests = [GenerateRequest::new("a bee")];
        let mut call = generator.generate(&requests);
        let polled = until(&mut call, &lines, "/jobs/");
        drop(call);
        let expected = polled.replace("GET", "POST") + "/cancel";
        assert_eq!(cancelled(&lines), expected, "{state}");
    }
}

#[test]
fn dropping_the_call_before_the_job_is_known_cancels_it_too() {
    let (sender, lines) = channel();
    let (go_on, wait) = channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let (origin, _heads) = raw_server(move |_, request, stream| {
        let line = request.head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
        let is_submission = line.ends_with("/img_gen");
        let _ = sender.send(line);
        if is_submission {
            let _ = wait.lock().unwrap().recv_timeout(Duration::from_secs(60));
        }
        answer(stream, "202 Accepted", "", r#"{"id":"late","status":"queued"}"#);
    });
    let generator = server(&origin).build().unwrap();
    let requests = [GenerateRequest::new("a bee")];
    let mut call = generator.generate(&requests);
    until(&mut call, &lines, "/img_gen");
    drop(call);
    go_on.send(()).unwrap();
    assert_eq!(cancelled(&lines), "POST /sdcpp/v1/jobs/late/cancel");
}

#[test]
fn a_job_that_takes_too_long_is_cancelled() {
    let (origin, lines) = jobs(|_| json!({ "status": "generating" }));
    let generator = server(&origin).job_timeout(Duration::from_millis(50)).build().unwrap();
    let error = block_on(generator.generate_one(&GenerateRequest::new("a bee"))).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("an image of sd-server at {origin} took longer than 50ms")
    );
    cancelled(&lines);
}

#[test]
fn a_job_in_a_state_that_nobody_knows_is_not_waited_for() {
    for (state, told) in [
        (json!({ "status": "error", "error": "CUDA OOM" }), "\"error\": CUDA OOM"),
        (json!({ "status": "expired" }), "\"expired\": it does not say why"),
        (json!({ "status": "odd", "error": { "message": "no VRAM" } }), "\"odd\": no VRAM"),
        (json!({ "status": "on holiday" }), "\"on holiday\": it does not say why"),
    ] {
        let (origin, _lines) = jobs(move |_| state.clone());
        let generator = server(&origin).build().unwrap();
        let error = block_on(generator.generate_one(&GenerateRequest::new("a bee"))).unwrap_err();
        assert!(matches!(error, Error::Backend { .. }), "{error:?}");
        let said = error.chain().to_string();
        assert!(said.ends_with(&format!("the job's status is {told}")), "{said}");
    }
    let code = json!({ "status": "failed", "error": { "code": "content_policy_violation" } });
    for state in [json!({ "status": "Request Moderated" }), code] {
        let (origin, _lines) = jobs(move |_| state.clone());
        let generator = server(&origin).build().unwrap();
        let error = block_on(generator.generate_one(&GenerateRequest::new("a bee"))).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    }
    // States of others that are on the way, and one that nobody knows for a while.
    let polls = Arc::new(Mutex::new(0));
    let (origin, _lines) = jobs(move |body| {
        let mut polls = polls.lock().unwrap();
        *polls += 1;
        match *polls {
            1..=12 => json!({ "status": "In Progress" }),
            13..=15 => json!({ "status": "warming" }),
            _ => completed(body),
        }
    });
    let generator = server(&origin).build().unwrap();
    block_on(generator.generate_one(&GenerateRequest::new("a bee"))).unwrap();
}

#[test]
fn a_job_that_may_have_been_taken_is_not_submitted_again() {
    for (reply, submitted) in [("", 1), ("HTTP/1.1 429 Busy\r\ncontent-length: 0\r\n\r\n", 3)] {
        let (origin, heads) = raw_server(move |_, request, mut stream: TcpStream| {
            if request.head.contains("capabilities") {
                answer(stream, "200 OK", "", r#"{"supported_modes":["img_gen"]}"#);
            } else {
                let _ = stream.write_all(reply.as_bytes());
            }
        });
        let generator = server(&origin).max_retries(2).first_wait(Duration::from_millis(1));
        let generator = generator.build().unwrap();
        block_on(generator.generate_one(&GenerateRequest::new("a bee"))).unwrap_err();
        let count = heads.try_iter().filter(|head| head.contains("img_gen")).count();
        assert_eq!(count, submitted, "{reply}");
    }
}

#[test]
fn a_job_that_is_over_is_not_cancelled() {
    let (origin, lines) = jobs(completed);
    let generator = server(&origin).build().unwrap();
    block_on(generator.generate_one(&GenerateRequest::new("a bee"))).unwrap();
    // Whatever the first had left behind would arrive before the second is done.
    block_on(generator.generate_one(&GenerateRequest::new("a bee"))).unwrap();
    assert!(!lines.try_iter().any(|line| line.ends_with("/cancel")));
}

#[test]
fn a_server_that_forgot_a_job_is_asked_anew_what_it_can_do() {
    let (sender, lines) = channel();
    let (origin, _heads) = raw_server(move |_, request, stream| {
        let line = request.head.lines().next().unwrap().to_owned();
        let status = if line.contains("/jobs/") { "404 Not Found" } else { "200 OK" };
        let _ = sender.send(line);
        answer(stream, status, "", r#"{"id":"j","error_":"job not found"}"#);
    });
    let generator = server(&origin).build().unwrap();
    for _ in 0..2 {
        let error = block_on(generator.generate_one(&GenerateRequest::new("a bee"))).unwrap_err();
        assert!(matches!(error, Error::Service { status: 404, .. }), "{error}");
    }
    let lines: Vec<_> = lines.try_iter().collect();
    assert_eq!(lines.iter().filter(|line| line.contains("capabilities")).count(), 2, "{lines:?}");
}

#[test]
fn the_prompt_names_references_as_the_model_reads_them() {
    let reference = Reference::new(picture(8, 8, 1), Caption::concept("a quetzal"));
    let prompt = |references: References, conditioner: InPrompt| {
        let generator = server("http://localhost:1").references(references).build().unwrap();
        let mut request = ConditionRequest::new("a forest", [reference.clone()]);
        request.image_mark = generator.image_mark().map(str::to_owned);
        block_on(conditioner.condition(&request)).unwrap().prompt
    };
    let in_prompt = || InPrompt::new(1).unwrap();
    let unnamed = "According to these examples of a quetzal, generate a forest";
    assert_eq!(prompt(References::IpAdapter, in_prompt()), unnamed);
    assert_eq!(prompt(References::Auto, in_prompt()), unnamed);
    assert_eq!(
        prompt(References::RefImages, in_prompt()),
        "According to these examples of a quetzal: image 1, generate a forest"
    );
    assert_eq!(
        prompt(References::RefImages, in_prompt().with_mark(MarkStyle::Picture)),
        "According to these examples of a quetzal: Picture 1, generate a forest"
    );
}

#[test]
fn settings_out_of_range_are_named() {
    let build = || server("http://localhost:1");
    for (builder, told) in [
        (build().concurrency(0), "requests at a time: expected at least 1, found 0"),
        (build().max_reference_pixels(0), "pixels of a reference: expected at least 1, found 0"),
        (
            build().ip_adapter_strength(-1.0),
            "strength of the IP-Adapter: expected a finite number of at least 0, found -1",
        ),
        (
            build().lora("ink", f64::NAN),
            "weight of the LoRA \"ink\": expected a finite number, found NaN",
        ),
        (build().job_timeout(Duration::ZERO), "job time-out: expected more than 0 s, found 0 s"),
        (build().poll_interval(Duration::ZERO), "poll interval: expected more than 0 s, found 0 s"),
        (build().timeout(Duration::ZERO), "timeout: expected more than 0 s, found 0 s"),
    ] {
        assert_eq!(builder.build().unwrap_err().to_string(), told);
    }
    let error = build().field("hires", "{").build().unwrap_err().to_string();
    assert!(error.starts_with("field \"hires\": expected a JSON value"), "{error}");
    let builder = build().api_key(SECRETS[0]).header("x-tenant", SECRETS[1]);
    let told = format!("{builder:?} {:?}", builder.clone().build().unwrap());
    assert!(SECRETS.iter().all(|secret| !told.contains(secret)), "{told}");
}

/// Against a real server, with any model that draws 64 x 64 pixels.
#[test]
fn a_real_server_draws_and_repeats() {
    let Ok(origin) = std::env::var("IMAGERAG_TEST_SD_SERVER") else {
        eprintln!("skipped: set IMAGERAG_TEST_SD_SERVER to the address of an sd-server");
        return;
    };
    let generator = SdServer::builder().base_url(origin).build().unwrap();
    let request = GenerateRequest::new("a bee").with_seed(7).with_size(64, 64).with_steps(2);
    let draw = |request: &GenerateRequest| block_on(generator.generate_one(request)).unwrap().image;
    let first = draw(&request);
    assert_eq!((first.width(), first.height()), (64, 64));
    assert_eq!(draw(&request), first, "the same seed");
    assert_ne!(draw(&request.clone().with_seed(8)), first, "another seed");
    let mut other = request.clone();
    other.prompt = "a car on a beach".into();
    assert_ne!(draw(&other), first, "another prompt");
    let wrong = SdServer::builder().base_url(std::env::var("IMAGERAG_TEST_SD_SERVER").unwrap());
    let wrong = wrong.sampler("no such sampler").build().unwrap();
    let error = block_on(wrong.generate_one(&request)).unwrap_err();
    assert!(error.to_string().starts_with("sampler: expected "), "{error}");
    let images = Conditioning::Images(vec![picture(40, 30, 1)]);
    let drawn = block_on(generator.generate_one(&request.with_conditioning(images))).unwrap();
    assert!(drawn.note.is_none_or(|note| note.contains("reference")));
}

/// The same server by its compatible interface: the arguments within the prompt are those of a job.
#[test]
fn a_real_server_draws_the_same_by_its_compatible_interface() {
    let Ok(origin) = std::env::var("IMAGERAG_TEST_SD_SERVER") else {
        eprintln!("skipped: set IMAGERAG_TEST_SD_SERVER to the address of an sd-server");
        return;
    };
    let compatible = OpenAiImages::builder("sd-cpp-local").base_url(format!("{origin}/v1"));
    let compatible = compatible.timeout(Duration::from_secs(3600)).build().unwrap();
    assert_eq!(compatible.profile(), ImagesProfile::SdServer);
    let request = GenerateRequest::new("a bee")
        .with_negative_prompt("blur")
        .with_seed(7)
        .with_size(64, 64)
        .with_steps(1)
        .with_guidance_scale(4.0);
    let native = SdServer::builder().base_url(origin).build().unwrap();
    let native = block_on(native.generate_one(&request)).unwrap().image;
    assert_eq!(block_on(compatible.generate_one(&request)).unwrap().image, native);
}
