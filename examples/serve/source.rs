//! The command line to what is served.

use std::error::Error;

use clap::Args;

use super::served::Served;

/// What draws. A pipeline of your own is served by a line here that makes a [`Served`] of it.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Source {
    /// Serves the models and the gallery that the repository carries, which draw small animals. Needs the
    /// feature `tch`: run it with `cargo xtask cargo -- run --features tch --example serve`.
    #[arg(long)]
    tinyworld: bool,
    /// Serves parts that draw colours, for tests of clients. Needs the feature `testing`.
    #[arg(long)]
    fake: bool,
}

impl Source {
    /// Loads everything.
    pub(crate) fn open(&self, device: &str, dtype: &str) -> Result<Served, Box<dyn Error>> {
        match (self.tinyworld, self.fake) {
            (true, _) => tinyworld(device, dtype),
            _ => fake(),
        }
    }
}

#[cfg(feature = "testing")]
fn fake() -> Result<Served, Box<dyn Error>> {
    Ok(super::fakes::open()?)
}

#[cfg(not(feature = "testing"))]
fn fake() -> Result<Served, Box<dyn Error>> {
    Err("--fake: build with --features testing".into())
}

#[cfg(feature = "tch")]
fn tinyworld(device: &str, dtype: &str) -> Result<Served, Box<dyn Error>> {
    Ok(super::world::open(device.parse()?, dtype.parse()?)?)
}

#[cfg(not(feature = "tch"))]
fn tinyworld(_: &str, _: &str) -> Result<Served, Box<dyn Error>> {
    Err("--tinyworld: build with --features tch".into())
}
