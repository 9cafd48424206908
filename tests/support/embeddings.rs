//! A service that gives embeddings, in the form of each API.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use imagerag::Image;
use imagerag::embedder::{EmbeddingApi, RemoteEmbedder, RemoteEmbedderBuilder};
use serde_json::{Value, json};

use crate::support::{Request, answer, raw_server};

pub(crate) const KEY: &str = "sk-proj-3xAmPl3";

/// Values of an embedding.
pub(crate) const DIM: usize = 6;

pub(crate) const APIS: [EmbeddingApi; 7] = [
    EmbeddingApi::Vllm,
    EmbeddingApi::Jina,
    EmbeddingApi::Infinity,
    EmbeddingApi::OpenAi,
    EmbeddingApi::Cohere,
    EmbeddingApi::Voyage,
    EmbeddingApi::Gemini,
];

/// One input, as a service reads it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Input {
    Text(String),
    /// The first pixel and the size.
    Image([u8; 3], u32, u32),
}

/// What a request asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: Value,
    pub(crate) inputs: Vec<Input>,
}

/// What the service does with a request, if it does not answer it: a status, headers and a body.
pub(crate) type Fault = dyn Fn(usize, &Asked) -> Option<(u16, String, String)> + Send + Sync;

/// A service of this process, with what it was asked.
pub(crate) struct Fake {
    pub(crate) api: EmbeddingApi,
    pub(crate) origin: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// How often each input was embedded.
    embedded: Arc<Mutex<HashMap<Input, usize>>>,
}

impl Fake {
    pub(crate) fn new(api: EmbeddingApi) -> Self {
        Self::faulty(api, |_, _| None)
    }

    /// A service with faults; they are told how many requests there were before.
    pub(crate) fn faulty(
        api: EmbeddingApi,
        fault: impl Fn(usize, &Asked) -> Option<(u16, String, String)> + Send + Sync + 'static,
    ) -> Self {
        let (asked, embedded) =
            (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<Mutex<HashMap<_, _>>>::default());
        let (fault, log, counts): (Arc<Fault>, _, _) =
            (Arc::new(fault), Arc::clone(&asked), Arc::clone(&embedded));
        let (origin, _) = raw_server(move |_, request, stream| {
            let asked = read(api, request);
            let number = {
                let mut log = log.lock().unwrap();
                log.push(asked.clone());
                log.len() - 1
            };
            match fault(number, &asked) {
                Some((status, headers, body)) => {
                    answer(stream, &format!("{status} Status"), &headers, &body);
                }
                None => {
                    for input in &asked.inputs {
                        *counts.lock().unwrap().entry(input.clone()).or_insert(0) += 1;
                    }
                    let vectors = asked.inputs.iter().map(vector).collect::<Vec<_>>();
                    answer(stream, "200 OK", "", &reply(api, &vectors).to_string());
                }
            }
        });
        Self { api, origin, asked, embedded }
    }

    pub(crate) fn builder(&self) -> RemoteEmbedderBuilder {
        RemoteEmbedder::builder("some-clip")
            .api(self.api)
            .base_url(format!("{}/v1", self.origin))
            .api_key(KEY)
            .timeout(Duration::from_secs(20))
            .first_wait(Duration::from_millis(2))
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often each image was embedded, but for those of the size `but`.
    pub(crate) fn images(&self, but: (u32, u32)) -> HashMap<Input, usize> {
        let embedded = self.embedded.lock().unwrap();
        let is_counted = |input: &Input| matches!(input, Input::Image(_, w, h) if (*w, *h) != but);
        embedded
            .iter()
            .filter(|(input, _)| is_counted(input))
            .map(|(i, n)| (i.clone(), *n))
            .collect()
    }
}

/// The picture of a data URL.
fn picture(url: &str) -> Input {
    let data = url.split_once(";base64,").map_or(url, |(_, data)| data);
    let image = Image::decode(&STANDARD.decode(data).expect("base64")).expect("a picture");
    let pixel = image.pixels()[..3].try_into().unwrap();
    Input::Image(pixel, image.width(), image.height())
}

/// What `request` asks for, read as strictly as the service does.
fn read(api: EmbeddingApi, request: &Request) -> Asked {
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    let text = |value: &Value| Input::Text(value.as_str().expect("a text").to_owned());
    let url = |value: &Value| picture(value.as_str().expect("a URL"));
    let part = |part: &Value| match part["type"].as_str() {
        Some("text") => text(&part["text"]),
        Some("image_url") => url(&part["image_url"]["url"]),
        Some("image_base64") => url(&part["image_base64"]),
        other => panic!("a part of the type {other:?}"),
    };
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let inputs = match api {
        EmbeddingApi::Vllm => vec![part(&body["messages"][0]["content"][0])],
        EmbeddingApi::Jina => list(&body["input"])
            .iter()
            .map(|one| if one["text"].is_null() { url(&one["image"]) } else { text(&one["text"]) })
            .collect(),
        EmbeddingApi::Infinity => {
            let images = body["modality"] == "image";
            list(&body["input"])
                .iter()
                .map(|one| if images { url(one) } else { text(one) })
                .collect()
        }
        EmbeddingApi::OpenAi => list(&body["input"])
            .iter()
            .map(
                |one| if one.as_str().unwrap().starts_with("data:") { url(one) } else { text(one) },
            )
            .collect(),
        EmbeddingApi::Gemini => list(&body["requests"])
            .iter()
            .map(|one| match &one["content"]["parts"][0] {
                part if part["text"].is_null() => url(&part["inlineData"]["data"]),
                part => text(&part["text"]),
            })
            .collect(),
        _ => list(&body["inputs"]).iter().map(|one| part(&one["content"][0])).collect(),
    };
    Asked { head: request.head.clone(), body, inputs }
}

/// An embedding that differs for inputs that do.
pub(crate) fn vector(input: &Input) -> Vec<f32> {
    let mut values = match input {
        Input::Text(text) => {
            let sum = text
                .bytes()
                .fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
            sum.to_le_bytes().map(|byte| f32::from(byte) / 255.0).to_vec()
        }
        Input::Image([r, g, b], width, _) => {
            [*r, *g, *b, (width % 251) as u8].map(|byte| f32::from(byte) / 255.0).to_vec()
        }
    };
    values.extend([0.5, if matches!(input, Input::Text(_)) { 0.5 } else { -0.5 }]);
    values
}

/// The service's answer with `vectors`.
pub(crate) fn reply(api: EmbeddingApi, vectors: &[Vec<f32>]) -> Value {
    let tokens = 10 * vectors.len();
    match api {
        EmbeddingApi::Cohere => json!({
            "id": "1",
            "embeddings": { "float": vectors },
            "meta": { "billed_units": { "input_tokens": tokens as f64 } },
        }),
        EmbeddingApi::Gemini => {
            let embeddings = vectors.iter().map(|values| json!({ "values": values }));
            json!({
                "embeddings": embeddings.collect::<Value>(),
                "usageMetadata": { "promptTokenCount": tokens, "totalTokenCount": tokens },
            })
        }
        _ => {
            let entry = |(index, embedding)| json!({ "object": "embedding", "index": index, "embedding": embedding });
            json!({
                "object": "list",
                "data": vectors.iter().enumerate().map(entry).collect::<Value>(),
                "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
            })
        }
    }
}
