//! What a command does before it works and after it failed.

pub(crate) mod tell;

pub(crate) use tell::tell;

use std::error::Error;
use std::io::Write;
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
    let lines = imagerag::Chain::new(&*error).to_string();
    let told = lines.lines().map(tell::escaped).collect::<Vec<_>>().join("\n");
    // Perhaps nobody reads it.
    let _ = writeln!(std::io::stderr(), "error: {told}");
    ExitCode::FAILURE
}
