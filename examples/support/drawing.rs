//! One picture's options, and pictures to take as examples, to an image file.

use std::error::Error;
use std::time::Instant;

use futures::executor::block_on;
use imagerag::conditioner::{ConditionRequest, Conditioning};
use imagerag::generator::{Drawn, GenerateRequest, Progress};
use imagerag::reference::{Caption, Provenance, Reference, Source};
use imagerag::{Conditioner, Generator, GeneratorExt, Image, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::picture::Picture;

use crate::command::tell;

/// The request for `picture`.
pub(crate) fn request(picture: &Picture) -> GenerateRequest {
    let mut request = GenerateRequest::new(&picture.prompt);
    request.seed = picture.seed;
    (request.width, request.height) = (picture.width, picture.height);
    request
}

/// `images` as a generator consumes them.
pub(crate) fn conditioning(
    conditioner: &dyn Conditioner,
    prompt: &str,
    images: Vec<Image>,
) -> Result<Conditioning> {
    let references: Vec<_> = images
        .into_iter()
        .enumerate()
        .map(|(n, image)| Reference {
            picture: image.into(),
            caption: Caption::concept(prompt),
            provenance: Provenance::new(Source::Caller(n), "caller", 1.0, n),
        })
        .collect();
    Ok(block_on(conditioner.condition(&ConditionRequest::new(prompt, references)))?.conditioning)
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
