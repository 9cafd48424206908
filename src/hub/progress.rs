//! What the hub's client tells while it downloads to one running total.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hf_hub::progress::{DownloadEvent, ProgressEvent, ProgressHandler};

/// How far a download is.
///
/// ```no_run
/// use imagerag::hub::{DownloadProgress, Hub};
///
/// fn bar(at: &DownloadProgress) {
///     let percent = 100 * at.bytes_done / at.bytes_total.max(1);
///     eprint!("\r{percent} %, {} of {} files", at.files_done, at.files_total);
/// }
///
/// let hub = Hub::builder().on_progress(bar).build()?;
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DownloadProgress {
    /// Files that are here, those that were here before among them.
    pub files_done: usize,
    /// Files in all.
    pub files_total: usize,
    /// Bytes that are here, those that were here before among them.
    pub bytes_done: u64,
    /// Bytes in all.
    pub bytes_total: u64,
}

/// Told about progress; called from the thread that downloads, so it should return soon.
pub(super) type Listener = Arc<dyn Fn(&DownloadProgress) + Send + Sync>;

/// The running total of one download, and when it last moved.
pub(super) struct Tally {
    listener: Option<Listener>,
    state: Mutex<State>,
}

struct State {
    progress: DownloadProgress,
    /// Bytes of the files that are under way.
    under_way: HashMap<String, u64>,
    /// Bytes of the files that are done.
    done: u64,
    moved: Instant,
}

impl Tally {
    pub(super) fn new(listener: Option<Listener>, files: usize, bytes_total: u64) -> Arc<Self> {
        let none = DownloadProgress::default();
        let progress = DownloadProgress { files_total: files, bytes_total, ..none };
        let state = State { progress, under_way: HashMap::new(), done: 0, moved: Instant::now() };
        Arc::new(Self { listener, state: Mutex::new(state) })
    }

    /// A file of `size` bytes is here.
    pub(super) fn done(&self, name: &str, size: u64) {
        self.change(|state| {
            state.under_way.remove(name);
            state.done += size;
            state.progress.files_done += 1;
        });
    }

    /// How long nothing has moved.
    pub(super) fn stalled(&self) -> Duration {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).moved.elapsed()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        state.moved = Instant::now();
        let bytes = state.done + state.under_way.values().sum::<u64>();
        state.progress.bytes_done = bytes.min(state.progress.bytes_total);
        let progress = state.progress;
        drop(state);
        if let Some(listener) = &self.listener {
            listener(&progress);
        }
    }
}

impl ProgressHandler for Tally {
    fn on_progress(&self, event: &ProgressEvent) {
        match event {
            ProgressEvent::Download(DownloadEvent::Progress { files }) => self.change(|state| {
                for file in files {
                    state.under_way.insert(file.filename.clone(), file.bytes_completed);
                }
            }),
            _ => self.change(|_| {}),
        }
    }
}
