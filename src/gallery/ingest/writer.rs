//! The writer of a gallery, at work on the pool: whoever polls never waits for SQLite or a disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::gallery::{Gallery, GalleryWriter};
use crate::{Error, Result, pool};

/// A writer whose changes are made on the pool. Dropping it waits for the one under way, so that
/// the gallery is free for another writer.
#[derive(Debug)]
pub(in crate::gallery) struct Writer(Arc<Mutex<Option<GalleryWriter>>>);

impl Writer {
    pub(in crate::gallery) async fn open(gallery: &Gallery) -> Result<Self> {
        let gallery = gallery.clone();
        let writer = pool::run("opening a gallery", move || gallery.writer()).await?;
        Ok(Self(Arc::new(Mutex::new(Some(writer)))))
    }

    /// What `change` returns; [`Error::Cancelled`] when the writer was closed before it began.
    pub(in crate::gallery) async fn run<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut GalleryWriter) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let writer = Arc::clone(&self.0);
        let work = move || lock(&writer).as_mut().map_or(Err(Error::Cancelled), change);
        pool::run("writing to a gallery", work).await
    }

    pub(in crate::gallery) async fn close(self) -> Result<()> {
        let writer = Arc::clone(&self.0);
        let close = move || {
            *lock(&writer) = None;
            Ok(())
        };
        pool::run("closing a gallery", close).await
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        *lock(&self.0) = None;
    }
}

fn lock(writer: &Mutex<Option<GalleryWriter>>) -> MutexGuard<'_, Option<GalleryWriter>> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use futures::FutureExt;
    use futures::executor::block_on;

    use super::*;
    use crate::gallery::Fingerprint;

    #[test]
    fn changes_are_made_on_another_thread_and_dropping_waits_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let named = Fingerprint::named("any", 2).unwrap();
        let gallery = Gallery::create(folder.path().join("g"), &named).unwrap();
        let writer = block_on(Writer::open(&gallery)).unwrap();
        let there = block_on(writer.run(|_| Ok(thread::current().id()))).unwrap();
        assert_ne!(there, thread::current().id());
        let (begun, begins) = mpsc::channel();
        let mut slow = Box::pin(writer.run(move |_| {
            begun.send(()).unwrap();
            thread::sleep(Duration::from_millis(50));
            Ok(())
        }));
        assert!(slow.as_mut().now_or_never().is_none());
        begins.recv().unwrap();
        drop(slow);
        assert!(gallery.writer().is_err());
        drop(writer);
        assert!(gallery.writer().is_ok());
    }
}
