//! A repository's name to its weights on this machine, through the Hugging Face Hub and its cache.

mod builder;
mod errors;
mod fetch;
mod local;
mod place;
mod progress;
mod select;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::hub::fetch::Fetch;
use crate::{Error, Result, net};

pub use builder::HubBuilder;
pub use place::Place;
pub use progress::DownloadProgress;

/// A folder or file as it is, or what [`Hub::fetch`] gives for the repository of that name, with
/// the settings of the environment.
///
/// ```no_run
/// use futures::executor::block_on;
/// use imagerag::hub;
///
/// # fn main() -> imagerag::Result<()> {
/// let sdxl = block_on(hub::resolve("stabilityai/stable-diffusion-xl-base-1.0"))?;
/// let encoder = block_on(hub::resolve("h94/IP-Adapter/models/image_encoder"))?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Hub::resolve`].
pub async fn resolve(path_or_place: &str) -> Result<PathBuf> {
    if Path::new(path_or_place).exists() {
        return Ok(path_or_place.into());
    }
    Hub::new()?.resolve(path_or_place).await
}

/// Downloads checkpoints by repository name and revision, into the cache that all clients of the
/// hub share.
///
/// - The environment is respected: `HF_ENDPOINT`, `HF_HOME` and `HF_HUB_CACHE`, `HF_TOKEN`,
///   `HF_TOKEN_PATH` and the token file, `HF_HUB_OFFLINE`.
/// - Only what a loader reads is fetched: settings, vocabularies and safetensors, of which the
///   `fp16` variant where there is one; no copies for other runtimes, nothing twice.
/// - What is in the cache is not fetched again. A commit that is there whole needs no network; a
///   branch falls back on what it last stood for when the hub cannot be reached.
/// - Any executor will do. Dropping the future ends the download; files that are done stay.
///
/// ```no_run
/// use imagerag::hub::{Hub, Place};
///
/// # fn main() -> imagerag::Result<()> {
/// let hub = Hub::builder()
///     .full_precision(true)
///     .on_progress(|at| eprint!("\r{} of {} bytes", at.bytes_done, at.bytes_total))
///     .build()?;
/// let place: Place = "openai/clip-vit-base-patch32".parse()?;
/// let folder = futures::executor::block_on(hub.fetch(&place))?;
/// println!("{}", folder.join("config.json").display());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Hub(Fetch);

impl Hub {
    /// The hub of the environment.
    ///
    /// # Errors
    /// As [`HubBuilder::build`].
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// Settings for a hub.
    pub fn builder() -> HubBuilder {
        HubBuilder::default()
    }

    /// A folder or file as it is where there is one; else what [`fetch`](Self::fetch) gives for the
    /// place of that name.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for what is neither there nor a repository's name; else as
    /// [`fetch`](Self::fetch). Each says that there is no such file or folder on this machine.
    pub async fn resolve(&self, path_or_place: &str) -> Result<PathBuf> {
        if Path::new(path_or_place).exists() {
            return Ok(path_or_place.into());
        }
        let place: Place = path_or_place.parse().map_err(|_| {
            Error::invalid_input(
                "checkpoint",
                "a folder or file that exists, or OWNER/NAME[/PATH][@REVISION] on the hub",
                format!("{path_or_place:?}: there is no such file or folder here"),
            )
        })?;
        let fetch = Fetch { looked_here: true, ..self.0.clone() };
        net::run("the hub", fetch.run(place)).await
    }

    /// The folder or file on this machine that holds what loaders read of `place`.
    ///
    /// # Errors
    /// - [`Error::Service`] for a repository, revision or file that is not there, is gated or is not
    ///   for this token.
    /// - [`Error::Connection`] and [`Error::Timeout`] where the hub cannot be reached and the cache
    ///   does not hold the place.
    /// - [`Error::InvalidInput`] for a place without what a loader reads, such as safetensors.
    /// - [`Error::InvalidFile`] for a download of another size than the hub lists.
    /// - [`Error::InvalidReply`] for a hub that names files outside of the repository or otherwise
    ///   makes no sense.
    pub async fn fetch(&self, place: &Place) -> Result<PathBuf> {
        net::run("the hub", self.0.clone().run(place.clone())).await
    }
}

impl fmt::Display for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.client.endpoint())
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("endpoint", &self.0.client.endpoint())
            .field("cache", &self.0.client.cache_dir())
            .finish_non_exhaustive()
    }
}
