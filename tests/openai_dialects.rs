//! Replies of services as they are, to what comes of them: streams that nobody asked for, compressed
//! bodies, errors with status 200, refused parameters, structured output, wrong addresses.

mod support;
#[path = "support/vlm.rs"]
mod vlm;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};

use base64::prelude::{BASE64_STANDARD, Engine};
use futures::executor::block_on;
use imagerag::critic::{Critic, CritiqueRequest, GuidedCot, Verdict};
use imagerag::vlm::Vlm;
use imagerag::{Error, Image, Usage};
use serde_json::{Value, json};
use support::{Request, answer, raw_server};
use vlm::{YES, ask, model, question, replied, service};

#[test]
fn a_reply_of_nothing_is_asked_for_again() {
    for body in [
        r#"{"choices":[]}"#,
        r#"{"choices":null}"#,
        r#"{"id":"x","choices":[{}]}"#,
        r#"{"choices":[{"message":null}]}"#,
        r#"{"choices":[{"message":{"role":"assistant","content":null}}]}"#,
        r#"{"choices":[{"message":{"content":""},"finish_reason":null}]}"#,
        r#"{"choices":[{"message":{"content":"ye"},"finish_reason":"error"}]}"#,
        r#"{"choices":[{"message":{"content":""},"finish_reason":"abort"}]}"#,
        r#"{"choices":[{"error":{"message":"upstream","code":502},"message":{"content":"y"}}]}"#,
        r#"{"choices":[{"error":{"message":"upstream"},"finish_reason":"error"}]}"#,
        r#"{"error":{"message":"overloaded"}}"#,
        "data: {\"choices\":[]}\n\ndata: [DONE]\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"ye\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"ye\"}}]}\n\ndata: {\"cho",
        "data: {\"choices\":[{\"delta\":{\"content\":\"ye\"},\"finish_reason\":\"error\"}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"ye\"}}]}\n\ndata: {\"error\":{\"code\":502}}\n\n",
        "event: error\ndata: {\"message\":\"overloaded\"}\n\n",
        "data: {\"cho",
        "{\"object\":\"chat.completion.chunk\",\"choices\":[{\"delta\":{\"content\":\"ye\"}}]}",
        "{\"message\":{\"content\":\"ye\"},\"done\":false}\n",
        "",
        " \r\n",
        "{}",
        "null",
        "[]",
        ": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n",
        "data:\n\n",
        "{\"message\":{\"content\":\"ye\"},\"done\":false}\n{\"message\":{\"content\":\"s\"},\"done\":",
    ] {
        let error = replied(body).unwrap_err();
        assert!(error.is_transient(), "{body}: {error}");
        let (base, sent) = service([(200, body), (200, YES)]);
        assert_eq!(ask(model(&base)).expect(body).text, "yes", "{body}");
        assert_eq!(sent.try_iter().count(), 2, "{body}");
    }
}

#[test]
fn what_the_service_says_of_its_failure_is_told() {
    for (body, told) in [
        (r#"{"choices":[]}"#, r#"answered 200: no choices in {"choices":[]}"#),
        (
            r#"{"choices":[{"message":{"content":"ye"},"finish_reason":"error"}]}"#,
            "answered 200: the reply ended in an error (finish reason error)",
        ),
        (r#"{"choices":[{"error":{"message":"upstream","code":502}}]}"#, "answered 502: upstream"),
        (
            "data: {\"choices\":[{\"delta\":{\"content\":\"ye\"}}]}\n\n",
            "/v1 was reached, but its reply broke off: the stream ended after 1 events",
        ),
        ("data: {\"error\":{\"message\":\"cut\",\"code\":503}}\n\n", "answered 503: cut"),
    ] {
        let error = replied(body).unwrap_err().chain().to_string();
        assert!(error.ends_with(told), "{error}");
    }
    // A model that ends by itself without a word has replied, and is not asked again.
    let (base, sent) =
        service([(200, r#"{"choices":[{"message":{"content":""},"finish_reason":"stop"}]}"#)]);
    assert_eq!(ask(model(&base)).unwrap().text, "");
    assert_eq!(sent.try_iter().count(), 1);
}

#[test]
fn a_stream_is_read_though_none_was_asked_for() {
    let openai = "data: {\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\
                  \"content\":\"\"},\"finish_reason\":null}]}\n\n\
                  data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"y\"}}]}\n\n\
                  data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"another\"}}]}\n\n\
                  data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"es\"}}]}\n\n\
                  data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
                  data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n\
                  data: [DONE]\n\n";
    let usage = Some(Usage::tokens(7, 2));
    for (body, model, usage) in [
        (openai.to_owned(), Some("gpt"), usage),
        (format!("\u{feff}: OPENROUTER PROCESSING\n\n{openai}"), Some("gpt"), usage),
        (openai.replace('\n', "\r\n"), Some("gpt"), usage),
        (openai.replace("\n\n", "\n"), Some("gpt"), usage),
        (openai.replace("data: {", "event: message\nid: 3\ndata:{"), Some("gpt"), usage),
        (openai.replace("data: [DONE]\n\n", ""), Some("gpt"), usage),
        (openai.replace("\"stop\"", "null"), Some("gpt"), usage),
        (
            "{\"model\":\"llava\",\"message\":{\"role\":\"assistant\",\"content\":\"y\"},\"done\":false}\n\
             {\"model\":\"llava\",\"message\":{\"content\":\"es\"},\"done\":false}\n\
             {\"model\":\"llava\",\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\
             \"prompt_eval_count\":7,\"eval_count\":2}\n"
                .into(),
            Some("llava"),
            usage,
        ),
        (
            "{\"response\":\"y\",\"done\":false}\n{\"response\":\"es\",\"done\":true}\n".into(),
            None,
            None,
        ),
        (
            "data: {\"choices\":[{\"text\":\"y\"}]}\n\ndata: {\"choices\":[{\"text\":\"es\",\
             \"finish_reason\":\"stop\"}]}\n\n"
                .into(),
            None,
            None,
        ),
        (
            // Pieces, and then the whole.
            format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"y\"}}}}]}}\n\ndata: {YES}\n\n"),
            None,
            None,
        ),
        (
            // All of it so far in each, and pieces under the name of the whole.
            "data: {\"choices\":[{\"message\":{\"content\":\"ye\"}}]}\n\n\
             data: {\"choices\":[{\"message\":{\"content\":\"yes\"},\"finish_reason\":\"stop\"}]}\n\n"
                .into(),
            None,
            None,
        ),
        (
            "data: {\"choices\":[{\"message\":{\"content\":\"ye\"}}]}\n\n\
             data: {\"choices\":[{\"message\":{\"content\":\"s\"},\"finish_reason\":\"stop\"}]}\n\n"
                .into(),
            None,
            None,
        ),
        (
            "data: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"yes\"}]},\
             \"finish_reason\":\"stop\"}]}\n\n"
                .into(),
            None,
            None,
        ),
    ] {
        let reply = replied(&body).unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!((reply.text.as_str(), reply.model.as_deref()), ("yes", model), "{body}");
        assert_eq!(reply.usage, usage, "{body}");
    }
    // A refusal comes in pieces too.
    let refusal = "data: {\"choices\":[{\"delta\":{\"refusal\":\"I \"}}]}\n\n\
                   data: {\"choices\":[{\"delta\":{\"refusal\":\"won't.\"},\"finish_reason\":\"stop\"}]}\n\n";
    assert_eq!(replied(refusal).unwrap().refusal.as_deref(), Some("I won't."));
}

#[test]
fn a_completion_is_read_in_every_dialect() {
    for body in [
        r#"{"choices":[{"text":"yes","finish_reason":"stop"}]}"#,
        r#"{"choices":[{"delta":{"content":"yes"},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"message":{"content":[{"type":"text","text":"yes"}]}}]}"#,
        r#"{"choices":[{"message":{"content":{"type":"text","text":"yes"}}}]}"#,
        r#"{"choices":[{"message":{"content":["yes"]}}]}"#,
        r#"{"choices":[{"message":{"content":"yes","tool_calls":[]}}]}"#,
        r#"{"choices":[{"message":{"content":"yes"},"error":null}],"error":{}}"#,
        r#"{"choices":[{"message":{"content":"yes"}}],"error":""}"#,
        r#"{"message":{"role":"assistant","content":"yes"},"done":true,"done_reason":"stop"}"#,
        r#"{"response":"yes","done":true}"#,
        // What JSON does not have, and serializers write all the same.
        r#"{"choices":[{"message":{"content":"yes"}}],"timings":{"per_second":NaN}}"#,
        r#"{"choices":[{"message":{"content":"yes","logprob":-Infinity}}]}"#,
        "\u{feff}{\"choices\":[{\"message\":{\"content\":\"yes\"}}]}",
    ] {
        let reply = replied(body).unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(reply.text, "yes", "{body}");
    }
    let half = r#"{"choices":[{"message":{"content":"a bee \ud83d"}}]}"#;
    assert_eq!(replied(half).unwrap().text, "a bee \u{fffd}");
    let raw = "{\"choices\":[{\"message\":{\"content\":\"a bee\nand \\udc1d\"}}]}";
    assert_eq!(replied(raw).unwrap().text, "a bee\nand \u{fffd}");
}

#[test]
fn reasoning_without_an_answer_is_named() {
    let thought = "x".repeat(31);
    for (message, reason, told) in [
        (
            json!({ "content": "", "reasoning_content": thought }),
            "length",
            "31 characters of reasoning_content, finish reason length; raise max_tokens",
        ),
        (
            json!({ "content": null, "reasoning_content": thought }),
            "stop",
            "31 characters of reasoning_content, finish reason stop",
        ),
        (
            json!({ "content": "\n", "reasoning": thought }),
            "stop",
            "31 characters of reasoning, finish reason stop",
        ),
        (json!({ "thinking": thought }), "stop", "31 characters of thinking, finish reason stop"),
        (
            json!({ "content": [{ "type": "thinking", "thinking": [{ "type": "text", "text": thought }] }] }),
            "stop",
            "31 characters of thinking, finish reason stop",
        ),
    ] {
        let body = json!({ "choices": [{ "message": message, "finish_reason": reason }] });
        let error = replied(&body.to_string()).unwrap_err();
        assert!(matches!(error, Error::InvalidReply { .. }), "{error:?}");
        let told = format!("found only reasoning, no answer ({told})");
        assert!(error.to_string().ends_with(&told), "{error}");
    }
    let stream = "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n\
                  data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"m\"},\"finish_reason\":\"length\"}]}\n\n";
    let error = replied(stream).unwrap_err().to_string();
    assert!(error.contains("(3 characters of reasoning_content, finish reason length"), "{error}");
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\"}]},\
                  \"finish_reason\":\"stop\"}]}\n\n";
    let error = replied(stream).unwrap_err().to_string();
    assert!(error.contains("(2 characters of thinking, finish reason stop)"), "{error}");
    let calls = r#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"1"}]},"finish_reason":"tool_calls"}]}"#;
    let error = replied(calls).unwrap_err().to_string();
    assert!(error.ends_with("no words, but calls of tools, of which none was offered"), "{error}");
}

/// Answers with the body called `name` in `tests/fixtures/encodings.json`, and `headers`.
fn compressed(name: &str, headers: &'static str) -> String {
    let text = include_str!("fixtures/encodings.json");
    let all: BTreeMap<String, String> = serde_json::from_str(text).unwrap();
    let body = BASE64_STANDARD.decode(&all[name]).unwrap();
    let (origin, _heads) = raw_server(move |_, _, mut stream: TcpStream| {
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {length}\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&body);
    });
    format!("{origin}/v1")
}

#[test]
fn a_compressed_reply_is_read_though_none_was_asked_for() {
    for (name, headers) in [
        ("gzip", "content-encoding: gzip\r\n"),
        ("gzip", ""),
        ("deflate", "Content-Encoding: deflate\r\n"),
        ("deflate without zlib", "content-encoding: deflate\r\n"),
        ("br", "content-encoding: br\r\n"),
        ("zstd", "content-encoding: zstd\r\n"),
        ("deflate, gzip", "content-encoding: deflate, gzip\r\n"),
    ] {
        let reply = ask(model(&compressed(name, headers)).max_retries(0));
        assert_eq!(reply.expect(name).text, "yes", "{name}");
    }
    let error = ask(model(&compressed("bomb", "content-encoding: gzip\r\n"))).unwrap_err();
    assert!(error.to_string().ends_with("found a body of more than 8388608 bytes"), "{error}");
}

#[test]
fn a_wrong_address_is_told_with_the_right_one() {
    let asked = |status: u16, path: &str, body: &str| {
        let (origin, _heads) = {
            let (body, status) = (body.to_owned(), format!("{status} Status"));
            raw_server(move |_, _, stream| answer(stream, &status, "", &body))
        };
        let error = ask(model(&format!("{origin}{path}")).max_retries(0)).unwrap_err();
        error.to_string().replace(&origin, "{origin}")
    };
    for (status, path, body) in [
        (404, "", "404 page not found"),
        (404, "/", r#"{"detail":"Not Found"}"#),
        (404, "", r#"{"error":{"message":"Invalid URL (POST /chat/completions)"}}"#),
        (405, "", r#"{"detail":"Method Not Allowed"}"#),
        (200, "", "<!doctype html><html><title>Open WebUI</title></html>"),
        (200, "", r#"{"error":"Unexpected endpoint or method. (POST /chat/completions)"}"#),
    ] {
        let error = asked(status, path, body);
        let advice = "; is base_url right? it usually ends in /v1: try {origin}/v1";
        assert!(error.ends_with(advice), "{error}");
    }
    for (path, advice) in [
        ("/v1/v1", "is base_url right? try {origin}/v1"),
        ("/v1/models", "is base_url right? try {origin}/v1"),
        ("/api", "is base_url right? it usually ends in /v1: try {origin}/api/v1 or {origin}/v1"),
    ] {
        let error = asked(404, path, "404 page not found");
        assert!(error.ends_with(advice), "{error}");
    }
    // Where it is right, or the model is what is not there, nothing is advised.
    for (path, body) in [
        ("/v1", "404 page not found"),
        ("", r#"{"error":{"message":"model \"m\" not found, try pulling it first"}}"#),
    ] {
        let error = asked(404, path, body);
        assert!(!error.contains("base_url"), "{error}");
    }
}

/// What OpenAI says where a model does not take a parameter.
fn unsupported(parameter: &str) -> String {
    let message = match parameter {
        "max_tokens" => {
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use \
                         'max_completion_tokens' instead."
                .to_owned()
        }
        other => format!("Unsupported value: '{other}' is not supported with this model."),
    };
    let code = "unsupported_parameter";
    json!({ "error": { "message": message, "param": parameter, "code": code } }).to_string()
}

/// A model that refuses each of `parameters`, one at a time; and what it was sent.
fn picky(parameters: &'static [&'static str]) -> (String, Receiver<Value>) {
    let (sender, sent) = channel();
    let (origin, _heads) = raw_server(move |_, request: &Request, stream| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let refused = parameters.iter().find(|name| body.get(name).is_some());
        let _ = sender.send(body);
        match refused {
            Some(name) => answer(stream, "400 Bad Request", "", &unsupported(name)),
            None => answer(stream, "200 OK", "", YES),
        }
    });
    (format!("{origin}/v1"), sent)
}

#[test]
fn a_refused_temperature_is_left_out_and_remembered() {
    let (base, sent) = picky(&["temperature"]);
    let vlm = model(&base).build().unwrap();
    assert_eq!(block_on(vlm.chat(&question())).unwrap().text, "yes");
    let temperatures = |sent: &Receiver<Value>| {
        sent.try_iter().map(|body| body["temperature"].as_f64()).collect::<Vec<_>>()
    };
    assert_eq!(temperatures(&sent), [Some(0.0), None]);
    // Clones know it too, at every temperature.
    let warm = question().with_temperature(0.7);
    assert_eq!(block_on(vlm.clone().chat(&warm)).unwrap().text, "yes");
    assert_eq!(temperatures(&sent), [None]);
    // Another client does not.
    assert_eq!(ask(model(&base)).unwrap().text, "yes");
    assert_eq!(temperatures(&sent), [Some(0.0), None]);
}

#[test]
fn a_refused_limit_goes_by_its_other_name() {
    let names = |sent: &Receiver<Value>| {
        let limit = |body: Value| {
            let name = ["max_tokens", "max_completion_tokens"]
                .into_iter()
                .find(|name| body.get(name).is_some())?;
            assert_eq!(body[name], 64);
            Some(name)
        };
        sent.try_iter().map(limit).collect::<Vec<_>>()
    };
    let (base, sent) = picky(&["max_tokens", "temperature"]);
    let vlm = model(&base).max_tokens(64).build().unwrap();
    assert_eq!(block_on(vlm.chat(&question())).unwrap().text, "yes");
    let new = Some("max_completion_tokens");
    assert_eq!(names(&sent), [Some("max_tokens"), new, new], "limit and temperature, one by one");
    assert_eq!(block_on(vlm.chat(&question())).unwrap().text, "yes");
    assert_eq!(names(&sent), [new]);

    let (base, sent) = picky(&["max_completion_tokens"]);
    let vlm = model(&base).max_tokens(64).max_completion_tokens(true).build().unwrap();
    assert_eq!(block_on(vlm.chat(&question())).unwrap().text, "yes");
    assert_eq!(names(&sent), [new, Some("max_tokens")]);

    let (base, sent) = picky(&["max_completion_tokens", "max_tokens"]);
    assert_eq!(ask(model(&base).max_tokens(64)).unwrap().text, "yes");
    assert_eq!(names(&sent), [Some("max_tokens"), new, None]);
}

#[test]
fn log_probabilities_are_asked_for_and_read_whole_or_in_pieces() {
    let token = |text: &str, logprob: f64| json!({ "token": text, "logprob": logprob });
    let first = json!({ "token": "Y", "logprob": -0.5, "top_logprobs": [token("Y", -0.5), token("N", -1.0)] });
    let tokens = [first, token("es", -0.1)];
    let whole = json!({ "choices": [{ "message": { "content": "Yes" }, "finish_reason": "stop",
        "logprobs": { "content": tokens } }] });
    let piece = |at: usize, reason: Value| {
        let text = ["Y", "es"][at];
        json!({ "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": reason,
            "logprobs": { "content": [tokens[at]] } }] })
    };
    let stream =
        format!("data: {}\n\ndata: {}\n\n", piece(0, Value::Null), piece(1, json!("stop")));
    for body in [whole.to_string(), stream] {
        let (base, sent) = service([(200, body.as_str())]);
        let vlm = model(&base).build().unwrap();
        let reply = block_on(vlm.chat(&question().with_logprobs(20))).unwrap();
        let found: Vec<_> =
            reply.logprobs.iter().map(|one| (&*one.token.token, one.token.logprob)).collect();
        assert_eq!(found, [("Y", -0.5), ("es", -0.1)], "{body}");
        assert_eq!(reply.logprobs[0].top[1].token, "N", "{body}");
        let sent = sent.recv().unwrap();
        assert_eq!((&sent["logprobs"], &sent["top_logprobs"]), (&json!(true), &json!(20)));
        // Nobody who does not ask gets a field more.
        let (base, sent) = service([(200, YES)]);
        assert!(ask(model(&base)).unwrap().logprobs.is_empty());
        assert_eq!(sent.recv().unwrap().get("logprobs"), None);
    }
}

#[test]
fn refused_log_probabilities_are_left_out_and_remembered() {
    let asked = |sent: &Receiver<Value>| {
        sent.try_iter().map(|body| body["top_logprobs"].as_u64()).collect::<Vec<_>>()
    };
    let few = r#"{"error":{"message":"Requested sample logprobs of 20, which is greater than max allowed: 5"}}"#;
    let none =
        r#"{"error":{"message":"You are not allowed to request logprobs from this model."}}"#;
    let replies = [(400, few), (403, none), (200, YES)];
    let (base, sent) = service(replies);
    let vlm = model(&base).build().unwrap();
    let request = question().with_logprobs(20);
    assert_eq!(block_on(vlm.chat(&request)).unwrap().text, "yes");
    assert_eq!(asked(&sent), [Some(20), Some(5), None]);
    assert_eq!(block_on(vlm.chat(&request)).unwrap().text, "yes");
    assert_eq!(asked(&sent), [None]);
}

#[test]
fn a_temperature_out_of_range_is_left_out_alone() {
    let (sender, sent) = channel();
    let (origin, _heads) = raw_server(move |_, request: &Request, stream| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let temperature = body["temperature"].as_f64();
        let _ = sender.send(temperature);
        let refusal = r#"{"message": "temperature: range: 0..1"}"#;
        match temperature {
            Some(1.0..) => answer(stream, "422 Unprocessable Entity", "", refusal),
            _ => answer(stream, "200 OK", "", YES),
        }
    });
    let vlm = model(&format!("{origin}/v1")).build().unwrap();
    for temperature in [1.5, 1.5, 0.5] {
        let request = question().with_temperature(temperature);
        assert_eq!(block_on(vlm.chat(&request)).unwrap().text, "yes");
    }
    assert_eq!(sent.try_iter().collect::<Vec<_>>(), [Some(1.5), None, None, Some(0.5)]);
}

#[test]
fn a_refusal_is_never_answered_in_a_loop() {
    // Whatever is sent, the service blames the temperature.
    let (base, sent) = service([(400, unsupported("temperature"))]);
    let vlm = model(&base).build().unwrap();
    for expected in [2, 2] {
        let error = block_on(vlm.chat(&question())).unwrap_err();
        assert!(matches!(error, Error::Service { status: 400, .. }), "{error}");
        assert_eq!(sent.try_iter().count(), expected, "what did not help is not remembered");
    }
    // Another error of the repetition is the error.
    let (base, sent) = service([(400, unsupported("temperature").as_str()), (401, "no key")]);
    let error = ask(model(&base)).unwrap_err();
    assert!(error.to_string().ends_with("answered 401: no key"), "{error}");
    assert_eq!(sent.try_iter().count(), 2);
}

#[test]
fn what_the_caller_set_is_not_taken_away() {
    for builder in [
        |base: &str| model(base).adapt_parameters(false),
        |base: &str| model(base).field("temperature", "0.2"),
    ] {
        let (base, sent) = picky(&["temperature"]);
        let error = ask(builder(&base)).unwrap_err();
        assert!(matches!(error, Error::Service { status: 400, .. }), "{error}");
        assert_eq!(sent.try_iter().count(), 1);
    }
    let (base, sent) = picky(&["top_p"]);
    assert!(ask(model(&base).field("top_p", "0.9")).is_err());
    assert_eq!(sent.try_iter().count(), 1);
    let (base, sent) = picky(&["temperature"]);
    assert_eq!(ask(model(&base).field("seed", "7")).unwrap().text, "yes");
    assert!(sent.try_iter().all(|body| body["seed"] == 7));
}

#[test]
fn a_schema_is_sent_where_it_is_wished_for() {
    let schema =
        r#"{"type": "object", "properties": {}, "required": [], "additionalProperties": false}"#;
    let request = question().with_json_schema(schema);
    let (base, sent) = picky(&[]);
    block_on(model(&base).build().unwrap().chat(&request)).unwrap();
    assert_eq!(sent.recv().unwrap().get("response_format"), None, "it is opt-in");
    let vlm = model(&base).structured_output(true).build().unwrap();
    block_on(vlm.chat(&request)).unwrap();
    let schema: Value = serde_json::from_str(schema).unwrap();
    let expected = json!({
        "type": "json_schema",
        "json_schema": { "name": "reply", "strict": true, "schema": schema },
    });
    assert_eq!(sent.recv().unwrap()["response_format"], expected);
    block_on(vlm.chat(&question())).unwrap();
    assert_eq!(sent.recv().unwrap().get("response_format"), None, "without a schema, none");
    let error = block_on(vlm.chat(&question().with_json_schema("{"))).unwrap_err();
    assert!(error.to_string().starts_with("JSON schema: expected JSON, found "), "{error}");
    let own = model(&base).structured_output(true).field("response_format", "{\"type\":\"text\"}");
    block_on(own.build().unwrap().chat(&request)).unwrap();
    assert_eq!(sent.recv().unwrap()["response_format"], json!({ "type": "text" }));
}

#[test]
fn a_refused_schema_is_remembered() {
    let (base, sent) = picky(&["response_format"]);
    let vlm = model(&base).structured_output(true).build().unwrap();
    let request = question().with_json_schema("{}");
    for expected in [&[true, false][..], &[false]] {
        assert_eq!(block_on(vlm.chat(&request)).unwrap().text, "yes");
        let formats = sent.try_iter().map(|body| body.get("response_format").is_some());
        assert_eq!(formats.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn the_critic_says_what_it_expects() {
    let replies = ["no", "a sheep", "A photo of a sheep."]
        .map(|text| (200, json!({ "choices": [{ "message": { "content": text } }] }).to_string()));
    let (base, sent) = service(replies);
    let critic = GuidedCot::new(model(&base).structured_output(true).build().unwrap());
    let draft = Image::new(1, 1, [90, 60, 20]).unwrap();
    let critique =
        block_on(critic.critique(&CritiqueRequest::new("a sheep", Some(draft)))).unwrap();
    assert!(matches!(critique.verdict, Verdict::Missing(_)), "{critique:?}");
    let field = |body: Value| {
        let schema = &body["response_format"]["json_schema"]["schema"];
        schema["required"][0].as_str().unwrap().to_owned()
    };
    let asked: Vec<String> = sent.try_iter().map(field).collect();
    assert_eq!(asked, ["answer", "concepts", "captions"]);
}
