//! What a command does before it works and after it failed.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

/// Makes sure, before any work, that an image can be written to `out`: its ending names a format,
/// and its folder is there.
pub(crate) fn prepare(out: &Path) -> Result<(), Box<dyn Error>> {
    image::ImageFormat::from_path(out).map_err(|error| format!("{}: {error}", out.display()))?;
    if let Some(folder) = out.parent() {
        let failed = |error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    Ok(())
}

/// Ends the program; an error is told with its causes.
pub(crate) fn end(result: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("error: {}", imagerag::Chain::new(&*error));
    ExitCode::FAILURE
}
