//! The events of a request to a progress bar and lines of text.

use std::time::Duration;

use futures::StreamExt;
use futures::executor::block_on;
use imagerag::pipeline::{Event, Stage};
use imagerag::{Image, RagError, RagOutcome, RagPipeline, RagRequest};
use indicatif::{ProgressBar, ProgressStyle};

use crate::command::tell;

/// Runs `request`, shows each denoising step, and says what each stage found. The image of each round is
/// put into `images`.
pub(crate) fn run(
    pipeline: &RagPipeline,
    request: RagRequest,
    images: &mut Vec<(usize, Image)>,
) -> Result<RagOutcome, Box<RagError>> {
    let style = ProgressStyle::with_template("{msg:10} [{bar:30}] {pos}/{len} steps, {elapsed}");
    let bar =
        ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut events = pipeline.stream(request);
    loop {
        match block_on(events.next()) {
            Some(Event::StageBegan {
                stage: stage @ (Stage::Draft | Stage::Generate | Stage::Edit),
                ..
            }) => {
                bar.reset();
                bar.set_message(stage.to_string());
            }
            Some(Event::Step { step, .. }) => {
                bar.set_length(step.total as u64);
                bar.set_position(step.index as u64);
                if let Some(note) = step.note {
                    bar.suspend(|| tell!("note: {note}"));
                }
            }
            Some(Event::StageEnded(stage)) => {
                bar.suspend(|| stage.to_string().lines().for_each(|line| tell!("{line}")));
            }
            Some(Event::Image { round, image }) => images.push((round, image)),
            Some(Event::Done(result)) => {
                bar.finish_and_clear();
                return (*result).map_err(Box::new);
            }
            Some(_) => {}
            None => unreachable!("the last event is Done"),
        }
    }
}
