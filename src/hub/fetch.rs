//! A place on the hub to a folder or file on this machine: list, choose, download, check.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use hf_hub::repository::RepoTypeModel;
use hf_hub::{HFClient, HFRepository, HFResult};

use super::errors::sort;
use super::local::Local;
use super::place::{Place, is_commit, is_safe};
use super::progress::{Listener, Tally};
use super::select::{missing, select};
use crate::net::secrets::Secrets;
use crate::{Error, Result, lenient};

/// How many files are downloaded at a time.
const AT_ONCE: usize = 4;
/// What a pipeline of diffusers calls the list of its components.
const INDEX: &str = "model_index.json";

/// Everything one download needs.
#[derive(Clone)]
pub(super) struct Fetch {
    pub(super) client: HFClient,
    /// The token, kept out of errors.
    pub(super) secrets: Secrets,
    /// Whether the place was a path first, which led nowhere on this machine.
    pub(super) looked_here: bool,
    pub(super) stall: Duration,
    /// The variant of weights that is preferred, such as `fp16`; empty for those without one.
    pub(super) variant: String,
    pub(super) offline: bool,
    pub(super) listener: Option<Listener>,
}

impl Fetch {
    /// The files of `place` that a loader needs, downloaded where they are not here yet.
    pub(super) async fn run(self, place: Place) -> Result<PathBuf> {
        let local = Local::new(self.client.cache_dir(), &place);
        // 1. A commit that is here whole, or no network by the caller's wish.
        if self.offline || is_commit(place.revision()) {
            match self.cached(&place, &local) {
                Err(_) if !self.offline => {}
                found => return found,
            }
        }
        // 2. The hub; and where it cannot be reached, what is here.
        match self.fetched(&place, &local).await {
            Err(error @ (Error::Connection { .. } | Error::Timeout { .. })) => {
                self.cached(&place, &local).map_err(|_| error)
            }
            other => other,
        }
    }

    fn cached(&self, place: &Place, local: &Local) -> Result<PathBuf> {
        let revision = place.revision();
        let commit =
            local.commit(revision).ok_or_else(|| self.unknown(not_cached(place, revision)))?;
        let files = local.files(&commit);
        let components = if files.iter().any(|(name, _)| *name == within(place, INDEX)) {
            components(place, &local.snapshot(&commit).join(within(place, INDEX)))?
        } else {
            None
        };
        match self.choose(place, &files, components.as_deref()) {
            Ok(_) => Ok(local.snapshot(&commit).join(place.path())),
            Err(lacking) => Err(not_cached(place, &lacking)),
        }
    }

    async fn fetched(&self, place: &Place, local: &Local) -> Result<PathBuf> {
        let (owner, name) = place.owner_and_name();
        let repo = self.client.model(owner, name);
        let quiet = Tally::new(None, 0, 0);

        // 1. Which commit the revision is, and what is in it.
        let info = repo.info().revision(place.revision()).send();
        let info = self.watched(place, &quiet, info).await.map_err(|error| self.unknown(error))?;
        let commit = info.sha.unwrap_or_default();
        if !is_commit(&commit) {
            return Err(self.nonsense("a commit of 40 hexadecimal digits", &commit));
        }
        let files = self.watched(place, &quiet, list(&repo, &commit)).await?;
        if let Some((hostile, _)) = files.iter().find(|(name, _)| !is_safe(name)) {
            return Err(self.nonsense("file names within the repository", hostile));
        }

        // 2. Which of them are needed.
        let index = within(place, INDEX);
        let components = match files.iter().find(|(name, _)| *name == index) {
            Some((_, size)) => {
                self.download(place, local, &repo, &commit, (&index, *size), &quiet).await?;
                components(place, &local.snapshot(&commit).join(&index))?
            }
            None => None,
        };
        let chosen = self.choose(place, &files, components.as_deref());
        let chosen = chosen.map_err(|lacking| lacks(place, &lacking, &files))?;

        // 3. Those that are not here.
        let bytes = chosen.iter().map(|(_, size)| size).sum();
        let tally = Tally::new(self.listener.clone(), chosen.len(), bytes);
        let mut downloads = Vec::with_capacity(chosen.len());
        for file in chosen {
            downloads.push(self.download(place, local, &repo, &commit, file, &tally));
        }
        stream::iter(downloads).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        local.note(place.revision(), &commit)?;
        Ok(local.snapshot(&commit).join(place.path()))
    }

    /// The files of the place that are needed, or what is lacking.
    fn choose<'a>(
        &self,
        place: &Place,
        files: &'a [(String, u64)],
        components: Option<&[String]>,
    ) -> Result<Vec<(&'a str, u64)>, String> {
        let (path, prefix) = (place.path(), within(place, ""));
        if let Some((name, size)) = files.iter().find(|(name, _)| name == path) {
            return Ok(vec![(name, *size)]);
        }
        let inside: Vec<&str> =
            files.iter().filter_map(|(name, _)| name.strip_prefix(&prefix)).collect();
        let chosen = select(&inside, components, &self.variant);
        if let Some(lacking) = missing(&chosen, components) {
            return Err(format!("{prefix}{lacking}"));
        }
        let is_chosen =
            |name: &str| name.strip_prefix(&prefix).is_some_and(|name| chosen.contains(&name));
        let files = files.iter().filter(|(name, _)| is_chosen(name));
        Ok(files.map(|(name, size)| (name.as_str(), *size)).collect())
    }

    /// One file, unless it is here; afterwards it has the size that the hub lists.
    async fn download(
        &self,
        place: &Place,
        local: &Local,
        repo: &HFRepository<RepoTypeModel>,
        commit: &str,
        (name, size): (&str, u64),
        tally: &Arc<Tally>,
    ) -> Result<()> {
        if local.size(commit, name) != Some(size) {
            local.remove(commit, name);
            let download = repo.download_file().filename(name).revision(commit);
            let download = download.progress(Arc::clone(tally)).send();
            let path = self.watched(place, tally, download).await?;
            // The client stores whatever came; an error's body must not stay as weights.
            if let Some(found) = local.size(commit, name).filter(|found| *found != size) {
                local.remove(commit, name);
                let (expected, found) = (format!("{size} bytes"), format!("{found} bytes"));
                return Err(Error::invalid_file(path, "download", expected, found));
            }
        }
        tally.done(name, size);
        Ok(())
    }

    /// Waits for a call to the hub as long as something moves.
    async fn watched<T: Send>(
        &self,
        place: &Place,
        tally: &Tally,
        call: impl Future<Output = HFResult<T>> + Send,
    ) -> Result<T> {
        let mut call = pin!(call);
        let mut wait = self.stall;
        loop {
            match tokio::time::timeout(wait, &mut call).await {
                Ok(outcome) => return outcome.map_err(|error| sort(error, self, place)),
                Err(_) if tally.stalled() < self.stall => {
                    wait = self.stall - tally.stalled().min(self.stall);
                }
                Err(_) => return Err(Error::Timeout { what: self.service(), limit: self.stall }),
            }
        }
    }

    fn nonsense(&self, expected: &str, found: &str) -> Error {
        let (service, found) = (self.service(), format!("{found:?}"));
        Error::InvalidReply { service, expected: expected.into(), found }
    }

    /// The hub, as errors name it.
    pub(super) fn service(&self) -> String {
        format!("the hub at {}", self.client.endpoint())
    }

    /// An error before it is known whether the repository exists: it may have been meant as a path.
    fn unknown(&self, mut error: Error) -> Error {
        if self.looked_here
            && let Error::Service { service: what, .. }
            | Error::Connection { service: what, .. }
            | Error::Timeout { what, .. }
            | Error::Unavailable { what, .. } = &mut error
        {
            what.push_str(", asked for as there is no such file or folder here,");
        }
        error
    }
}

/// Every file of a commit, with its size in bytes.
async fn list(repo: &HFRepository<RepoTypeModel>, commit: &str) -> HFResult<Vec<(String, u64)>> {
    use hf_hub::repository::RepoTreeEntry;
    let tree = repo.list_tree().revision(commit).recursive(true).send()?;
    let file = |entry| async move {
        Ok(match entry {
            RepoTreeEntry::File { path, size, .. } => Some((path, size)),
            RepoTreeEntry::Directory { .. } => None,
        })
    };
    tree.try_filter_map(file).try_collect().await
}

/// `name` in the folder that the place is.
fn within(place: &Place, name: &str) -> String {
    match place.path() {
        "" => name.to_owned(),
        path => format!("{path}/{name}"),
    }
}

/// The folders that a `model_index.json` names: `"unet": ["diffusers", "UNet2DConditionModel"]`, and
/// `[null, null]` where a component is left out.
fn components(place: &Place, index: &std::path::Path) -> Result<Option<Vec<String>>> {
    let text = std::fs::read(index).map_err(|source| Error::io(index, source))?;
    let invalid = |found: String| Error::invalid_file(index, "components", "a JSON object", found);
    let json: serde_json::Value =
        lenient::json(&text).map_err(|error| invalid(error.to_string()))?;
    let fields = json.as_object().ok_or_else(|| invalid(format!("another value, in {place}")))?;
    let folders = fields.iter().filter(|(name, value)| {
        value.as_array().is_some_and(|pair| pair.iter().all(serde_json::Value::is_string))
            && is_safe(name)
    });
    Ok(Some(folders.map(|(name, _)| name.clone()).collect()))
}

/// A place that is needed and neither in the cache nor allowed to be fetched.
fn not_cached(place: &Place, missing: &str) -> Error {
    let reason = format!("the cache lacks {missing}, and HF_HUB_OFFLINE forbids to fetch it");
    Error::Unavailable { what: place.to_string(), reason }
}

/// The error of a place that has not what a loader needs.
fn lacks(place: &Place, lacking: &str, files: &[(String, u64)]) -> Error {
    let prefix = within(place, "");
    let inside: Vec<&str> = files
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| name.starts_with(&prefix))
        .take(20)
        .collect();
    let found = if inside.is_empty() { "nothing there".into() } else { inside.join(", ") };
    Error::invalid_input(place.to_string(), lacking, found)
}
