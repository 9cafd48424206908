//! The whole loop over HTTP with default features: a service that draws, one that sees, one that embeds,
//! and a gallery of one's own pictures.

mod services;

use futures::executor::block_on;
use imagerag::conditioner::InPrompt;
use imagerag::embedder::{EmbeddingApi, RemoteEmbedder};
use imagerag::gallery::ingest::{Folder, Ingest};
use imagerag::gallery::{Gallery, GalleryRetriever};
use imagerag::generator::{GenerateRequest, GeneratorExt, OpenAiImages};
use imagerag::pipeline::{RagConfig, StopReason};
use imagerag::vlm::OpenAiVlm;
use imagerag::{Error, RagPipeline, RagRequest};
use outside::{mean, solid};

#[test]
fn the_loop_runs_over_http() -> Result<(), Box<dyn std::error::Error>> {
    block_on(draw())
}

async fn draw() -> Result<(), Box<dyn std::error::Error>> {
    let (url, asked) = services::start();
    let folder = tempfile::tempdir()?;
    let photos = folder.path().join("photos");
    std::fs::create_dir(&photos)?;
    for (name, rgb) in [("red", [250, 0, 0]), ("green", [0, 250, 0]), ("blue", [0, 0, 250])] {
        solid(48, rgb)?.save(photos.join(name).with_extension("png"))?;
    }

    // Embedded once, through the service.
    let embedder = RemoteEmbedder::builder("eye")
        .api(EmbeddingApi::Jina)
        .base_url(&url)
        .api_key(services::KEY)
        .connect()
        .await?;
    let gallery = Gallery::open_or_create(folder.path().join("birds.gallery"), &embedder).await?;
    let ingest = Ingest::into(&gallery).with_embedder(embedder.clone());
    let report = ingest.run(Folder::open(&photos)?, |_| ()).await?;
    assert_eq!(report.added, 3);

    let generator =
        OpenAiImages::builder("painter").base_url(&url).api_key(services::KEY).build()?;
    let vlm = OpenAiVlm::builder("seer").base_url(&url).api_key(services::KEY).build()?;
    let pipeline = RagPipeline::builder()
        .generator(generator)
        .vlm(vlm)
        .retriever(GalleryRetriever::new(embedder, gallery).await?)
        .conditioner(InPrompt::new(1)?)
        .config(RagConfig::default().with_max_rounds(2))
        .build()?;
    let outcome = pipeline.run(RagRequest::new("a blue bird at dawn").with_seed(7)).await?;

    // The draft was grey; the reference made it blue.
    assert_eq!(outcome.stop, StopReason::Matched { round: 1 });
    let [red, green, blue] = mean(&outcome.image);
    assert!(red < 20.0 && green < 20.0 && blue > 200.0, "{red} {green} {blue}");
    assert_eq!(outcome.references.len(), 1);
    assert!(outcome.references[0].provenance.source.to_string().ends_with("blue.png"));
    let asked = asked.lock().unwrap();
    let draws: Vec<_> = asked.iter().filter(|one| one.path.contains("/images/")).collect();
    assert_eq!([&*draws[0].path, &*draws[1].path], ["/v1/images/generations", "/v1/images/edits"]);
    assert_eq!(mean(&draws[1].pictures[0]).map(|one| one as u8), [0, 0, 250]);
    assert!(draws[1].body["prompt"].as_str().unwrap().contains("image 1"), "{:?}", draws[1].body);
    let usage = outcome.trace.usage();
    assert_eq!(usage.images, 2);
    assert!(usage.prompt_tokens > 2 * 20 && usage.completion_tokens >= 2 * 100, "{usage}");

    // A wrong key is told, and not repeated in what is told.
    let wrong = OpenAiImages::builder("painter").base_url(&url).api_key("sk-wrong-key").build()?;
    let error = wrong.generate_one(&GenerateRequest::new("a blue bird")).await.unwrap_err();
    assert!(matches!(error, Error::Service { status: 401, .. }), "{error}");
    assert!(!format!("{wrong:?} {error} {error:?}").contains("sk-wrong-key"));
    Ok(())
}
