//! What the generators behind HTTP share: requests that are checked to images, several at a time. A service
//! is a [`Dialect`]: what it takes, and how one request is put to it.

mod asked;
mod gemini;
mod openai_images;
mod reference;
mod sd_server;

use std::future::Future;
use std::sync::Arc;

use base64::Engine;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::GeneralPurposeConfig;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Map, Value};

use super::{Drawn, GenerateRequest};
use crate::conditioner::ConditioningKind;
use crate::image::Image;
use crate::net::reply::Service;
use crate::{Result, net, pool};

pub use gemini::{GeminiImages, GeminiImagesBuilder};
pub use sd_server::{References, SdGuidance, SdServer, SdServerBuilder};

pub use openai_images::{ImagesProfile, OpenAiImages, OpenAiImagesBuilder};

/// How one service is asked for an image.
pub(super) trait Dialect: Send + Sync + 'static {
    /// The service, as traces and errors name it.
    fn name(&self) -> &str;

    /// See [`Generator::accepts`](super::Generator::accepts).
    fn accepts(&self) -> &[ConditioningKind];

    /// Refuses what the service cannot draw, before anything is sent.
    fn check(&self, request: &GenerateRequest) -> Result<()>;

    /// The image for one request that was checked. It runs on the crate's own runtime.
    fn draw(
        self: Arc<Self>,
        request: GenerateRequest,
    ) -> impl Future<Output = Result<Drawn>> + Send + 'static;
}

/// The images for `requests`, of which at most `concurrency` are on their way at a time. The first error
/// ends the calls that are not done.
pub(super) async fn generate<D: Dialect>(
    dialect: &Arc<D>,
    concurrency: usize,
    requests: &[GenerateRequest],
) -> Result<Vec<Drawn>> {
    for request in requests {
        request.validate()?;
        request.validate_conditioning(dialect.accepts())?;
        dialect.check(request)?;
    }
    // A closure of `'static` work, so that the future is `Send` whatever the lifetime of `requests`.
    let draw = |request: GenerateRequest| {
        let dialect = Arc::clone(dialect);
        async move { net::run(dialect.name(), Arc::clone(&dialect).draw(request)).await }
    };
    let calls: Vec<_> = requests.iter().cloned().map(draw).collect();
    stream::iter(calls).buffered(concurrency).try_collect().await
}

/// The image in the base64 text of a reply of `service`, with or without `data:image/…;base64,` before it.
pub(super) async fn picture(service: &Service, base64: String) -> Result<Image> {
    /// Services leave out the padding, or not.
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    let name = service.name.clone();
    pool::run("decoding a reply", move || {
        let text = match base64.split_once(";base64,") {
            Some((head, rest)) if head.trim_start().starts_with("data:") => rest,
            _ => &base64,
        };
        // Some break lines, and some write what stands in URLs.
        let plain = |byte: &u8| match byte {
            b'-' => Some(b'+'),
            b'_' => Some(b'/'),
            byte => (!byte.is_ascii_whitespace()).then_some(*byte),
        };
        let text: Vec<u8> = text.as_bytes().iter().filter_map(plain).collect();
        let bytes = LENIENT.decode(&text).map_err(|error| {
            let found = format!("{} characters that are none: {error}", text.len());
            crate::Error::invalid_reply(&name, "an image in base64", found)
        })?;
        Image::decode_reply(&name, &bytes)
    })
    .await
}

/// Puts `fields` into the object `body`, and those of objects within into the objects that are there.
fn merge(body: &mut Value, fields: &Map<String, Value>) {
    for (name, value) in fields {
        match value.as_object().filter(|_| body[name].is_object()) {
            Some(inner) => merge(&mut body[name], inner),
            None => body[name] = value.clone(),
        }
    }
}
