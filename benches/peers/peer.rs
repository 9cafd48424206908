//! A request's words to images drawn one after the other, and what they took as one line of JSON.

use std::collections::HashMap;
use std::error::Error;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use imagerag::generator::{GenerateRequest, Progress};
use imagerag::retriever::{Caption, Provenance, Reference, Source};
use imagerag::{Conditioner, Generator, Image};

/// Pairs of `--name value`.
pub(crate) struct Arguments(HashMap<String, String>);

impl Arguments {
    /// Those of this process.
    pub(crate) fn read() -> Self {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let pairs = words.as_chunks().0.iter();
        Self(pairs.map(|[name, value]| (name.clone(), value.clone())).collect())
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

/// Draws what is `given` as often as it says, each time anew, and prints how long each image and
/// each step took, how long `load` did, and the most memory held at once.
pub(crate) fn measure(
    given: &Arguments,
    load: Duration,
    generator: &dyn Generator,
    conditioner: &dyn Conditioner,
) -> Result<(), Box<dyn Error>> {
    let reference = Reference {
        image: Image::open(given.get("--reference")?)?,
        caption: Caption::concept("the reference"),
        provenance: Provenance::new(Source::Caller(0), "caller", 1.0, 0),
    };
    let ends = Arc::new(Mutex::new(Vec::<Instant>::new()));
    let (mut images, mut steps) = (Vec::new(), Vec::new());
    for _ in 0..given.number("--images")? {
        ends.lock().unwrap().clear();
        let listener = Arc::clone(&ends);
        let start = Instant::now();
        let mut request = GenerateRequest::new(given.get("--prompt")?);
        // The same prompt as the peer's: the template that names the references is left out.
        request.conditioning =
            block_on(conditioner.condition("", std::slice::from_ref(&reference)))?.conditioning;
        request.steps = Some(given.number("--steps")?);
        request.guidance_scale = given.get("--guidance").ok().map(str::parse).transpose()?;
        request.seed = given.number("--seed")?;
        let size = given.number("--size")?;
        (request.width, request.height) = (Some(size), Some(size));
        request.progress = Progress::new(move |_| listener.lock().unwrap().push(Instant::now()));
        let image = block_on(generator.generate(&[request]))?.swap_remove(0);
        images.push(start.elapsed().as_secs_f64());
        let ends = ends.lock().unwrap();
        steps.extend(ends.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()));
        image.save(given.get("--out")?)?;
    }
    let (load, peak) = (load.as_secs_f64(), peak_mb()?);
    println!(
        "{{\"load\": {load}, \"images\": {images:?}, \"steps\": {steps:?}, \"peak_mb\": {peak}}}"
    );
    Ok(())
}

/// The most memory that this process has held at once, in MB; Linux only.
fn peak_mb() -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse::<f64>()? / 1024.0)
}
