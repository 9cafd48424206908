//! One picture's options to an image file.

use std::error::Error;
use std::time::Instant;

use futures::executor::block_on;
use imagerag::generator::{Drawn, GenerateRequest, Progress};
use imagerag::{Generator, GeneratorExt};
use indicatif::{ProgressBar, ProgressStyle};

use crate::picture::Picture;

use crate::command::tell;

/// The request for `picture`. What is wrong with it is told before anything is loaded, as far as it can be
/// known without the model.
pub(crate) fn request(
    picture: &Picture,
    steps: Option<usize>,
    guidance: Option<f64>,
    negative_prompt: Option<&str>,
) -> imagerag::Result<GenerateRequest> {
    let mut request = GenerateRequest::new(&picture.prompt);
    request.negative_prompt = negative_prompt.map(str::to_owned);
    request.seed = picture.seed;
    (request.width, request.height) = (picture.width, picture.height);
    (request.steps, request.guidance_scale) = (steps, guidance);
    request.validate()?;
    Ok(request)
}

/// Draws `request`, telling of its steps, and writes the image.
pub(crate) fn draw(
    generator: &dyn Generator,
    mut request: GenerateRequest,
    picture: &Picture,
) -> std::result::Result<(), Box<dyn Error>> {
    let style =
        ProgressStyle::with_template("drawing    [{bar:30}] {pos}/{len} steps, {eta} left")?;
    let bar = ProgressBar::new(0).with_style(style);
    let shown = bar.clone();
    request.progress = Progress::new(move |step| {
        shown.set_length(step.total as u64);
        shown.set_position(step.index as u64);
    });
    let began = Instant::now();
    let image = block_on(generator.generate_one(&request));
    let steps = bar.position();
    bar.finish_and_clear();
    let Drawn { image, note, .. } = image?;
    let (width, height) = (image.width(), image.height());
    for warning in request.conditioning.warnings(width, height) {
        tell!("warning    {warning}");
    }
    if let Some(note) = note {
        tell!("note       {note}");
    }
    tell!("drawn      {width}x{height}, {steps} steps, {:.1?}", began.elapsed());
    image.save(&picture.out)?;
    tell!("wrote      {}", picture.out.display());
    Ok(())
}
