//! A part of one's own: a retriever over two pictures, in under 40 lines.
//!
//! ```text
//! cargo run --features testing --example custom_retriever
//! ```
//!
//! prints `a red thing was drawn with red.png (CC0-1.0), score 1`.

use std::fmt;

use clap::Parser;
use futures::executor::block_on;
use imagerag::conditioner::InPrompt;
use imagerag::reference::{Caption, Provenance, Reference, Source};
use imagerag::retriever::{RetrieveRequest, Retriever};
use imagerag::testing::{FakeCritic, FakeGenerator, conformance, solid};
use imagerag::{RagPipeline, Result, async_trait};

#[derive(Debug)]
struct Colours;

impl fmt::Display for Colours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Colours")
    }
}

#[async_trait]
impl Retriever for Colours {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let shelf = [("red", [255, 0, 0]), ("blue", [0, 0, 255])];
        let find = |caption: &Caption| {
            let named =
                shelf.iter().filter(|(name, _)| caption.text.contains(name)).take(request.limit);
            let reference = |(rank, (name, rgb)): (usize, &(&str, [u8; 3]))| {
                let source = Source::Uri(format!("{name}.png"));
                let mut provenance = Provenance::new(source, self, 1.0, rank);
                provenance.metadata.license = Some("CC0-1.0".to_owned());
                Reference {
                    picture: solid(64, 64, *rgb).into(),
                    caption: caption.clone(),
                    provenance,
                }
            };
            named.enumerate().map(reference).collect()
        };
        Ok(request.captions.iter().map(find).collect())
    }
}

/// Draws with a retriever of one's own, on fakes.
#[derive(Parser)]
struct Options {}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    Options::parse();
    block_on(conformance::retriever(&Colours, &[Caption::concept("a red thing")]));

    let pipeline = RagPipeline::builder()
        .generator(FakeGenerator::new())
        .critic(FakeCritic::new().missing(["a red thing"]))
        .retriever(Colours)
        .conditioner(InPrompt::new(1)?)
        .build()?;
    let outcome = block_on(pipeline.run("a red thing"))?;
    let Provenance { source, metadata, score, .. } = &outcome.references[0].provenance;
    let license = metadata.license.as_deref().unwrap_or("license unknown");
    println!("a red thing was drawn with {source} ({license}), score {score}");
    Ok(())
}
