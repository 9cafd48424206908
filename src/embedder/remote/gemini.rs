//! Gemini's `batchEmbedContents`: a request for each input, in one call.

use serde_json::{Value, json};

use super::dialect::{Dialect, Limits, Request, data_of};
use crate::net::config::{Api, Key};

pub(super) struct Gemini;

static API: Api = Api {
    default_url: "https://generativelanguage.googleapis.com/v1beta",
    base_url_variable: "GEMINI_BASE_URL",
    api_key_variable: "GEMINI_API_KEY", // As Google's own client reads it.
    key: Key::Header("x-goog-api-key"),
    endpoint: "models",
    max_reply: super::MAX_REPLY,
};

impl Dialect for Gemini {
    fn api(&self) -> &'static Api {
        &API
    }

    fn limits(&self) -> Limits {
        // Google's reference: 20 MB a request with inline pictures.
        Limits { batch: 16, bytes: 16 << 20, concurrency: 4, image_side: 1024 }
    }

    fn endpoint(&self, model: &str) -> String {
        format!("models/{}:batchEmbedContents", model.trim_start_matches("models/"))
    }

    fn body(&self, request: &Request<'_>) -> Value {
        let model = format!("models/{}", request.model.trim_start_matches("models/"));
        let embed = |part: Value| {
            let mut one = json!({ "model": model, "content": { "parts": [part] } });
            if let Some(dimensions) = request.dimensions {
                one["outputDimensionality"] = dimensions.into();
            }
            one
        };
        let image = |url: &str| {
            let (mime_type, data) = data_of(url);
            embed(json!({ "inlineData": { "mimeType": mime_type, "data": data } }))
        };
        json!({ "requests": request.each(|text| embed(json!({ "text": text })), image) })
    }
}
