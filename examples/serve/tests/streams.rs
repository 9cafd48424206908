//! `stream: true`: server-sent events.

use base64::prelude::{BASE64_STANDARD, Engine};
use imagerag::Image;
use serde_json::{Value, json};

use super::server::{Form, Server, image};

/// The comments of a stream, and its events with their names.
async fn read(request: reqwest::RequestBuilder) -> (Vec<String>, Vec<(String, Value)>) {
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.headers()["content-type"], "text/event-stream");
    let text = reply.text().await.unwrap();
    let (mut comments, mut events) = (Vec::new(), Vec::new());
    for event in text.split("\n\n").filter(|event| !event.trim().is_empty()) {
        if let Some(comment) = event.trim().strip_prefix(':') {
            comments.push(comment.trim().to_owned());
            continue;
        }
        let (name, data) = event.trim().split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        events.push((name.strip_prefix("event: ").unwrap().to_owned(), data));
    }
    (comments, events)
}

fn pixels(event: &Value) -> Image {
    Image::decode(&BASE64_STANDARD.decode(event["b64_json"].as_str().unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn partial_images_come_before_the_image_and_are_no_more_than_asked_for() {
    let server = Server::fake(&[]);
    for model in ["imagerag", "imagerag-draft"] {
        let mut body = json!({ "prompt": "a quetzal", "seed": 7, "size": "16x16", "model": model });
        let expected = image(&server.ask("/images/generations", &body).await, 0);
        body["stream"] = true.into();
        for most in 0..=3usize {
            body["partial_images"] = most.into();
            let (comments, events) = read(server.post("/images/generations", &body)).await;
            let (last, partial) = events.split_last().unwrap();
            assert_eq!(partial.len(), most, "{model}: {events:?}");
            for (n, (name, data)) in partial.iter().enumerate() {
                assert_eq!(name, "image_generation.partial_image");
                assert_eq!(
                    (&data["type"], &data["partial_image_index"]),
                    (&json!(name), &json!(n))
                );
                assert_eq!(
                    (&data["size"], &data["output_format"]),
                    (&json!("16x16"), &json!("png"))
                );
                assert!(data["created_at"].is_u64() && data["background"].is_string());
                assert_eq!(pixels(data).width(), 16);
            }
            let (name, data) = last;
            assert_eq!(
                (name.as_str(), &data["type"]),
                ("image_generation.completed", &json!(name))
            );
            assert_eq!((pixels(data), &data["seed"]), (expected.clone(), &json!(7)));
            assert!(data["usage"]["total_tokens"].is_u64());
            assert_eq!(data["trace"].is_string(), model == "imagerag");
            // The draft is among them, whatever else is.
            if model == "imagerag" && most > 0 {
                body["model"] = "imagerag-draft".into();
                body["stream"] = false.into();
                let draft = image(&server.ask("/images/generations", &body).await, 0);
                assert!(partial.iter().any(|(_, data)| pixels(data) == draft), "{most}");
                body["model"] = model.into();
                body["stream"] = true.into();
            }
            let told = if model == "imagerag" { "round 1: generate 4/4" } else { "step 4/4" };
            assert!(comments.iter().any(|comment| comment == told), "{comments:?}");
        }
    }
}

#[tokio::test]
async fn edits_have_events_of_their_own() {
    let server = Server::fake(&[]);
    let form = Form::default()
        .text("prompt", "a cat")
        .text("stream", "true")
        .text("partial_images", "1")
        .text("output_format", "webp")
        .picture("image", &imagerag::testing::solid(4, 4, [9; 3]));
    let (_, events) = read(server.form("/images/edits", &form)).await;
    let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["image_edit.partial_image", "image_edit.completed"]);
    for (_, data) in &events {
        let bytes = BASE64_STANDARD.decode(data["b64_json"].as_str().unwrap()).unwrap();
        assert!(bytes.starts_with(b"RIFF") && data["output_format"] == "webp");
    }
}

#[tokio::test]
async fn a_failure_is_the_last_event() {
    let server = Server::fake(&[]);
    for (word, code) in [("[refuse]", json!("moderation_blocked")), ("[panic]", Value::Null)] {
        for model in ["imagerag", "imagerag-draft"] {
            let body = json!({ "prompt": word, "stream": true, "model": model });
            let (_, events) = read(server.post("/images/generations", &body)).await;
            let [(name, data)] = &events[..] else { panic!("{events:?}") };
            assert_eq!((name.as_str(), &data["error"]["code"]), ("error", &code));
            assert_eq!(data["trace"].is_string(), model == "imagerag");
        }
    }
}
