//! Replies of services as they are, to what comes of them: answers that are no text, several choices,
//! errors that are refusals or are final, keys that are echoed, refusals in other languages.

mod support;
#[path = "support/vlm.rs"]
mod vlm;

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::channel;

use imagerag::vlm::ChatReply;
use imagerag::{Error, Result};
use serde_json::Value;
use support::{Request, answer, raw_server};
use vlm::{YES, ask, model, replied, service};

#[test]
fn an_answer_that_is_no_text_is_its_json() {
    for (message, expected) in [
        (r#"{"content":{"answer":"no"}}"#, r#"{"answer":"no"}"#),
        (r#"{"content":{"type":"bird","answer":"no"}}"#, r#"{"answer":"no","type":"bird"}"#),
        (
            r#"{"content":{"thinking":"hm","response":"yes"}}"#,
            r#"{"response":"yes","thinking":"hm"}"#,
        ),
        (
            r#"{"content":{"type":"text","text":{"answer":"no"}}}"#,
            r#"{"text":{"answer":"no"},"type":"text"}"#,
        ),
        (r#"{"content":3}"#, "3"),
        (r#"{"content":false}"#, "false"),
        (r#"{"content":[1,2]}"#, "12"),
        (r#"{"content":[{"answer":"no"}]}"#, r#"{"answer":"no"}"#),
        (r#"{"content":["no ",{"score":3}]}"#, r#"no {"score":3}"#),
        (
            r#"{"content":[{"type":"json","json":{"answer":"no"}}]}"#,
            r#"[{"json":{"answer":"no"},"type":"json"}]"#,
        ),
        (r#"{"content":[{"type":"text","content":"no"}]}"#, r#"[{"content":"no","type":"text"}]"#),
        (r#""no""#, "no"),
        // What is empty stays so.
        (r#"{"content":[]}"#, ""),
        (r#"{"content":{}}"#, ""),
        (r#"{"content":[{"type":"text","text":""}]}"#, ""),
        (
            r#"{"content":[{"type":"text","text":"yes"},{"type":"image_url","image_url":{}}]}"#,
            "yes",
        ),
    ] {
        let whole = format!(r#"{{"choices":[{{"message":{message},"finish_reason":"stop"}}]}}"#);
        let found = replied(&whole).unwrap_or_else(|error| panic!("{message}: {error}")).text;
        // Fields of objects may come in any order.
        let same = |text: &str| serde_json::from_str::<Value>(text).unwrap_or(text.into());
        assert_eq!(same(&found), same(expected), "{message}");
        if message.starts_with('{') {
            let stream =
                format!("data: {{\"choices\":[{{\"delta\":{message}}}]}}\n\ndata: [DONE]\n\n");
            let stream = stream
                .replace("}]}\n\ndata: [DONE]", ",\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]");
            let found = replied(&stream).unwrap_or_else(|error| panic!("{stream}: {error}")).text;
            assert_eq!(same(&found), same(expected), "{stream}");
        }
    }
}

#[test]
fn the_choice_with_the_first_index_is_the_reply() {
    let choice = |index: &str, text: &str| {
        format!(r#"{{{index}"message":{{"content":"{text}"}},"finish_reason":"stop"}}"#)
    };
    for (first, second) in [
        (choice(r#""index":1,"#, "no"), choice(r#""index":0,"#, "yes")),
        (choice(r#""index":2,"#, "no"), choice(r#""index":1,"#, "yes")),
        (choice(r#""index":0,"#, "yes"), choice(r#""index":0,"#, "no")),
        (choice("", "yes"), choice("", "no")),
        (choice(r#""index":1,"#, "no"), choice("", "yes")),
    ] {
        let body = format!(r#"{{"choices":[{first},{second}]}}"#);
        assert_eq!(replied(&body).unwrap().text, "yes", "{body}");
    }
    // As a stream, in one chunk or in several, and counted from 1.
    let delta = |index: u64, text: &str| {
        format!(r#"{{"index":{index},"delta":{{"content":"{text}"}},"finish_reason":"stop"}}"#)
    };
    for first in [0, 1] {
        let (yes, no) = (delta(first, "yes"), delta(first + 1, "no"));
        for stream in [
            format!("data: {{\"choices\":[{no},{yes}]}}\n\n"),
            format!("data: {{\"choices\":[{no}]}}\n\ndata: {{\"choices\":[{yes}]}}\n\n"),
        ] {
            assert_eq!(replied(&stream).unwrap().text, "yes", "{stream}");
        }
    }
}

#[test]
fn a_pair_that_two_chunks_share_is_one_character() {
    let chunks = |field: &str, pieces: &[&str]| {
        let chunk = |piece: &&str| {
            format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"{field}\":\"{piece}\"}}}}]}}\n\n"
            )
        };
        let other = "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"x\"}}]}\n\n";
        pieces.iter().map(chunk).collect::<Vec<_>>().join(other) + "data: [DONE]\n\n"
    };
    for (pieces, whole) in [
        (&[r"a bee \ud83d", r"\udc1d!"][..], "a bee 🐝!"),
        (&[r"\ud83d", r"\udc1d\ud83d", r"\udc1d"], "🐝🐝"),
        (&[r"\ud83d", "", r"\udc1d"], "🐝"),
        (&[r"\ud83d", "x"], "\u{fffd}x"),
        (&[r"x\udc1d", r"\ud83d"], "x\u{fffd}\u{fffd}"),
    ] {
        assert_eq!(replied(&chunks("content", pieces)).unwrap().text, whole, "{pieces:?}");
        let refusal = replied(&chunks("refusal", pieces)).unwrap().refusal;
        assert_eq!(refusal.as_deref(), Some(whole), "{pieces:?}");
    }
    let ollama = "{\"message\":{\"content\":\"\\ud83d\"},\"done\":false}\n\
                  {\"message\":{\"content\":\"\\udc1d\"},\"done\":true}\n";
    assert_eq!(replied(ollama).unwrap().text, "🐝");
}

/// Answers every request with `status`, `headers` and `body`; the outcome of a call, and how many
/// requests it took.
fn outcome(status: &str, headers: &'static str, body: &str) -> (Result<ChatReply>, usize) {
    let (status, body) = (status.to_owned(), body.to_owned());
    let (origin, heads) = raw_server(move |_, _, stream| answer(stream, &status, headers, &body));
    let outcome = ask(model(&format!("{origin}/v1")).max_retries(2));
    (outcome, heads.try_iter().count())
}

#[test]
fn an_error_of_policy_is_a_refusal() {
    for (status, body) in [
        (
            "400 Bad Request",
            r#"{"error":{"message":"It was filtered.","code":"content_filter","status":400,
            "innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
        ),
        (
            "400 Bad Request",
            r#"{"error":{"message":"It was filtered.","code":null,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
        ),
        (
            "400 Bad Request",
            r#"{"error":{"message":"It was filtered.","code":"moderation_blocked"}}"#,
        ),
        (
            "403 Forbidden",
            r#"{"error":{"message":"It was filtered.","code":"content_policy_violation"}}"#,
        ),
        ("400 Bad Request", r#"{"error":{"message":"It was filtered.","type":"content_filter"}}"#),
        ("400 Bad Request", r#"{"code":"DataInspectionFailed","message":"It was filtered."}"#),
        ("200 OK", r#"{"error":{"message":"It was filtered.","code":"content_filter"}}"#),
        ("451 Unavailable For Legal Reasons", "It was filtered."),
        (
            "403 Forbidden",
            r#"{"error":{"message":"It was filtered.","code":"content_moderation"}}"#,
        ),
        (
            "422 Unprocessable",
            r#"{"detail":[{"msg":"It was filtered.","type":"content_policy_violation"}]}"#,
        ),
        (
            "200 OK",
            "data: {\"error\":{\"message\":\"It was filtered.\",\"code\":\"content_filter\"}}\n\n",
        ),
    ] {
        let (reply, requests) = outcome(status, "", body);
        let reply = reply.unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(reply, ChatReply::default().with_refusal("It was filtered."), "{body}");
        assert_eq!(requests, 1, "{body}");
    }
    let risk = r#"{"error":{"message":"Content Exists Risk","type":"invalid_request_error"}}"#;
    let (reply, _) = outcome("400 Bad Request", "", risk);
    assert_eq!(reply.unwrap().refusal.as_deref(), Some("Content Exists Risk"));
    // Words alone that sound like it are an error.
    let other = r#"{"error":{"message":"unknown field content_filter","code":"invalid_value"}}"#;
    let (error, _) = outcome("400 Bad Request", "", other);
    assert!(matches!(error.unwrap_err(), Error::Service { status: 400, .. }));
}

#[test]
fn an_account_without_credit_is_not_asked_again() {
    for (status, headers, body) in [
        ("429 Too Many", "", r#"{"error":{"message":"m","code":"insufficient_quota"}}"#),
        (
            "429 Too Many",
            "retry-after: 0\r\n",
            r#"{"error":{"message":"m","code":"insufficient_quota"}}"#,
        ),
        (
            "429 Too Many",
            "",
            r#"{"error":{"message":"m","type":"insufficient_quota","code":null}}"#,
        ),
        ("429 Too Many", "", r#"{"error":{"message":"m","code":"billing_hard_limit_reached"}}"#),
        ("429 Too Many", "", r#"{"error":{"message":"m","type":"exceeded_current_quota_error"}}"#),
        ("200 OK", "", r#"{"error":{"message":"m","code":"insufficient_quota"}}"#),
        ("402 Payment Required", "", r#"{"error":{"message":"Insufficient Balance"}}"#),
    ] {
        let (error, requests) = outcome(status, headers, body);
        let error = error.unwrap_err();
        assert!(!error.is_transient(), "{body}: {error}");
        assert!(error.to_string().contains(&format!("answered {}", &status[..3])), "{error}");
        assert!(!error.to_string().contains("wait"), "{error}");
        assert_eq!(requests, 1, "{body}");
    }
    let (error, requests) =
        outcome("429 Too Many", "", r#"{"error":{"message":"m","code":"rate_limit_exceeded"}}"#);
    assert!(error.unwrap_err().is_transient());
    assert_eq!(requests, 3);
}

#[test]
fn what_ends_too_early_was_reached() {
    for (status, headers, body, told) in [
        ("200 OK", "", "", "answered 200: an empty body"),
        ("204 No Content", "", "", "answered 204: an empty body"),
        (
            "200 OK",
            "content-encoding: br\r\n",
            "nonsense",
            "its reply broke off: its compressed body: ",
        ),
        (
            "429 Too Many",
            "retry-after: 3600\r\n",
            "slow",
            "answered 429: slow (asks to wait 3600 s)",
        ),
        (
            "429 Too Many",
            "retry-after-ms: 61500\r\n",
            "slow",
            "answered 429: slow (asks to wait 61.5 s)",
        ),
        ("503 Busy", "retry-after: 7200\r\n", "busy", "answered 503: busy (asks to wait 7200 s)"),
    ] {
        let (error, requests) = outcome(status, headers, body);
        let error = error.unwrap_err();
        let chain = error.chain().to_string();
        assert!(error.is_transient() && chain.contains(told), "{chain}");
        assert!(!chain.contains("could not be reached"), "{chain}");
        assert_eq!(requests, if headers.starts_with("retry") { 1 } else { 3 }, "{chain}");
    }
    // A connection that closes before the head of a reply, and within its body.
    for begins in ["", "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"] {
        let (origin, _heads) = raw_server(move |_, _, mut stream: TcpStream| {
            let _ = stream.write_all(begins.as_bytes());
        });
        let error = ask(model(&origin).max_retries(0)).unwrap_err();
        assert!(matches!(error, Error::Connection { .. }), "{error:?}");
        assert!(error.to_string().ends_with("was reached, but its reply broke off"), "{error}");
    }
}

#[test]
fn an_escaped_key_is_hidden() {
    for escaped in [
        r"sk\u002dsecret\u002dXYZ",
        r"sk\u002Dsecret-XYZ",
        "sk%2Dsecret%2dXYZ",
        "sk&#45;secret&#x2D;XYZ",
        r"\u0073\u006b\u002d\u0073ecret-XYZ",
        "c2stc2VjcmV0LVhZWg==",
    ] {
        let (origin, _heads) = raw_server(move |_, _, stream| {
            answer(stream, "401 Unauthorized", "", &format!("Incorrect key: Bearer {escaped}"));
        });
        let error = ask(model(&origin).api_key("sk-secret-XYZ")).unwrap_err().to_string();
        let rest = error.split_once("Incorrect key: Bearer [redacted]").map(|(_, rest)| rest);
        assert!(matches!(rest, Some("" | "==")), "{error}");
    }
}

#[test]
fn a_temperature_refused_in_another_language_is_left_out() {
    for (status, body) in [
        (400, r#"{"error":{"code":"1210","message":"temperature 取值范围错误"}}"#),
        (400, r#"{"error":{"message":"参数 temperature 不合法"}}"#),
        (422, r#"{"error":{"message":"ошибка","param":"temperature"}}"#),
    ] {
        let (sender, sent) = channel();
        let (origin, _heads) = raw_server(move |_, request: &Request, stream| {
            let asked: Value = serde_json::from_slice(&request.body).unwrap();
            let has = asked.get("temperature").is_some();
            let _ = sender.send(has);
            match has {
                true => answer(stream, &format!("{status} Status"), "", body),
                false => answer(stream, "200 OK", "", YES),
            }
        });
        assert_eq!(ask(model(&origin)).unwrap().text, "yes", "{body}");
        assert_eq!(sent.try_iter().collect::<Vec<_>>(), [true, false], "{body}");
    }
    let (base, sent) = service([(400, r#"{"error":{"message":"参数 temperature 不合法"}}"#)]);
    assert!(ask(model(&base)).is_err());
    assert_eq!(sent.try_iter().count(), 2, "once");
}

#[test]
fn what_stands_beside_a_good_reply_is_no_error() {
    let good = r#""choices":[{"message":{"content":"yes"},"finish_reason":"stop"}]"#;
    for error in [
        r#"{"message":"","type":"","param":"","code":null}"#,
        r#"{"message":"","code":0}"#,
        "[]",
        "0",
        r#"" ""#,
    ] {
        assert_eq!(replied(&format!(r#"{{"error":{error},{good}}}"#)).unwrap().text, "yes");
    }
    for (before, after) in [
        ("data: ping\n\n", ""),
        ("data: keep-alive\n", ""),
        ("\u{feff}", ""),
        ("", "event: ping\ndata: still here\n\n"),
    ] {
        let stream = format!("{before}data: {{{good}}}\n\n{after}data: [DONE]\n\n");
        assert_eq!(replied(&stream).unwrap().text, "yes", "{stream}");
    }
}

#[test]
fn an_error_of_a_stream_is_told_in_its_words() {
    let refused =
        r#"data: {"type":"error","code":"moderation_blocked","message":"It was blocked."}"#;
    assert_eq!(replied(refused).unwrap().refusal.as_deref(), Some("It was blocked."));
    for stream in [
        "data: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"It broke.\"}\n\n",
        "event: error\ndata: It broke.\n\n",
    ] {
        let error = replied(stream).unwrap_err();
        assert!(error.to_string().ends_with("answered 200: It broke."), "{error}");
    }
}

#[test]
fn a_key_in_a_good_reply_is_hidden() {
    let whole = r#"{"model":"of sk-secret-XYZ","choices":[{"message":{"content":"yes, sk\u002dsecret-XYZ"},"finish_reason":"stop"}]}"#;
    let stream = ["yes, sk-", "secret", "-XYZ"].map(|piece| {
        format!("data: {{\"model\":\"of sk-secret-XYZ\",\"choices\":[{{\"delta\":{{\"content\":\"{piece}\"}}}}]}}\n\n")
    });
    for body in [whole.to_owned(), stream.concat() + "data: [DONE]\n\n"] {
        let (origin, _heads) = raw_server(move |_, _, stream| answer(stream, "200 OK", "", &body));
        let reply = ask(model(&origin).api_key("sk-secret-XYZ")).unwrap();
        assert_eq!(reply.text, "yes, [redacted]");
        assert_eq!(reply.model.as_deref(), Some("of [redacted]"));
    }
    // A key that is none is a word.
    let body = r#"{"choices":[{"message":{"content":"ollama"},"finish_reason":"stop"}]}"#;
    let (origin, _heads) = raw_server(move |_, _, stream| answer(stream, "200 OK", "", body));
    assert_eq!(ask(model(&origin).api_key("ollama")).unwrap().text, "ollama");
}

#[test]
fn json_that_ends_too_early_is_asked_for_again() {
    for body in [r#"{"choices":[{"message":{"conte"#, "{", "[{\n  \"a\": 1,\n"] {
        let (error, requests) = outcome("200 OK", "", body);
        let error = error.unwrap_err();
        assert!(error.to_string().ends_with("was reached, but its reply broke off"), "{error}");
        assert_eq!(requests, 3, "{body}");
    }
}

#[test]
fn a_redirect_names_the_base_url_that_is_meant() {
    for (location, told) in [
        ("location: /v2/chat/completions\r\n", "/v2/chat/completions: set {}/v2 as base_url"),
        ("location: /login?to=x\r\n", "/login"),
    ] {
        let (origin, _heads) =
            raw_server(move |_, _, stream| answer(stream, "301 Moved Permanently", location, ""));
        let error = ask(model(&format!("{origin}/v1"))).unwrap_err().to_string();
        let told = format!("redirected to {origin}{}", told.replace("{}", &origin));
        assert!(error.ends_with(&told), "{error}");
    }
}
