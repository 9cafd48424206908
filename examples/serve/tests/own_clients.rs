//! The library's own clients against the server: `OpenAiImages` and `RemoteEmbedder`.

use std::sync::{Arc, Mutex};

use imagerag::conditioner::Conditioning;
use imagerag::embedder::{EmbeddingApi, RemoteEmbedder};
use imagerag::generator::{
    GenerateRequest, GeneratorExt, ImagesProfile, OpenAiImages, OpenAiImagesBuilder, Progress,
};
use imagerag::testing::{FakeEmbedder, FakeGenerator, conformance, solid};
use imagerag::{EmbedderExt, Error};
use serde_json::json;

use super::server::Server;

fn client(server: &Server, model: &str) -> OpenAiImagesBuilder {
    OpenAiImages::builder(model).base_url(&server.address).api_key("").max_retries(0)
}

#[tokio::test]
async fn the_generator_behind_the_server_keeps_the_contract() {
    let server = Server::fake(&["--workers", "4"]);
    for model in ["imagerag", "imagerag-draft"] {
        conformance::generator(&client(&server, model).build().unwrap()).await;
    }
}

#[tokio::test]
async fn it_draws_what_the_generator_draws_by_itself() {
    let server = Server::fake(&[]);
    let remote = client(&server, "imagerag-draft").build().unwrap();
    assert_eq!(remote.profile(), ImagesProfile::SelfHosted);
    let request = GenerateRequest::new("a cat").with_seed(7).with_size(24, 16).with_steps(3);
    let request = request.with_negative_prompt("blur").with_guidance_scale(2.0);
    let here = FakeGenerator::new();
    let expected = here.generate_one(&request).await.unwrap().image;
    let drawn = remote.generate_one(&request).await.unwrap();
    assert_eq!((drawn.image, drawn.note), (expected, None));
    let pictures = vec![solid(4, 4, [200, 0, 0]), solid(6, 2, [0, 0, 200])];
    let request = request.with_conditioning(Conditioning::Images(pictures));
    let mut named = request.clone();
    named.prompt = "<img><|image_1|></img> <img><|image_2|></img> a cat".to_owned();
    let expected = here.generate_one(&named).await.unwrap().image;
    assert_eq!(remote.generate_one(&request).await.unwrap().image, expected);
}

#[tokio::test]
async fn partial_images_are_previews() {
    let server = Server::fake(&[]);
    let remote = client(&server, "imagerag").profile(ImagesProfile::OpenAi).build().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let progress = Progress::new(move |step| kept.lock().unwrap().push((step.index, step.preview)));
    let request = GenerateRequest::new("a quetzal").with_size(1024, 1024);
    let request = request.with_progress(progress.with_previews_every(1));
    let drawn = remote.generate_one(&request).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2]);
    assert!(
        seen.iter().all(|(_, preview)| preview.as_ref().is_some_and(|one| *one != drawn.image))
    );
}

#[tokio::test]
async fn failures_are_the_errors_that_callers_branch_on() {
    let server = Server::fake(&["--api-key", "key", "--queue", "0"]);
    let remote = client(&server, "imagerag").api_key("key").build().unwrap();
    let failed = async |remote: &OpenAiImages, prompt: &str| {
        remote.generate_one(&GenerateRequest::new(prompt)).await.unwrap_err()
    };
    let refused = failed(&remote, "[refuse]").await;
    assert!(matches!(refused, Error::Refused { .. }), "{refused:?}");
    let status = |error: Error| match error {
        Error::Service { status, message, .. } => (status, message),
        other => panic!("{other:?}"),
    };
    assert_eq!(status(failed(&remote, "[fail]").await).0, 500);
    let other = client(&server, "imagerag").api_key("other").build().unwrap();
    assert_eq!(status(failed(&other, "a").await).0, 401);
    let unknown = client(&server, "gpt-9").api_key("key").build().unwrap();
    let (found, message) = status(failed(&unknown, "a").await);
    assert!(found == 404 && message.contains("imagerag-draft"), "{message}");
    // A full queue is worth another try, and dropping a call frees its place.
    let held = tokio::spawn(async move { failed(&remote, "[hold]").await });
    server.until(|images| images["running"] == 1).await;
    let remote = client(&server, "imagerag").api_key("key").build().unwrap();
    let full = remote.generate_one(&GenerateRequest::new("a")).await.unwrap_err();
    assert!(
        full.is_transient()
            && matches!(full, Error::Service { status: 429, retry_after: Some(_), .. })
    );
    held.abort();
    server.until(|images| images["running"] == 0 && images["cancelled"] == json!(1)).await;
    assert!(remote.generate_one(&GenerateRequest::new("a")).await.is_ok());
}

#[tokio::test]
async fn embeddings_are_those_of_the_embedder_in_every_form() {
    let server = Server::fake(&["--workers", "4", "--queue", "100"]);
    let picture = solid(6, 4, [0, 200, 0]);
    for api in [EmbeddingApi::Vllm, EmbeddingApi::Jina, EmbeddingApi::Infinity] {
        let remote = RemoteEmbedder::builder("imagerag-embed")
            .api(api)
            .base_url(&server.address)
            .api_key("")
            .connect()
            .await
            .unwrap();
        conformance::embedder(&remote).await;
        for (text, close) in [("a green car", true), ("a red car", false)] {
            let here = FakeEmbedder.embed_text(text).await.unwrap();
            let there = remote.embed_text(text).await.unwrap();
            assert!(there.similarity(&here) > 0.999_99);
            let shown = remote.embed_image(&picture).await.unwrap();
            assert_eq!(there.similarity(&shown) > 0.99, close, "{text}");
        }
    }
}
