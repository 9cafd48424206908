//! `RemoteEmbedder` in the form of every service, against servers of this process: what arrives, what is
//! made of answers, and what becomes of services that misbehave.
//!
//! A cassette in `tests/cassettes/embedders/` holds exchanges with one service: the inputs, the request
//! that must arrive (pictures as `<jpeg WIDTHxHEIGHT>`), the answer, and the embeddings or the error that
//! must come of it. `tests/fixtures/make_embedder_cassettes.py` writes them.

#[path = "support/embeddings.rs"]
mod embeddings;
mod support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use embeddings::{APIS, Asked, DIM, Fake, Input, KEY, error};
use futures::executor::block_on;
use imagerag::embedder::{
    Embedded, Embedder, EmbedderExt, EmbeddingApi, RemoteEmbedder, RemoteEmbedderBuilder,
};
use imagerag::testing::{conformance, solid};
use imagerag::{Error, Image, Result, Usage};
use serde_json::{Value, json};
use support::{answer, raw_server};

#[test]
fn every_form_keeps_the_contract() {
    for api in APIS {
        let fake = Fake::new(api);
        let embedder = block_on(fake.builder().connect()).unwrap();
        assert_eq!(embedder.dim(), DIM, "{api}");
        block_on(conformance::embedder(&embedder));
        // Also in batches of one and two, and where the dimension is given and nothing asked for.
        for batch in [1, 2] {
            let embedder = fake.builder().max_batch(batch).dim(DIM).build().unwrap();
            block_on(conformance::embedder(&embedder));
        }
    }
}

/// `body` with every picture in it replaced by its kind and size.
fn with_sizes(body: &mut Value) {
    match body {
        Value::String(text) => {
            let (kind, data) = match text.strip_prefix("data:image/jpeg;base64,") {
                Some(data) => ("jpeg", data),
                None if text.starts_with("/9j/") => ("base64", &**text), // The start of a JPEG.
                None => return,
            };
            let picture = Image::decode(&STANDARD.decode(data).unwrap()).unwrap();
            *text = format!("<{kind} {}x{}>", picture.width(), picture.height());
        }
        Value::Array(all) => all.iter_mut().for_each(with_sizes),
        Value::Object(fields) => fields.values_mut().for_each(with_sizes),
        _ => {}
    }
}

fn play(cassette: &Value, exchange: &Value) {
    let (sender, requests) = channel();
    let response = exchange["response"].clone();
    let body = response["text"].as_str().map_or(response["body"].to_string(), str::to_owned);
    let headers = response["headers"].as_object().into_iter().flatten();
    let headers: String =
        headers.map(|(name, value)| format!("{name}: {}\r\n", value.as_str().unwrap())).collect();
    let (origin, _heads) = raw_server(move |_, request, stream| {
        let _ = sender.send((request.head.clone(), request.body.clone()));
        answer(stream, &format!("{} Status", response["status"]), &headers, &body);
    });
    let name = format!("{}: {}", cassette["api"], exchange["about"]);
    let api = APIS.into_iter().find(|api| format!("{api:?}") == cassette["api"]);
    let embedder = RemoteEmbedder::builder(cassette["model"].as_str().unwrap())
        .api(api.unwrap())
        .base_url(origin.clone() + cassette["base_path"].as_str().unwrap())
        .api_key(cassette["key"].as_str().unwrap())
        .dimensions(cassette["dimensions"].as_u64().unwrap() as usize)
        .max_retries(0)
        .build()
        .unwrap();
    let outcome = if let Some(texts) = exchange["texts"].as_array() {
        let texts: Vec<&str> = texts.iter().map(|text| text.as_str().unwrap()).collect();
        block_on(embedder.embed_texts(&texts))
    } else {
        let side = |size: &Value, at: usize| size[at].as_u64().unwrap() as u32;
        let images = exchange["images"].as_array().unwrap().iter();
        let images: Vec<_> = images.map(|s| solid(side(s, 0), side(s, 1), [9, 99, 199])).collect();
        block_on(embedder.embed_images(&images))
    };

    // 1. What arrived.
    let expected = &exchange["request"];
    let (head, body) = requests.try_recv().expect("a request");
    let line = format!("POST {} HTTP/1.1\r\n", expected["path"].as_str().unwrap());
    assert!(head.starts_with(&line), "{name}: {head}");
    for (header, value) in expected["headers"].as_object().unwrap() {
        let line = format!("\r\n{header}: {}\r\n", value.as_str().unwrap());
        assert!(head.contains(&line), "{name}: {head}");
    }
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    with_sizes(&mut body);
    assert_eq!(body, expected["body"], "{name}");
    let further = requests.try_iter().count();
    assert_eq!(further > 0, exchange["halved"] == true, "{name}: {further} more requests");

    // 2. What came of the answer.
    if let Some(reply) = exchange.get("reply") {
        let found = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        let values: Vec<_> = found.iter().map(|one| one.values().to_vec()).collect();
        let expected: Vec<Vec<f32>> = serde_json::from_value(reply["embeddings"].clone()).unwrap();
        assert_eq!(values, expected, "{name}");
        let tokens = reply["tokens"].as_u64().unwrap();
        assert_eq!(found.usage, Some(Usage::tokens(tokens, 0)), "{name}");
    } else {
        let error = outcome.expect_err(&name);
        let told = error.chain().to_string();
        match exchange["error"].as_str() {
            Some(expected) => assert_eq!(told, expected.replace("{origin}", &origin), "{name}"),
            None => {
                let part = exchange["error_contains"].as_str().unwrap();
                assert!(told.contains(part), "{name}: {told}");
            }
        }
        assert!(!told.contains(KEY), "{name}: {told}");
        if let Some(asked) = exchange["retry_after"].as_f64() {
            let asked = Some(Duration::from_secs_f64(asked));
            assert!(matches!(error, Error::Service { retry_after, .. } if retry_after == asked));
        }
    }
}

#[test]
fn every_recorded_exchange_comes_out_as_recorded() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cassettes/embedders");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let cassette = std::fs::read(entry.unwrap().path()).unwrap();
        let cassette: Value = serde_json::from_slice(&cassette).unwrap();
        for exchange in cassette["exchanges"].as_array().unwrap() {
            play(&cassette, exchange);
            played += 1;
        }
    }
    assert!(played >= 60, "only {played} exchanges");
}

/// What a service that answers with `body` makes of two texts.
fn read(body: &str) -> Result<Embedded> {
    let body = body.to_owned();
    let (origin, _) = raw_server(move |_, _, stream| answer(stream, "200 OK", "", &body));
    let builder = RemoteEmbedder::builder("m").api(EmbeddingApi::OpenAi).base_url(origin);
    let embedder = builder.api_key("").dim(2).max_retries(0).build()?;
    block_on(embedder.embed_texts(&["a", "b"]))
}

#[test]
fn vectors_are_read_in_every_form() {
    let bytes: Vec<u8> = [3.0_f32, -4.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let base64 = [STANDARD.encode(&bytes), STANDARD_NO_PAD.encode(&bytes), URL_SAFE.encode(&bytes)];
    for [first, second] in [
        ["[3, -4]", "[0, 2]"].map(str::to_owned),
        ["[3e0, -4.0]", "[0.0, 2]"].map(str::to_owned),
        [r#"["3", "-4.0"]"#, r#"["0", " 2 "]"#].map(str::to_owned),
        ["[[3, -4]]", "[[0, 2]]"].map(str::to_owned),
        [r#"{"float": [3, -4]}"#, r#"{"float": [0, 2]}"#].map(str::to_owned),
        [format!("{:?}", base64[0]), "[0, 2]".into()],
        [format!("{:?}", base64[1]), "[0, 2]".into()],
        [format!("{:?}", base64[2]), "[0, 2]".into()],
        [format!(r#"[{:?}]"#, base64[0]), "[0, 2]".into()],
    ] {
        let entry = |index: &str, vector: &str| format!(r#"{{{index}"embedding": {vector}}}"#);
        let in_order = [entry("", &first), entry("", &second)].join(",");
        let turned =
            [entry(r#""index": 1, "#, &second), entry(r#""index": 0, "#, &first)].join(",");
        let as_text = [entry(r#""index": "1", "#, &second), entry("", &first)].join(",");
        for body in [
            format!(r#"{{"data": [{in_order}]}}"#),
            format!(r#"{{"object": "list", "data": [{turned}]}}"#),
            format!(r#"{{"data": [{as_text}]}}"#),
            format!(r#"{{"embeddings": [{first}, {second}]}}"#),
            format!(r#"{{"embeddings": {{"float": [{first}, {second}]}}}}"#),
            format!(r#"{{"embeddings": [{{"values": {first}}}, {{"values": {second}}}]}}"#),
            format!("[{first}, {second}]"),
            format!("[{in_order}]"),
            format!("data: {{\"data\": [{in_order}]}}\n\ndata: [DONE]\n\n"),
        ] {
            let found = read(&body).unwrap_or_else(|error| panic!("{body}: {error}"));
            let values: Vec<_> = found.iter().map(|one| one.values().to_vec()).collect();
            assert_eq!(values, [[0.6, -0.8], [0.0, 1.0]], "{body}");
            assert_eq!(found.usage, None);
        }
    }
    let typed = format!(r#"{{"embeddings": {{"base64": [{:?}, {:?}]}}}}"#, base64[0], base64[0]);
    assert_eq!(read(&typed).unwrap()[1].values(), [0.6, -0.8]);
}

#[test]
fn what_is_no_embedding_for_each_input_is_a_clear_error() {
    let data = |entries: &str| format!(r#"{{"data": [{entries}]}}"#);
    let good = r#"{"index": 0, "embedding": [3, 4]}"#;
    let second = |vector: &str| data(&format!(r#"{good}, {{"index": 1, "embedding": {vector}}}"#));
    for (body, told) in [
        (data(""), "expected 2 embeddings, one for each input, found 0"),
        (data(good), "expected 2 embeddings, one for each input, found 1"),
        (data(&[good; 3].join(",")), "expected 2 embeddings, one for each input, found 3"),
        (data(&[good; 2].join(",")), "found two with the index 0"),
        (
            data(&[good, r#"{"index": 2, "embedding": [3, 4]}"#].join(",")),
            "found the index 2 of 2, counted from 0",
        ),
        (second("[3, 4, 5]"), "expected 2 values an embedding, found 3 for input 2 of 2"),
        (second("[]"), "expected 2 values an embedding, found 0 for input 2 of 2"),
        (second("[NaN, 1]"), "expected a list of numbers, found null for input 2 of 2"),
        (second("[0, 0.0]"), "found embedding: expected finite values that are not all 0"),
        (second("[1e39, 1]"), "expected finite values that are not all 0"),
        (second(r#"["Infinity", 1]"#), "expected finite values that are not all 0"),
        (second("null"), "expected a list of numbers, found"),
        (second("\"AAA\""), "found 2 bytes in base64, no multiple of 4 for input 2 of 2"),
        (second("\"????\""), "found a text that is no base64"),
        (
            second("[[1, 2], [3, 4]]"),
            "expected a list of numbers, found 2 vectors for input 2 of 2",
        ),
        (second("[true, 1]"), "expected a list of numbers, found true for input 2 of 2"),
        ("{}".into(), "expected a list of embeddings, found {}"),
        (r#"{"data": "later"}"#.into(), "expected a list of embeddings"),
        ("<html><title>Hello</title></html>".into(), "an HTML page titled \"Hello\""),
    ] {
        let error = read(&body).unwrap_err();
        assert!(matches!(error, Error::InvalidReply { .. }), "{body}: {error:?}");
        assert!(error.to_string().contains(told), "{body}: {error}");
    }
    let error = read(r#"{"error": {"message": "no such model"}}"#).unwrap_err();
    assert!(error.to_string().ends_with("answered 200: no such model"), "{error}");
}

#[test]
fn the_dimension_is_that_of_the_first_answer_and_checked_ever_after() {
    let dims = Arc::new(AtomicUsize::new(3));
    let served = Arc::clone(&dims);
    let (origin, heads) = raw_server(move |_, _, stream| {
        let vector = vec![1; served.load(Ordering::SeqCst)];
        answer(stream, "200 OK", "", &json!({ "data": [{ "embedding": vector }] }).to_string());
    });
    let builder = || RemoteEmbedder::builder("m").base_url(&origin).api_key("");
    let embedder = block_on(builder().connect()).unwrap();
    assert_eq!(embedder.dim(), 3);
    assert_eq!(heads.try_iter().count(), 1);
    assert_eq!(block_on(embedder.embed_text("a")).unwrap().dim(), 3);
    dims.store(4, Ordering::SeqCst);
    let told = |error: Error| error.to_string().replace(&origin, "HERE");
    let error = block_on(embedder.embed_image(&solid(8, 8, [1, 2, 3]))).unwrap_err();
    let expected = "m at HERE gave a reply that makes no sense: expected 3 values an embedding, found 4 for input 1 of 1";
    assert_eq!(told(error), expected);
    // Given, nothing is asked for.
    heads.try_iter().count();
    let given = builder().dim(512).build().unwrap();
    assert_eq!((given.dim(), heads.try_iter().count()), (512, 0));
    let error = told(block_on(builder().dim(512).connect()).unwrap_err());
    assert!(error.contains("expected 512 values an embedding, found 4"), "{error}");
    let error = builder().build().unwrap_err().to_string();
    assert_eq!(
        error,
        "values of an embedding: expected dim, or connect in place of build, found none"
    );
}

fn embed(embedder: &RemoteEmbedder, count: u8) -> Result<Embedded> {
    let images: Vec<_> = (0..count).map(|n| solid(8, 8, [20 * n, 10, 200])).collect();
    block_on(embedder.embed_images(&images))
}

fn sizes(fake: &Fake) -> Vec<usize> {
    fake.asked().iter().map(|asked| asked.inputs.len()).collect()
}

#[test]
fn batches_are_bounded_by_number_and_length_and_keep_their_order() {
    let fake = Fake::new(EmbeddingApi::Jina);
    let alone: Vec<_> = (0..10)
        .map(|n| {
            let embedder = fake.builder().dim(DIM).build().unwrap();
            block_on(embedder.embed_image(&solid(8, 8, [20 * n, 10, 200]))).unwrap()
        })
        .collect();
    for (builder, most) in [
        (fake.builder().max_batch(4), 4),
        (fake.builder().max_batch(3).max_concurrency(1), 3),
        (fake.builder().max_batch_bytes(1), 1),
        (fake.builder().max_batch(usize::MAX).max_batch_bytes(2500), 3),
    ] {
        let before = fake.asked().len();
        let found = embed(&builder.dim(DIM).build().unwrap(), 10).unwrap();
        assert_eq!(found.embeddings, alone);
        assert_eq!(found.usage, Some(Usage::tokens(100, 0)));
        let sizes = &sizes(&fake)[before..];
        assert_eq!(sizes.iter().sum::<usize>(), 10);
        assert!(sizes.iter().all(|size| *size <= most), "{sizes:?}");
    }
}

#[test]
fn no_more_requests_than_allowed_are_under_way() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let fake = Fake::faulty(EmbeddingApi::Vllm, move |_, _| {
        seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5));
        now.fetch_sub(1, Ordering::SeqCst);
        None
    });
    let embedder = fake.builder().max_concurrency(3).dim(DIM).build().unwrap();
    // Of clones and of several calls together.
    let calls = [embedder.clone(), embedder.clone(), embedder];
    let threads = calls.map(|one| std::thread::spawn(move || embed(&one, 9).unwrap().len()));
    assert_eq!(threads.map(|thread| thread.join().unwrap()), [9; 3]);
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[test]
fn a_batch_that_is_too_large_is_halved_until_it_fits() {
    for status in [400, 413, 422] {
        let fake = Fake::faulty(EmbeddingApi::Infinity, move |_, asked| {
            let told = r#"{"detail": "batch size 8 > maximum allowed batch size 2"}"#;
            (asked.inputs.len() > 2).then(|| error(status, told))
        });
        let embedder = fake.builder().dim(DIM).build().unwrap();
        let alone = Fake::new(EmbeddingApi::Infinity);
        let alone = embed(&alone.builder().dim(DIM).build().unwrap(), 9).unwrap();
        assert_eq!(embed(&embedder, 9).unwrap().embeddings, alone.embeddings);
        let mut sizes = sizes(&fake);
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 2, 2, 2, 2, 4, 4, 8]);
    }
}

fn shows(asked: &Asked, red: u8) -> bool {
    asked
        .inputs
        .iter()
        .any(|input| matches!(input, Input::Image([r, ..], ..) if r.abs_diff(red) < 8))
}

#[test]
fn one_bad_input_is_named_and_the_others_are_not_paid_for_twice() {
    for api in APIS {
        let fake = Fake::faulty(api, |_, asked| {
            let told = json!({ "error": { "message": "cannot identify image file" } });
            shows(asked, 100).then(|| error(400, &told.to_string()))
        });
        let embedder = fake.builder().dim(DIM).build().unwrap();
        let told = embed(&embedder, 8).unwrap_err().to_string();
        assert!(told.ends_with("answered 400: image 6 of 8: cannot identify image file"), "{told}");
        // What was paid for is there for whoever asks for the others.
        let good: Vec<_> =
            (0..8).filter(|n| *n != 5).map(|n| solid(8, 8, [20 * n, 10, 200])).collect();
        assert_eq!(block_on(embedder.embed_images(&good)).unwrap().len(), 7);
        let embedded = fake.images((0, 0));
        assert_eq!(embedded.len(), 7);
        assert!(embedded.values().all(|times| *times == 1), "{api}: {embedded:?}");
    }
}

#[test]
fn what_a_policy_forbids_is_refused_by_name() {
    let fake = Fake::faulty(EmbeddingApi::OpenAi, |_, asked| {
        let told = json!({ "error": { "message": "not allowed", "code": "content_filter" } });
        shows(asked, 40).then(|| error(400, &told.to_string()))
    });
    let embedder = fake.builder().dim(DIM).build().unwrap();
    match embed(&embedder, 4).unwrap_err() {
        Error::Refused { reason, .. } => assert_eq!(reason, "image 3 of 4: not allowed"),
        other => panic!("{other}"),
    }
    let fake = Fake::faulty(EmbeddingApi::Cohere, |_, _| Some(error(401, r#"{"message": "no"}"#)));
    let embedder = fake.builder().dim(DIM).build().unwrap();
    assert!(embed(&embedder, 8).is_err());
    assert_eq!(sizes(&fake), [8], "a key that is wrong is no input's fault");
}

#[test]
fn a_text_that_is_too_long_is_cut_and_an_empty_one_is_a_full_stop() {
    for told in [
        r#"{"object": "error", "message": "This model's maximum context length is 77 tokens."}"#,
        r#"{"error": {"message": "Input text exceeds the token limit"}}"#,
        r#"{"detail": "String should have at most 50 characters"}"#,
    ] {
        let fake = Fake::faulty(EmbeddingApi::Vllm, move |_, asked| {
            let is_long = |input: &Input| matches!(input, Input::Text(text) if text.len() > 50);
            asked.inputs.iter().any(is_long).then(|| error(400, told))
        });
        let embedder = fake.builder().dim(DIM).build().unwrap();
        let long = "ä long caption ".repeat(20);
        let found = block_on(embedder.embed_texts(&[&long, "", " \n", "short"])).unwrap();
        assert_eq!(found.len(), 4);
        let texts: Vec<_> = fake.asked().into_iter().flat_map(|asked| asked.inputs).collect();
        for text in [&long[..long.char_indices().nth(37).unwrap().0], ".", "short"] {
            assert!(texts.contains(&Input::Text(text.to_owned())), "{text}: {texts:?}");
        }
        assert_eq!(found[1], found[2]);
    }
    // What never fits is an error, and so is a picture that is too large.
    let told = r#"{"message": "too long: at most 0 tokens"}"#;
    let fake = Fake::faulty(EmbeddingApi::Voyage, move |_, _| Some(error(400, told)));
    let embedder = fake.builder().dim(DIM).build().unwrap();
    assert!(block_on(embedder.embed_text(&"word ".repeat(400))).is_err());
    assert!((7..=9).contains(&fake.asked().len()), "{} requests", fake.asked().len());
    assert!(block_on(embedder.embed_image(&solid(8, 8, [1, 2, 3]))).is_err());
}

#[test]
fn faults_that_pass_are_tried_again_and_a_wait_is_kept() {
    let fake = Fake::faulty(EmbeddingApi::Jina, |number, _| match number {
        0 => Some((429, "retry-after-ms: 150\r\n".into(), r#"{"detail": "slow down"}"#.into())),
        1 => Some(error(503, "busy")),
        _ => None,
    });
    let begin = Instant::now();
    let embedder = block_on(fake.builder().connect()).unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(150));
    assert_eq!((embedder.dim(), fake.asked().len()), (DIM, 3));
}

#[test]
fn replies_that_end_too_early_or_never_are_errors() {
    for (length, sent, told) in [
        (
            1000,
            r#"{"data": [{"embedding": [1, "#.to_owned(),
            "was reached, but its reply broke off",
        ),
        (
            40 << 20,
            format!("{{\"data\": [{}", " ".repeat(33 << 20)),
            "expected a list of embeddings, found a body of more than 33554432 bytes",
        ),
    ] {
        let (origin, _) = raw_server(move |_, _, mut stream| {
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{sent}");
        });
        let builder = RemoteEmbedder::builder("m").base_url(&origin).api_key("").max_retries(0);
        let error = block_on(builder.connect()).unwrap_err().chain().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn messages_are_those_of_the_model() {
    let image = r#"[{"role": "system", "content": "Represent the image."}, {"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "{image}"}},
        {"type": "text", "text": "<|image_pad|>"}]}]"#;
    let text = r#"[{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "text", "text": "Query: {text}"}]}]"#;
    let (sender, bodies) = channel();
    let (origin, _) = raw_server(move |_, request, stream| {
        let _ = sender.send(serde_json::from_slice::<Value>(&request.body).unwrap());
        answer(stream, "200 OK", "", r#"{"data": [{"index": 0, "embedding": [1, 2]}]}"#);
    });
    let builder = || RemoteEmbedder::builder("m").base_url(&origin).api_key("").dim(2);
    let qwen = builder().image_messages(image).text_messages(text);
    let qwen = qwen.field("add_special_tokens", "true").field("truncate_prompt_tokens", "null");
    let qwen = qwen.build().unwrap();
    block_on(qwen.embed_text("a {text} \"with\" {image}")).unwrap();
    let body = bodies.recv().unwrap();
    let content = &body["messages"][0]["content"];
    assert_eq!(content[1]["text"], "Query: a {text} \"with\" {image}");
    assert_eq!(content[0]["image_url"]["url"], "data:image/png;base64,AAAA");
    assert_eq!(body["add_special_tokens"], true);
    assert_eq!(body.get("truncate_prompt_tokens"), None);
    block_on(qwen.embed_image(&solid(7, 3, [1, 2, 3]))).unwrap();
    let mut body = bodies.recv().unwrap();
    with_sizes(&mut body);
    assert_eq!(body["messages"][0]["content"], "Represent the image.");
    assert_eq!(body["messages"][1]["content"][0]["image_url"]["url"], "<jpeg 28x12>");
    assert_eq!(body["messages"][1]["content"][1]["text"], "<|image_pad|>");

    for (builder, told) in [
        (builder().text_messages("[]"), "messages of texts: expected a list of messages in JSON"),
        (builder().text_messages(image), "with {text} in one of its strings"),
        (builder().image_messages("{"), "messages of images: expected a list of messages in JSON"),
        (builder().text_template("Query:"), "template of texts: expected {text}, found Query:"),
        (builder().field("task", "query"), "field \"task\": expected a JSON value"),
        (builder().dimensions(3), "expected 3, to which the service is to cut embeddings, found 2"),
        (builder().max_batch(0), "inputs of a request: expected at least 1, found 0"),
        (builder().max_batch_bytes(0), "bytes of a request: expected at least 1, found 0"),
        (builder().max_concurrency(0), "requests at a time: expected at least 1, found 0"),
        (builder().max_image_side(0), "longest image side: expected at least 1, found 0"),
        (builder().jpeg_quality(0), "JPEG quality: expected 1 to 100, found 0"),
        (builder().dim(0), "values of an embedding: expected at least 1, found 0"),
        (RemoteEmbedder::builder(" ").dim(2), "model: expected a name, found \" \""),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn pictures_are_sent_as_small_as_they_may_be() {
    let large = Image::new(90, 30, (0..8100).map(|i| (i * 7 % 251) as u8).collect::<Vec<_>>());
    let large = large.unwrap();
    let fake = Fake::new(EmbeddingApi::OpenAi);
    let sent = |builder: RemoteEmbedderBuilder, image: &Image| {
        let embedder = builder.dim(DIM).build().unwrap();
        let one = block_on(embedder.embed_image(image)).unwrap();
        let prepared = embedder.preprocess(image);
        assert_eq!(block_on(embedder.embed_image(&prepared)).unwrap(), one);
        let [.., first, second] = &fake.asked()[..] else { panic!("two requests") };
        assert_eq!(first.body, second.body);
        let url = first.body["input"][0].as_str().unwrap().to_owned();
        (url, (prepared.width(), prepared.height()))
    };
    let (url, size) = sent(fake.builder().max_image_side(45), &large);
    assert_eq!(size, (45, 15));
    assert!(url.starts_with("data:image/jpeg;base64,/9j/"), "{url}");
    assert_eq!(sent(fake.builder(), &solid(1, 9, [200, 0, 0])).1, (4, 36));
    assert_eq!(sent(fake.builder().max_image_side(80), &solid(90, 3, [200, 0, 0])).1, (80, 2));
    let (fine, _) = sent(fake.builder().max_image_side(45).jpeg_quality(100), &large);
    assert!(fine.len() > url.len());
    let (png, size) = sent(fake.builder().png(true), &large);
    assert_eq!(size, (90, 30));
    let png = png.strip_prefix("data:image/png;base64,").unwrap();
    assert_eq!(Image::decode(&STANDARD.decode(png).unwrap()).unwrap(), large);
}

#[test]
fn a_name_is_that_of_the_model_and_nothing_tells_the_key() {
    let jina = |model: &str| RemoteEmbedder::builder(model).api(EmbeddingApi::Jina).api_key(KEY);
    let [one, other] = ["http://a.example/v1", "https://b.example:8000/v1"]
        .map(|url| jina("jina-clip-v2").base_url(url).dim(1024).build().unwrap());
    assert_eq!(one.to_string(), "jina-clip-v2");
    assert_eq!(format!("{one:#}"), "jina-clip-v2 by jina, images as JPEG 90 of 512 pixels");
    assert_eq!(format!("{one:#}"), format!("{other:#}"));
    let cut = jina("jina-clip-v2").dimensions(64).build().unwrap();
    assert_eq!((cut.to_string().as_str(), cut.dim()), ("jina-clip-v2 (64 dimensions)", 64));
    let builder = jina("m").text_template("Query: {text}").field("task", "\"text-matching\"");
    let other = builder.clone().png(true).dim(4).build().unwrap();
    let told = "m by jina, images as PNG of 512 pixels, texts as \"Query: {text}\", task: \"text-matching\"";
    assert_eq!(format!("{other:#}"), told);
    for debug in [format!("{one:?}"), format!("{builder:?}"), format!("{other:?}")] {
        assert!(!debug.contains(KEY), "{debug}");
    }
    assert_eq!((one.batching().images, one.batching().calls), (16, 4));
}

#[test]
fn what_every_input_meets_blames_none_and_is_soon_given_up() {
    let gemini = r#"{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.",
        "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}"#;
    for (status, body, most) in [
        (400, gemini, 1),
        (400, r#"{"error": {"message": "?", "details": [{"reason": "API_KEY_INVALID"}]}}"#, 1),
        (400, r#"{"error": {"message": "no", "code": "model_not_found"}}"#, 1),
        (422, r#"{"detail": "Model 'clip' is not loaded"}"#, 1),
        (400, r#"{"detail": "Your account is in arrears"}"#, 1),
        (400, r#"{"error": {"message": "User location is not supported for the API use."}}"#, 1),
        // Words that nobody knows.
        (400, r#"{"detail": "computer says no"}"#, 6),
    ] {
        let fake = Fake::faulty(EmbeddingApi::Jina, move |_, _| Some(error(status, body)));
        let embedder = fake.builder().dim(DIM).build().unwrap();
        let images: Vec<_> = (0..16).map(|n| solid(8, 8, [10 * n, 10, 200])).collect();
        let told = block_on(embedder.embed_images(&images)).unwrap_err();
        assert!(matches!(told, Error::Service { status: found, .. } if found == status), "{told}");
        assert!(!told.to_string().contains("image"), "{told}");
        assert!(fake.asked().len() <= most, "{} requests: {body}", fake.asked().len());
    }
}

#[test]
fn a_text_is_cut_inside_its_template() {
    let fake = Fake::faulty(EmbeddingApi::Jina, |_, asked| {
        let is_long = |input: &Input| matches!(input, Input::Text(text) if text.len() > 60);
        let told = r#"{"detail": "Input text exceeds the token limit"}"#;
        asked.inputs.iter().any(is_long).then(|| error(400, told))
    });
    let template = "<|query|>{text}<|end|>";
    let embedder = fake.builder().text_template(template).dim(DIM).build().unwrap();
    let long = "a long caption ".repeat(20);
    block_on(embedder.embed_texts(&["short", &long])).unwrap();
    let texts = fake.asked().into_iter().flat_map(|asked| asked.inputs).map(|input| match input {
        Input::Text(text) => text,
        Input::Image(..) => panic!("an image"),
    });
    let texts: Vec<_> = texts.collect();
    assert!(
        texts.iter().all(|t| t.starts_with("<|query|>") && t.ends_with("<|end|>")),
        "{texts:?}"
    );
    assert!(texts.contains(&format!("<|query|>{}<|end|>", &long[..37])), "{texts:?}");
}
