//! A whole application on services: its own generator and embedder, a VLM, a gallery, many prompts
//! at once, costs, and Ctrl-C that loses nothing.
//!
//! ```text
//! cargo run --features gallery --example app
//! ```
//!
//! draws 50 birds that no model knows, with services that it starts on this machine. With
//! `--draw-url`, `--embed-url` and `--vlm-url` it asks yours. It ends with
//!
//! ```text
//! ended      50 requests, 0 of them cut off or failed; see imagerag-out/app
//! used       39004 + 569 tokens, 95 images
//! cost       $3.8959
//! ```

mod parts;
mod services;
#[path = "../support/stub.rs"]
mod stub;
mod world;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use futures::StreamExt;
use imagerag::conditioner::InPrompt;
use imagerag::gallery::ingest::Ingest;
use imagerag::gallery::{Gallery, GalleryRetriever};
use imagerag::middleware::{Limit, Retry};
use imagerag::pipeline::{Event, RagConfig, RagTrace};
use imagerag::vlm::OpenAiVlm;
use imagerag::{RagError, RagOutcome, RagPipeline, RagRequest, Usage};
use parts::{EMBEDDER, HttpEmbedder, HttpGenerator, price};

/// Draws many prompts with services.
#[derive(Parser)]
struct Options {
    /// Address of a service that draws as `parts.rs` says.
    #[arg(long, value_name = "URL")]
    draw_url: Option<String>,
    /// Address of a service that embeds as `parts.rs` says.
    #[arg(long, value_name = "URL")]
    embed_url: Option<String>,
    /// Address of any service that speaks chat completions. Its key is read from OPENAI_API_KEY.
    #[arg(long, value_name = "URL")]
    vlm_url: Option<String>,
    #[arg(long, default_value = "gpt-4o-2024-08-06")]
    vlm_model: String,
    /// How many requests are worked on at a time.
    #[arg(long, default_value_t = 50)]
    concurrency: usize,
    /// How long the services on this machine take for a reply, in milliseconds.
    #[arg(long, default_value_t = 20)]
    latency: u64,
    /// Where the gallery, the images and the traces go.
    #[arg(long, default_value = "imagerag-out/app")]
    out: PathBuf,
    /// What to draw; the birds if nothing is said.
    prompts: Vec<String>,
}

/// The status of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    std::fs::create_dir_all(&options.out)?;
    let (pipeline, embedded) = pipeline(&options).await?;
    let prompts = match options.prompts.as_slice() {
        [] => world::prompts(),
        own => own.to_vec(),
    };
    let requests = prompts.into_iter().map(|prompt| RagRequest::new(prompt).with_seed(7));
    let mut ended = Ended::new(&options.out, embedded);
    let mut events = pipeline.stream_many(requests, options.concurrency);
    let mut interrupt = pin!(tokio::signal::ctrl_c());
    let is_interrupted = loop {
        tokio::select! {
            event = events.next() => match event {
                Some((number, Event::Done(result))) => ended.keep(number, *result)?,
                Some((number, Event::StageEnded(stage))) => {
                    println!("[{number:02}]       round {}, {}", stage.round, stage.stage);
                }
                Some(_) => {}
                None => break false,
            },
            _ = &mut interrupt => {
                // What was done for the requests in progress is kept as well.
                for (number, result) in events.cancel() {
                    ended.keep(number, result)?;
                }
                break true;
            }
        }
    };
    ended.tell();
    Ok(if is_interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

/// The pipeline over the services, those of the options or small ones on this machine, and what
/// embedding the gallery used, which is in no trace.
async fn pipeline(options: &Options) -> Result<(RagPipeline, Usage), Box<dyn Error>> {
    let here = services::start(Duration::from_millis(options.latency))?;
    let vlm_here = format!("{here}/v1");
    let or_here = |url: &Option<String>| url.clone().unwrap_or_else(|| here.clone());
    let vlm = OpenAiVlm::builder(&options.vlm_model)
        .base_url(options.vlm_url.as_ref().unwrap_or(&vlm_here))
        .build()?;
    let vlm = Arc::new(vlm);
    // What passes is tried again; the service takes no more than 8 calls at a time.
    let generator = HttpGenerator::new(&or_here(&options.draw_url));
    let generator = Retry::new(generator, 3).with_first_wait(Duration::from_millis(50));
    let embedder = HttpEmbedder::connect(&or_here(&options.embed_url)).await?;

    let gallery = Gallery::open_or_create(options.out.join("gallery"), &embedder).await?;
    let ingest = Ingest::into(&gallery).with_embedder(embedder.clone());
    let taken = ingest.run(world::pictures()?, |_| {}).await?;
    println!("gallery    {taken}");

    let pipeline = RagPipeline::builder()
        .generator(Limit::new(generator, 8)?)
        .vlm(Arc::clone(&vlm))
        .verifier(vlm)
        .retriever(GalleryRetriever::new(embedder, gallery).await?)
        .conditioner(InPrompt::new(1)?)
        .config(RagConfig::default().with_max_rounds(2))
        .build()?;
    Ok((pipeline, taken.usage))
}

/// The requests that have ended, one way or the other, and what they and the gallery used.
struct Ended<'a> {
    out: &'a Path,
    requests: usize,
    errors: usize,
    usage: Usage,
    cost: f64,
}

impl<'a> Ended<'a> {
    /// Begins with what `embedded` the gallery.
    fn new(out: &'a Path, embedded: Usage) -> Self {
        let cost = embedded.cost(&price(EMBEDDER));
        Self { out, requests: 0, errors: 0, usage: embedded, cost }
    }

    /// Keeps image and trace of a request; where it failed, those that there are.
    fn keep(
        &mut self,
        number: usize,
        result: Result<RagOutcome, RagError>,
    ) -> Result<(), Box<dyn Error>> {
        let (image, trace): (_, Box<RagTrace>) = match result {
            Ok(outcome) => {
                println!("[{number:02}] done  {}", outcome.stop);
                (Some(outcome.image), outcome.trace.into())
            }
            Err(error) => {
                println!("[{number:02}] ended {}", error.chain());
                self.errors += 1;
                (error.best, error.trace)
            }
        };
        if let Some(image) = image {
            image.save(self.out.join(format!("{number:02}.png")))?;
        }
        std::fs::write(self.out.join(format!("{number:02}.json")), trace.to_json())?;
        self.requests += 1;
        self.usage += trace.usage();
        self.cost += trace.cost(price);
        Ok(())
    }

    fn tell(&self) {
        let Self { out, requests, errors, usage, cost } = self;
        let out = out.display();
        println!("ended      {requests} requests, {errors} of them cut off or failed; see {out}");
        println!("used       {usage}");
        println!("cost       ${cost:.4}");
    }
}
