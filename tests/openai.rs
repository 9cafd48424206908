//! Recorded exchanges of every dialect, and services that misbehave, to replies and errors.
//!
//! A cassette in `tests/cassettes/` holds the conversation, the request that must arrive (pictures
//! as `<jpeg WIDTHxHEIGHT>`), the service's answer, and the reply or error that must come of it.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use futures::executor::block_on;
use imagerag::vlm::{ChatReply, ChatRequest, Message, OpenAiVlm, OpenAiVlmBuilder, Role, Vlm};
use imagerag::{Error, Image, Result};
use serde_json::{Value, json};
use support::{answer, raw_server};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

const KEY: &str = "sk-proj-3xAmPl3";

fn picture(width: u32, height: u32) -> Image {
    let pixels = (0..3 * width * height).map(|i| (i * 7 % 251) as u8).collect::<Vec<_>>();
    Image::new(width, height, pixels).unwrap()
}

fn conversation(cassette: &Value) -> ChatRequest {
    let messages = cassette["messages"].as_array().unwrap().iter().map(|message| {
        let images = message["images"].as_array().unwrap().iter();
        let side = |size: &Value, i: usize| size[i].as_u64().unwrap() as u32;
        let mut built = Message::user(message["text"].as_str().unwrap())
            .with_images(images.map(|size| picture(side(size, 0), side(size, 1))));
        built.role = serde_json::from_value::<Role>(message["role"].clone()).unwrap();
        built
    });
    let mut request = ChatRequest::new(messages.collect());
    request.temperature = cassette["temperature"].as_f64().unwrap();
    request.max_tokens = cassette["max_tokens"].as_u64().map(|tokens| tokens as u32);
    request
}

/// The body with every JPEG data URL replaced by the size of its picture.
fn with_sizes(mut body: Value) -> Value {
    for message in body["messages"].as_array_mut().unwrap() {
        for part in message["content"].as_array_mut().into_iter().flatten() {
            let Some(url) = part["image_url"]["url"].as_str() else { continue };
            let jpeg = url.strip_prefix("data:image/jpeg;base64,").expect("a JPEG data URL");
            let jpeg = STANDARD.decode(jpeg).unwrap();
            assert_eq!(jpeg[..3], [0xff, 0xd8, 0xff], "the start of a JPEG");
            let picture = Image::decode(&jpeg).unwrap();
            let size = format!("<jpeg {}x{}>", picture.width(), picture.height());
            part["image_url"]["url"] = size.into();
        }
    }
    body
}

fn recorded_answer(response: &Value) -> ResponseTemplate {
    let mut template = ResponseTemplate::new(response["status"].as_u64().unwrap() as u16);
    let body = match response["text"].as_str() {
        Some(text) => text.to_owned(),
        None => response["body"].to_string(),
    };
    let kind = response["headers"]["content-type"].as_str();
    template = match kind {
        Some(kind) => template.set_body_raw(body, kind),
        None => template.set_body_bytes(body),
    };
    for (name, value) in response["headers"].as_object().into_iter().flatten() {
        template = template.insert_header(name.as_str(), value.as_str().unwrap());
    }
    template
}

async fn play(name: &str, cassette: &Value) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(recorded_answer(&cassette["response"])).mount(&server).await;

    let mut builder = OpenAiVlm::builder(cassette["model"].as_str().unwrap())
        .base_url(server.uri() + cassette["base_path"].as_str().unwrap())
        .api_key(cassette["key"].as_str().unwrap_or_default())
        .max_retries(0);
    let settings = &cassette["settings"];
    builder = builder.max_completion_tokens(settings["max_completion_tokens"] == true);
    builder = builder.send_temperature(settings["send_temperature"] != false);
    builder = builder.adapt_parameters(settings["adapt_parameters"] != false);
    if let Some(field) = settings["field"].as_array() {
        builder = builder.field(field[0].as_str().unwrap(), field[1].as_str().unwrap());
    }
    let vlm = builder.build().unwrap();
    let outcome = vlm.chat(&conversation(&cassette["conversation"])).await;

    // 1. What arrived.
    let requests = server.received_requests().await.unwrap();
    let [request] = &requests[..] else { panic!("{name}: {} requests", requests.len()) };
    let expected = &cassette["request"];
    assert_eq!(request.method.as_str(), "POST", "{name}");
    assert_eq!(request.url.path(), expected["path"], "{name}");
    let header = |header| request.headers.get(header).map(|value| value.to_str().unwrap());
    assert_eq!(header("authorization"), expected["authorization"].as_str(), "{name}");
    assert_eq!(header("content-type"), Some("application/json"), "{name}");
    assert_eq!(header("user-agent"), Some("imagerag/0.1.0"), "{name}");
    let body = with_sizes(serde_json::from_slice(&request.body).unwrap());
    assert_eq!(body, expected["body"], "{name}");

    // 2. What came of the answer.
    if let Some(expected) = cassette.get("reply") {
        let reply = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        let usage = reply.usage.map(|usage| [usage.prompt_tokens, usage.completion_tokens]);
        let (text, refusal, model) = (reply.text, reply.refusal, reply.model);
        let found = json!({ "text": text, "refusal": refusal, "model": model, "usage": usage });
        assert_eq!(&found, expected, "{name}");
    } else {
        let error = outcome.expect_err(name);
        let expected = cassette["error"].as_str().unwrap().replace("{origin}", &server.uri());
        assert_eq!(error.chain().to_string(), expected, "{name}");
        if let Some(asked) = cassette["retry_after"].as_f64() {
            let asked = Some(Duration::from_secs_f64(asked));
            assert!(matches!(error, Error::Service { retry_after, .. } if retry_after == asked));
        }
    }
}

#[tokio::test]
async fn every_recorded_exchange_comes_out_as_recorded() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cassettes");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue; // Those of other services.
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let cassette = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        play(&name, &cassette).await;
        played += 1;
    }
    assert!(played >= 30, "only {played} cassettes");
}

fn question() -> ChatRequest {
    ChatRequest::new(vec![Message::user("Is this a cradle?").with_images([picture(8, 8)])])
}

/// A model at `origin`, impatient and with a key.
fn impatient(origin: &str) -> OpenAiVlmBuilder {
    OpenAiVlm::builder("test-model")
        .base_url(format!("{origin}/v1"))
        .api_key(KEY)
        .timeout(Duration::from_secs(20))
        .first_wait(Duration::from_millis(5))
}

fn ask(builder: OpenAiVlmBuilder) -> Result<ChatReply> {
    block_on(builder.build()?.chat(&question()))
}

const YES: &str = r#"{"choices":[{"message":{"content":"yes"}}]}"#;

#[test]
fn needs_no_runtime_of_the_caller() {
    let (origin, heads) = raw_server(|_, _, stream| answer(stream, "200 OK", "", YES));
    assert_eq!(ask(impatient(&origin)).unwrap().text, "yes");
    let head = heads.recv().unwrap();
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
}

#[test]
fn works_within_a_runtime_that_has_neither_network_nor_clock() {
    let (origin, _heads) = raw_server(|_, _, stream| answer(stream, "200 OK", "", YES));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let vlm = impatient(&origin).build().unwrap();
    assert_eq!(runtime.block_on(vlm.chat(&question())).unwrap().text, "yes");
    // The connection pool outlives the runtime of the first caller.
    drop(runtime);
    assert_eq!(block_on(vlm.chat(&question())).unwrap().text, "yes");
}

#[test]
fn passing_faults_are_tried_again() {
    let (origin, heads) = raw_server(|number, _, stream| match number {
        0 => answer(stream, "500 Internal Server Error", "", "oops"),
        1 => answer(stream, "503 Service Unavailable", "retry-after: 0\r\n", ""),
        _ => answer(stream, "200 OK", "", YES),
    });
    assert_eq!(ask(impatient(&origin)).unwrap().text, "yes");
    assert_eq!(heads.try_iter().count(), 3);
}

#[test]
fn retry_after_is_honoured() {
    let (origin, _heads) = raw_server(|number, _, stream| match number {
        0 => answer(stream, "429 Too Many Requests", "retry-after-ms: 150\r\n", ""),
        _ => answer(stream, "200 OK", "", YES),
    });
    let begin = Instant::now();
    assert_eq!(ask(impatient(&origin)).unwrap().text, "yes");
    assert!(begin.elapsed() >= Duration::from_millis(150));
}

#[test]
fn a_wait_that_is_too_long_is_the_callers_to_decide() {
    let (origin, heads) = raw_server(|_, _, stream| {
        answer(stream, "429 Too Many Requests", "retry-after: 90\r\n", r#"{"error":"slow down"}"#);
    });
    let error = ask(impatient(&origin)).unwrap_err();
    let Error::Service { status: 429, message, retry_after, .. } = error else { panic!("{error}") };
    assert_eq!((message.as_str(), retry_after), ("slow down", Some(Duration::from_secs(90))));
    assert_eq!(heads.try_iter().count(), 1);
}

#[test]
fn a_refused_key_is_not_tried_again() {
    let (origin, heads) =
        raw_server(|_, _, stream| answer(stream, "401 Unauthorized", "", r#"{"error":"no"}"#));
    let error = ask(impatient(&origin)).unwrap_err();
    assert!(matches!(error, Error::Service { status: 401, .. }), "{error}");
    assert_eq!(heads.try_iter().count(), 1);
}

#[test]
fn a_body_that_breaks_off_is_a_broken_connection() {
    let (origin, heads) = raw_server(|number, _, mut stream| {
        if number == 0 {
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{YES}");
        } else {
            answer(stream, "200 OK", "", YES);
        }
    });
    let error = ask(impatient(&origin).max_retries(0)).unwrap_err();
    assert!(matches!(error, Error::Connection { .. }), "{error:?}");
    assert!(error.is_transient());
    assert_eq!(ask(impatient(&origin)).unwrap().text, "yes");
    assert_eq!(heads.try_iter().count(), 2);
}

#[test]
fn a_connection_closed_without_an_answer_is_tried_again() {
    let (origin, _heads) = raw_server(|number, _, stream| {
        if number > 0 {
            answer(stream, "200 OK", "", YES);
        }
    });
    assert_eq!(ask(impatient(&origin)).unwrap().text, "yes");
}

#[test]
fn a_service_that_hangs_is_left_after_the_timeout() {
    let hang = |_: usize, _: &support::Request, mut stream: std::net::TcpStream| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{{");
        // Until the client hangs up.
        let _ = stream.read(&mut [0]);
    };
    let (origin, _heads) = raw_server(hang);
    let limit = Duration::from_millis(200);
    let begin = Instant::now();
    let error = ask(impatient(&origin).timeout(limit).max_retries(1)).unwrap_err();
    assert_eq!(
        error.chain().to_string(),
        format!("test-model at {origin}/v1 took longer than 200ms")
    );
    let took = begin.elapsed();
    assert!(took >= 2 * limit, "a time-out is tried again, but gave up after {took:?}");
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn dropping_the_call_hangs_up() {
    let (hung_up, hang_up) = channel();
    let (origin, heads) = raw_server(move |_, _, mut stream| {
        let _ = hung_up.send(stream.read(&mut [0]).unwrap_or(0));
    });
    let vlm = impatient(&origin).build().unwrap();
    let question = question();
    let mut call = vlm.chat(&question);
    assert!(call.as_mut().now_or_never().is_none());
    heads.recv_timeout(Duration::from_secs(10)).expect("the request arrived");
    drop(call);
    assert_eq!(hang_up.recv_timeout(Duration::from_secs(10)), Ok(0));
}

#[test]
fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = ask(impatient(&origin)).unwrap_err();
    assert_eq!(error.to_string(), format!("test-model at {origin}/v1 could not be reached"));
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("refused"), "{source}");
}

#[test]
fn an_endless_body_is_not_read_to_its_end() {
    let endless = |status: &'static str| {
        raw_server(move |_, _, mut stream| {
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\n\r\n");
            while stream.write_all(&[b'a'; 1 << 16]).is_ok() {}
        })
    };
    let (origin, _heads) = endless("200 OK");
    let error = ask(impatient(&origin)).unwrap_err();
    assert!(
        error.chain().to_string().ends_with("found a body of more than 8388608 bytes"),
        "{error}"
    );
    let (origin, _heads) = endless("400 Bad Request");
    let error = ask(impatient(&origin)).unwrap_err();
    let Error::Service { status: 400, message, .. } = error else { panic!("{error}") };
    assert_eq!(message.chars().count(), 501);
}

#[test]
fn a_temperature_is_sent_as_it_is_asked_for() {
    let (sender, temperatures) = channel();
    let (origin, _heads) = raw_server(move |_, request, stream| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let _ = sender.send(body["temperature"].as_f64().unwrap());
        answer(stream, "200 OK", "", YES);
    });
    let vlm = impatient(&origin).build().unwrap();
    let mut request = question();
    for temperature in [0.0, 0.2, 0.7, 1.5] {
        request.temperature = temperature;
        block_on(vlm.chat(&request)).unwrap();
        assert_eq!(temperatures.recv().unwrap(), temperature);
    }
}

#[test]
fn no_secret_shows_anywhere() {
    let echo = |_: usize, request: &support::Request, stream: std::net::TcpStream| {
        answer(stream, "403 Forbidden", "", &format!("you sent {}", request.head));
    };
    let (origin, heads) = raw_server(echo);
    let login = origin.replace("http://", "http://user:p%40ssword@");
    let builder = |origin: &str| {
        OpenAiVlm::builder("m")
            .base_url(format!("{origin}/v1?key=AIzaQuerySecret"))
            .header("api-key", "azure-secret")
            .header("x-auth", "Token deep-secret")
            .max_retries(0)
    };
    for builder in [builder(&origin).api_key(KEY), builder(&login).api_key("")] {
        let mut seen = format!("{builder:?}");
        let vlm = builder.build().unwrap();
        let error = block_on(vlm.chat(&question())).unwrap_err();
        seen += &format!("{vlm} {vlm:?} {vlm:#?} {error} {error:?}");
        assert!(seen.contains("[redacted]"), "{seen}");
        assert!(!seen.contains("base64"), "no picture in {seen}");
        let basic = STANDARD.encode("user:p@ssword");
        let secrets =
            [KEY, "AIzaQuerySecret", "azure-secret", "deep-secret", "ssword", basic.as_str()];
        for secret in secrets {
            assert!(!seen.contains(secret), "{secret} in {seen}");
        }
    }
    // They are sent, though.
    let (first, second) = (heads.recv().unwrap(), heads.recv().unwrap());
    assert!(first.contains(&format!("authorization: Bearer {KEY}")), "{first}");
    assert!(first.contains("?key=AIzaQuerySecret") && first.contains("api-key: azure-secret"));
    assert!(second.contains("authorization: Basic "), "{second}");
}

#[test]
fn settings_are_checked_before_anything_is_sent() {
    let model = || OpenAiVlm::builder("m").api_key("");
    let message = |builder: OpenAiVlmBuilder| builder.build().unwrap_err().chain().to_string();
    assert_eq!(message(OpenAiVlm::builder(" ")), "model: expected a name, found \" \"");
    assert_eq!(
        message(model().base_url("localhost:8000/v1")),
        "base_url: expected an http(s) URL, found the scheme \"localhost\""
    );
    assert_eq!(
        message(model().base_url("/v1")),
        "base_url: expected an http(s) URL, found relative URL without a base"
    );
    assert_eq!(
        message(model().api_key("sk-two\nlines")),
        "API key: expected visible characters on one line, found others among them"
    );
    assert_eq!(
        message(model().header("a b", "c")),
        "header: expected a header's name, found header \"a b\""
    );
    assert!(message(model().field("seed", "{")).starts_with("field \"seed\": expected a JSON"));
    assert_eq!(
        message(model().timeout(Duration::ZERO)),
        "timeout: expected more than 0 s, found 0 s"
    );
    assert_eq!(
        message(model().max_image_side(0)),
        "longest image side: expected at least 1 pixel, found 0"
    );
    assert_eq!(message(model().jpeg_quality(101)), "JPEG quality: expected 1 to 100, found 101");
    for base in ["http://h/v1", "http://h/v1/", "http://h/v1/chat/completions", " https://h "] {
        assert!(model().base_url(base).build().is_ok(), "{base}");
    }
}
