//! The body of a stream that nobody asked for to the JSON values in it: server-sent events, or one
//! value a line, as Ollama's own interface sends them.

use serde_json::{Value, json};

use super::secrets::Secrets;
use crate::lenient;

/// What a service answered, as JSON.
#[derive(Debug)]
pub(crate) enum Body {
    /// One value.
    Whole(Value),
    /// The values of a stream in their order, read by [`lenient::json_piece`], and whether it says
    /// that they are all: the last event of chat completions is `[DONE]`.
    Stream(Vec<Value>, bool),
}

impl Body {
    /// The same without `secrets`, which a service may repeat.
    pub(super) fn without(mut self, secrets: &Secrets) -> Self {
        match &mut self {
            Self::Whole(value) => secrets.hide_in(value),
            Self::Stream(values, _) => values.iter_mut().for_each(|value| secrets.hide_in(value)),
        }
        self
    }
}

/// The values of `text`, which is not one JSON value; none where it is no stream. What the stream
/// ends in the middle of is left out, and so are words between the values that keep the connection
/// open, such as `data: ping`. A value that is broken makes the stream unreadable: what it held is
/// unknown.
///
/// The fields of an event are those of the HTML standard (section 9.2, "Server-sent events"). Beyond
/// it, events may follow each other without an empty line, and need no `data:`.
pub(super) fn events(text: &str) -> Option<Body> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let (mut values, mut done, mut is_stream) = (Vec::new(), false, false);
    let mut has_words = false;
    let (mut kind, mut data) = ("", String::new());
    for line in text.strip_suffix('\n').unwrap_or(&text).split(['\n', '\r']) {
        if line.is_empty() {
            if !data.is_empty() {
                match lenient::json_piece(data.as_bytes()) {
                    Ok(value) => values.push(event(kind, value)),
                    Err(_) if kind == "error" => values.push(event(kind, data.trim().into())),
                    Err(_) if is_json(&data) => return None,
                    Err(_) => has_words = true,
                }
            }
            (kind, data) = ("", String::new());
            continue;
        }
        let (field, value) = match line.split_once(':') {
            Some((field @ ("" | "data" | "event" | "id" | "retry"), value)) => (field, value),
            _ => ("data", line),
        };
        is_stream |= line.starts_with("data:") || line.starts_with(':');
        match (field, value.trim()) {
            ("data", "") => {}
            ("data", "[DONE]") => done = true,
            ("data", line) => {
                // Words before a value are of an event that no empty line has ended.
                if is_stream && kind != "error" && !is_json(&data) && is_json(line) {
                    data.clear();
                }
                // Most events are of one line. Each line is parsed once, so that this takes no
                // longer than the body is long.
                match lenient::json_piece(line.as_bytes()) {
                    Ok(value) if data.is_empty() => values.push(event(kind, value)),
                    _ => data = data + line + "\n",
                }
            }
            ("event", name) => kind = name,
            _ => {} // A comment, such as `: OPENROUTER PROCESSING`, which keeps the connection open.
        }
    }
    if let Ok(value) = lenient::json_piece(data.as_bytes()) {
        values.push(event(kind, value));
    }
    (is_stream && !has_words || !values.is_empty()).then_some(Body::Stream(values, done))
}

/// Whether `data`, which may go on, begins as an object, a list or a string of JSON does.
fn is_json(data: &str) -> bool {
    data.trim_start().starts_with(['{', '[', '"'])
}

/// The value of an event, as an error where its kind says so.
fn event(kind: &str, value: Value) -> Value {
    match kind {
        "error" if value.get("error").is_none_or(Value::is_null) => json!({ "error": value }),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, bool)> {
        match events(text)? {
            Body::Stream(values, done) => Some((Value::from(values).to_string(), done)),
            Body::Whole(_) => unreachable!("a stream is no single value"),
        }
    }

    #[test]
    fn events_are_read_in_every_form() {
        for (text, expected, done) in [
            (
                "data: {\"a\":1}\n\ndata: {\"a\":2}\n\ndata: [DONE]\n\n",
                r#"[{"a":1},{"a":2}]"#,
                true,
            ),
            ("data:{\"a\":1}\r\n\r\ndata:[DONE]\r\n\r\n", r#"[{"a":1}]"#, true),
            (": OPENROUTER PROCESSING\n\n:\ndata: {\"a\":1}\n\n", r#"[{"a":1}]"#, false),
            ("id: 7\nretry: 100\nevent: delta\ndata: {\"a\":1}\n\n", r#"[{"a":1}]"#, false),
            ("data: {\"a\":\ndata: 1}\n\ndata: [DONE]", r#"[{"a":1}]"#, true),
            ("data: {\"a\":\ndata: 1}", r#"[{"a":1}]"#, false),
            ("data:\n\ndata: {\"a\":1}\n\ndata: {\"a\n", r#"[{"a":1}]"#, false),
            ("data: {\"a\":1}\ndata: {\"a\":2}\n", r#"[{"a":1},{"a":2}]"#, false),
            ("data: {\"a\":1}\rdata: [DONE]\r", r#"[{"a":1}]"#, true),
            ("{\"a\":1}\n{\"a\":2}\n", r#"[{"a":1},{"a":2}]"#, false),
            ("{\"a\":1}\n{\"a\":", r#"[{"a":1}]"#, false),
            ("data: {\"a\":1}\n\ndata: {\"a", r#"[{"a":1}]"#, false),
            ("data: {\"a\": NaN}\n\n", r#"[{"a":null}]"#, false),
            ("data: [DONE]\n", "[]", true),
            ("\u{feff}data: {\"a\":1}\n\n", r#"[{"a":1}]"#, false),
            // Words that keep the connection open, as events of their own or before another.
            ("data: ping\n\ndata: {\"a\":1}\n\ndata: [DONE]\n\n", r#"[{"a":1}]"#, true),
            ("data: {\"a\":1}\n\nevent: ping\ndata: keep-alive\n\n", r#"[{"a":1}]"#, false),
            ("data: keep-alive\ndata: {\"a\":\ndata: 1}\n\n", r#"[{"a":1}]"#, false),
            ("data: : ping\ndata: {\"a\":1}\n", r#"[{"a":1}]"#, false),
            ("data: {\"a\":1}\n\ndata: ping", r#"[{"a":1}]"#, false),
            ("data: {\n\"a\": 1\n}\n\n", r#"[{"a":1}]"#, false),
            ("event: error\ndata: out of memory\n\n", r#"[{"error":"out of memory"}]"#, false),
            (
                "event: error\ndata: {\"message\": \"m\"}\n\n",
                r#"[{"error":{"message":"m"}}]"#,
                false,
            ),
        ] {
            assert_eq!(read(text), Some((expected.to_owned(), done)), "{text}");
        }
    }

    #[test]
    fn what_is_no_stream_is_none() {
        for text in ["", "\n\n", "words: and more", "{\"a\":", "<html>\n</html>", "no\ndata here"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read("data: words\n\ndata: [DONE]\n\n"), None);
        assert_eq!(read("data: {\"a\":1}\n\ndata: {\"a\":\n\ndata: [DONE]\n\n"), None);
    }
}
