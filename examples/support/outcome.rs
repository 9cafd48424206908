//! A request to its files: image, draft, trace, page and contact sheet, side by side.

use std::error::Error;
use std::path::{Path, PathBuf};

use imagerag::pipeline::TracePage;
use imagerag::{RagPipeline, RagRequest};

use crate::command::tell;
use crate::progress;
use crate::sheet::{Row, contact_sheet};

/// Runs `request`, and writes the image to `out` and the rest beside it; with `html` also a page that
/// shows what happened. What was drawn and said before an error is kept too.
pub(crate) fn draw(
    pipeline: &RagPipeline,
    request: RagRequest,
    out: &Path,
    html: bool,
) -> Result<(), Box<dyn Error>> {
    let (caption, page) = (request.prompt.clone(), beside(out, "trace.html"));
    let mut images = Vec::new();
    let result = progress::run(pipeline, request, &mut images);
    let outcome = result.inspect_err(|error| {
        if let Some(best) = &error.best {
            kept(out, best.save(out));
        }
        let trace = beside(out, "trace.json");
        kept(&trace, std::fs::write(&trace, error.trace.to_json()));
        if html {
            let shown = TracePage::from(&**error).with_images(images.clone());
            kept(&page, shown.save(&page));
        }
    })?;
    tell!("stopped    {}", outcome.stop);
    outcome.image.save(out)?;
    tell!("wrote      {}", out.display());
    std::fs::write(beside(out, "trace.json"), outcome.trace.to_json())?;
    if html {
        TracePage::from(&outcome).with_images(images.clone()).save(&page)?;
        tell!("wrote      {}", page.display());
    }
    let mut pictures = vec![outcome.draft.clone()];
    let mut columns = vec!["draft"];
    for reference in &outcome.references {
        columns.push("reference");
        pictures.push(reference.picture.loaded().cloned());
    }
    columns.push("result");
    pictures.push(Some(outcome.image));
    let row = Row { caption, pictures };
    contact_sheet("prompt", &columns, &[row])?.save(beside(out, "sheet.png"))?;
    if let Some(draft) = outcome.draft {
        draft.save(beside(out, "draft.png"))?;
    }
    Ok(())
}

/// Tells whether what there was before an error could be written to `path`.
fn kept<E: Error>(path: &Path, result: Result<(), E>) {
    match result {
        Ok(()) => eprintln!("kept       {}", path.display()),
        Err(error) => eprintln!("not kept   {}: {error}", path.display()),
    }
}

/// The file `NAME.ending` beside `NAME.png`.
fn beside(out: &Path, ending: &str) -> PathBuf {
    out.with_extension(ending)
}
