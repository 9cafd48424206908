//! A way to load a system to one that is loaded for its first picture and dropped after its last.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;

use async_trait::async_trait;
use futures::channel::oneshot;
use futures::lock::Mutex;

use super::{Draw, System, SystemError, SystemOutcome};
use crate::{Error, RagRequest, Result};

type Load = dyn Fn() -> Result<Arc<dyn Draw>> + Send + Sync;

/// What is loaded when it is needed.
pub(super) struct Lazy {
    settings: String,
    calls: u64,
    load: Arc<Load>,
    /// Held while it is loaded, so that it is loaded once.
    loading: Mutex<()>,
    loaded: RwLock<Option<Arc<dyn Draw>>>,
}

impl System {
    /// A system whose models `load` loads when its first picture is drawn; when nothing more is to be drawn
    /// they are dropped. So the models of a long table need not be in memory together, and none is loaded
    /// where every picture is there already.
    ///
    /// As the parts cannot be asked before, `settings` says everything that the pictures depend on, and
    /// `calls_per_picture` how many questions to a service one takes.
    ///
    /// `load` may block. Where it fails the system is given up, and no picture is recorded as failed.
    pub fn lazy<D: Draw>(
        name: impl Into<String>,
        settings: impl Into<String>,
        calls_per_picture: u64,
        load: impl Fn() -> Result<D> + Send + Sync + 'static,
    ) -> Self {
        let load = Arc::new(move || Ok(Arc::new(load()?) as Arc<dyn Draw>));
        Self::new(
            name,
            Lazy {
                settings: settings.into(),
                calls: calls_per_picture,
                load,
                loading: Mutex::new(()),
                loaded: RwLock::new(None),
            },
        )
    }
}

impl Lazy {
    fn loaded(&self) -> Option<Arc<dyn Draw>> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, loaded: Option<Arc<dyn Draw>>) {
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
    }

    async fn parts(&self) -> Result<Arc<dyn Draw>, Error> {
        if let Some(loaded) = self.loaded() {
            return Ok(loaded);
        }
        let _loading = self.loading.lock().await;
        if let Some(loaded) = self.loaded() {
            return Ok(loaded);
        }
        // A thread of its own: what it waits for may need every thread of a pool.
        let (load, (reply, loaded)) = (Arc::clone(&self.load), oneshot::channel());
        thread::spawn(move || drop(reply.send(load())));
        let panicked = |_| Error::backend("loading a system", "its thread panicked");
        let loaded = loaded.await.map_err(panicked)??;
        self.put(Some(Arc::clone(&loaded)));
        Ok(loaded)
    }
}

#[async_trait]
impl Draw for Lazy {
    fn settings(&self) -> String {
        self.settings.clone()
    }

    fn calls_per_picture(&self) -> u64 {
        self.calls
    }

    async fn prepare(&self) -> Result<()> {
        self.parts().await.map(drop)
    }

    async fn draw(&self, request: RagRequest) -> Result<SystemOutcome, SystemError> {
        self.parts().await?.draw(request).await
    }

    fn finished(&self) {
        self.put(None);
    }
}

impl fmt::Debug for Lazy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lazy").field("settings", &self.settings).finish_non_exhaustive()
    }
}
