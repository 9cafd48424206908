//! What a peer's program is asked for, and what it took as one line of JSON.

use std::collections::HashMap;
use std::error::Error;
use std::str::FromStr;
use std::time::Duration;

/// Pairs of `--name value`.
pub(crate) struct Arguments(HashMap<String, String>);

impl Arguments {
    /// Those of this process.
    pub(crate) fn read() -> Self {
        let words: Vec<String> = std::env::args().skip(1).collect();
        Self(
            words.as_chunks().0.iter().map(|[name, value]| (name.clone(), value.clone())).collect(),
        )
    }

    /// The value of `name`.
    pub(crate) fn get(&self, name: &str) -> Result<&str, Box<dyn Error>> {
        Ok(self.0.get(name).ok_or(format!("{name} is missing"))?)
    }

    /// The number in `name`.
    pub(crate) fn number<T: FromStr<Err: Error + 'static>>(
        &self,
        name: &str,
    ) -> Result<T, Box<dyn Error>> {
        Ok(self.get(name)?.parse()?)
    }
}

/// Prints how long loading, each image and each step took, and the most memory held at once.
pub(crate) fn report(
    load: Duration,
    images: &[Duration],
    steps: &[Duration],
) -> Result<(), Box<dyn Error>> {
    println!(
        "{{\"load\": {}, \"images\": {:?}, \"steps\": {:?}, \"peak_mb\": {}}}",
        load.as_secs_f64(),
        seconds(images),
        seconds(steps),
        peak_mb()?
    );
    Ok(())
}

fn seconds(durations: &[Duration]) -> Vec<f64> {
    durations.iter().map(Duration::as_secs_f64).collect()
}

/// The most memory that this process has held at once, in MB; Linux only.
fn peak_mb() -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse::<f64>()? / 1024.0)
}
