//! The events of a request to a progress bar and lines of text.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use futures::executor::block_on;
use imagerag::critic::Verdict;
use imagerag::pipeline::{Event, Record, Refusal, Stage};
use imagerag::reference::Source;
use imagerag::{RagError, RagOutcome, RagPipeline, RagRequest};
use indicatif::{ProgressBar, ProgressStyle};

/// Runs `request`, shows each denoising step, and says what each stage found.
pub(crate) fn run(
    pipeline: &RagPipeline,
    request: RagRequest,
) -> Result<RagOutcome, Box<RagError>> {
    let style = ProgressStyle::with_template("{msg:10} [{bar:30}] {pos}/{len} steps, {elapsed}");
    let bar =
        ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut events = pipeline.stream(request);
    loop {
        match block_on(events.next()) {
            Some(Event::StageBegan { stage: stage @ (Stage::Draft | Stage::Generate), .. }) => {
                bar.reset();
                bar.set_message(stage.to_string());
            }
            Some(Event::Step { step, .. }) => {
                bar.set_length(step.total as u64);
                bar.set_position(step.index as u64);
            }
            Some(Event::StageEnded(stage)) => {
                if let Some(record) = &stage.record {
                    bar.suspend(|| tell(record, stage.elapsed));
                }
            }
            Some(Event::Done(result)) => {
                bar.finish_and_clear();
                return (*result).map_err(Box::new);
            }
            Some(_) => {}
            None => unreachable!("the last event is Done"),
        }
    }
}

fn tell(record: &Record, elapsed: Duration) {
    match record {
        Record::Image(image) => {
            println!(
                "drawn      {}x{} in {elapsed:.1?}: {}",
                image.width, image.height, image.prompt
            );
        }
        Record::Critique(critique) => {
            match &critique.verdict {
                Verdict::Match => println!("critique   it matches the prompt"),
                Verdict::Missing(captions) => {
                    let concepts: Vec<_> = captions.iter().map(|c| c.concept.as_str()).collect();
                    println!("critique   missing: {}", concepts.join(", "));
                }
                Verdict::Undetermined => println!("critique   cannot say what is missing"),
            }
            if let Some(reason) = &critique.reason {
                println!("           because {reason}");
            }
        }
        Record::Captions { captions, fallback } => {
            let note = if *fallback { " (the prompt stands in)" } else { "" };
            for caption in captions {
                println!("look for   {}{note}", caption.text);
            }
        }
        Record::Hits(hits) => {
            // What merely came after the ones that are used is in the trace.
            for hit in hits.iter().filter(|hit| hit.refused != Some(Refusal::NoRoom)) {
                let refused = hit.refused.as_ref().map(|refusal| format!(", not used: {refusal}"));
                println!(
                    "found      {:.3} {} ({}){}",
                    hit.provenance.score,
                    shortened(&hit.provenance.source),
                    hit.provenance.metadata.license.as_deref().unwrap_or("license unknown"),
                    refused.unwrap_or_default()
                );
            }
        }
        _ => {}
    }
}

/// A source below this folder by its relative path.
fn shortened(source: &Source) -> String {
    let source = source.to_string();
    let here = std::env::current_dir().unwrap_or_default();
    let below = Path::new(&source).strip_prefix(here).map(|path| path.display().to_string());
    below.unwrap_or(source)
}
