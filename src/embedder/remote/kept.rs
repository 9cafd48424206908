//! [`Kept`]: what a call has paid for before it failed, for the next call that asks for the same.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZero;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::dialect::Kind;
use crate::embedder::Embedding;

/// The most embeddings that are kept: 4 MB of 1,024 values each.
const MOST: NonZero<usize> = NonZero::new(1024).unwrap();

/// An input as it is sent, by two hashes of 64 bits.
type Key = [u64; 2];

/// Embeddings of calls that failed on other inputs. Who embeds many images asks again for those that
/// can be embedded, and should not pay for them again.
pub(super) struct Kept(Mutex<LruCache<Key, Embedding>>);

impl Kept {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(MOST)))
    }

    pub(super) fn get(&self, kind: Kind, sent: &str) -> Option<Embedding> {
        let mut kept = self.lock();
        // Mostly there are none, and long inputs need not be hashed.
        if kept.is_empty() { None } else { kept.get(&key(kind, sent)).cloned() }
    }

    pub(super) fn put(&self, kind: Kind, sent: &str, embedding: &Embedding) {
        self.lock().put(key(kind, sent), embedding.clone());
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Key, Embedding>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(kind: Kind, sent: &str) -> Key {
    [0_u8, 1].map(|number| {
        let mut hasher = DefaultHasher::new();
        (number, kind, sent).hash(&mut hasher);
        hasher.finish()
    })
}
