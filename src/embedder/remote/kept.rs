//! [`Kept`]: what a call has paid for before it failed, for the next call that asks for the same.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZero;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::dialect::Kind;
use crate::Usage;
use crate::embedder::Embedding;

/// The most embeddings that are kept: 4 MB of 1,024 values each.
const MOST: NonZero<usize> = NonZero::new(1024).unwrap();

/// An input as it is sent, by two hashes of 64 bits.
type Key = [u64; 2];

/// Embeddings of calls that failed on other inputs. Who embeds many images asks again for those that
/// can be embedded, and should not pay for them again.
pub(super) struct Kept(Mutex<Entries>);

/// The first embedding of an answer has what the answer took, until that is told.
type Entries = LruCache<Key, (Embedding, Option<Usage>)>;

impl Kept {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(MOST)))
    }

    /// The embedding of an input, and what was used for it and is not told yet.
    pub(super) fn get(&self, kind: Kind, sent: &str) -> Option<(Embedding, Option<Usage>)> {
        let mut kept = self.lock();
        if kept.is_empty() {
            return None; // As mostly; long inputs need not be hashed.
        }
        let (embedding, usage) = kept.get_mut(&key(kind, sent))?;
        Some((embedding.clone(), usage.take()))
    }

    /// Keeps those of `embeddings`, of the inputs `sent`, that there are, and that they took `usage`.
    pub(super) fn put<'a>(
        &self,
        kind: Kind,
        sent: &[String],
        embeddings: impl IntoIterator<Item = Option<&'a Embedding>>,
        mut usage: Option<Usage>,
    ) {
        let mut kept = self.lock();
        for (sent, embedding) in sent.iter().zip(embeddings) {
            if let Some(embedding) = embedding {
                kept.put(key(kind, sent), (embedding.clone(), usage.take()));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
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
