//! `POST /v1/embeddings` in every form of input.

use base64::prelude::{BASE64_STANDARD, Engine};
use imagerag::testing::{FakeEmbedder, solid};
use imagerag::{Embedder, EmbedderExt};
use serde_json::{Value, json};

use super::server::{Server, data_url, error};

const PATH: &str = "/embeddings";

/// The vectors of a reply.
fn vectors(reply: &Value) -> Vec<Vec<f32>> {
    let data = reply["data"].as_array().unwrap();
    data.iter()
        .enumerate()
        .map(|(n, one)| {
            assert_eq!((&one["index"], &one["object"]), (&json!(n), &json!("embedding")));
            match &one["embedding"] {
                Value::String(text) => {
                    let bytes = BASE64_STANDARD.decode(text).unwrap();
                    let (values, rest) = bytes.as_chunks::<4>();
                    assert!(rest.is_empty());
                    values.iter().copied().map(f32::from_le_bytes).collect()
                }
                values => serde_json::from_value(values.clone()).unwrap(),
            }
        })
        .collect()
}

#[tokio::test]
async fn texts_and_pictures_are_embedded_in_every_form() {
    let server = Server::fake(&[]);
    let green = solid(6, 4, [0, 200, 0]);
    let url = data_url(&green);
    let base64 = url.split_once(',').unwrap().1;
    let text = FakeEmbedder.embed_text("a red car").await.unwrap().values().to_vec();
    let picture = FakeEmbedder.embed_image(&green).await.unwrap().values().to_vec();
    let part = |url: Value| json!([{ "role": "user", "content": [{ "type": "image_url", "image_url": url }] }]);
    let cases = [
        (json!({ "input": "a red car" }), vec![&text]),
        (
            json!({ "input": ["a red car", "a red car"], "model": "imagerag-embed" }),
            vec![&text, &text],
        ),
        (json!({ "input": ["a red car"], "modality": "text", "dimensions": 3 }), vec![&text]),
        // Clients of OpenAI's form say nothing of a data URL but what it says itself.
        (json!({ "input": url }), vec![&picture]),
        (
            json!({ "input": ["a red car", url, url.replacen("data:image/png", "DATA:image/PNG;charset=x", 1)] }),
            vec![&text, &picture, &picture],
        ),
        (json!({ "input": url.replacen("image/png", "", 1) }), vec![&picture]),
        (json!({ "input": [url, url], "modality": "image" }), vec![&picture, &picture]),
        (
            json!({ "input": [{ "image": base64 }, { "text": "a red car" }, { "image": url }],
            "task": "retrieval.passage", "normalized": true, "embedding_type": "float" }),
            vec![&picture, &text, &picture],
        ),
        (json!({ "messages": [{ "role": "user", "content": "a red car" }] }), vec![&text]),
        (
            json!({ "messages": [{ "role": "user",
            "content": [{ "type": "text", "text": "a red car" }] }] }),
            vec![&text],
        ),
        (json!({ "messages": part(json!({ "url": url })) }), vec![&picture]),
        (json!({ "messages": part(json!(url)) }), vec![&picture]),
        (
            json!({ "messages": [{ "role": "user", "content": [
            { "type": "image_url", "image_url": { "url": url } },
            { "type": "text", "text": "<|vision_start|><|image_pad|><|vision_end|>" }] }] }),
            vec![&picture],
        ),
    ];
    for (mut body, expected) in cases {
        let reply = server.ask(PATH, &body).await;
        assert_eq!(vectors(&reply).iter().collect::<Vec<_>>(), expected, "{body}");
        assert_eq!((&reply["object"], &reply["model"]), (&json!("list"), &json!("imagerag-embed")));
        assert!(reply["usage"]["total_tokens"].is_u64());
        body["encoding_format"] = "base64".into();
        let reply = server.ask(PATH, &body).await;
        assert!(reply["data"][0]["embedding"].is_string());
        assert_eq!(vectors(&reply).iter().collect::<Vec<_>>(), expected, "{body}");
    }
    // What is said to be a text is one, and so is what only begins like a data URL.
    for words in [json!({ "input": url, "modality": "text" }), json!({ "input": { "text": url } })]
    {
        let expected = FakeEmbedder.embed_text(&url).await.unwrap().values().to_vec();
        assert_eq!(vectors(&server.ask(PATH, &words).await), [expected]);
    }
    for words in ["data: the new oil, they say", "data:", "data:image/png"] {
        let expected = FakeEmbedder.embed_text(words).await.unwrap().values().to_vec();
        assert_eq!(vectors(&server.ask(PATH, &json!({ "input": words })).await), [expected]);
    }
    // An empty text has an embedding as well.
    let empty = FakeEmbedder.embed_texts(&[""]).await.unwrap()[0].values().to_vec();
    assert_eq!(vectors(&server.ask(PATH, &json!({ "input": [""] })).await), [empty]);
}

#[tokio::test]
async fn what_cannot_be_embedded_is_said() {
    let server = Server::fake(&[]);
    let both = json!([{ "role": "user", "content": [{ "type": "text", "text": "a cat" },
        { "type": "image_url", "image_url": { "url": data_url(&solid(2, 2, [0; 3])) } }] }]);
    let cases = [
        (json!({}), 400, "input", "found nothing"),
        (json!({ "input": [] }), 400, "input", "1 to 2048 inputs"),
        (json!({ "input": [[1, 2]] }), 400, "input", "found a list"),
        (json!({ "input": [{ "audio": "x" }] }), 400, "input", "expected {\"text\"}"),
        (json!({ "input": ["http://a/b.png"], "modality": "image" }), 400, "input", "fetches none"),
        (json!({ "input": "data:image/svg+xml,<svg/>" }), 400, "input", "another data URL"),
        (json!({ "input": "a", "modality": "audio" }), 400, "modality", "text or image"),
        (json!({ "input": "a", "dimensions": 2 }), 400, "dimensions", "expected 3, found 2"),
        (
            json!({ "input": "a", "encoding_format": "int8" }),
            400,
            "encoding_format",
            "float or base64",
        ),
        (json!({ "messages": both }), 400, "messages", "one text or one picture"),
        (
            json!({ "input": "a", "messages": [{ "role": "user", "content": "b" }] }),
            400,
            "input",
            "either input or messages",
        ),
        (json!({ "input": "a", "model": "clip" }), 404, "model", "imagerag-embed"),
    ];
    for (body, status, param, message) in cases {
        let (found, error) = error(server.post(PATH, &body).send().await.unwrap()).await;
        assert_eq!((found, &error["param"]), (status, &json!(param)), "{body}: {error}");
        assert!(error["message"].as_str().unwrap().contains(message), "{body}: {error}");
    }
}
