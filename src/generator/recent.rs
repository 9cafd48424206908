//! What was computed lately, kept for when it is asked for again.

use std::collections::VecDeque;

/// The latest few values by their keys; the one unused for longest goes first.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    capacity: usize,
    /// The latest first.
    entries: VecDeque<(K, V)>,
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { capacity, entries: VecDeque::new() }
    }

    /// Whether the value of `key` is at hand.
    pub(super) fn contains(&self, key: &K) -> bool {
        self.entries.iter().any(|(known, _)| known == key)
    }

    /// The value of `key`, made by `make` where it is not at hand.
    pub(super) fn get<E>(&mut self, key: K, make: impl FnOnce(&K) -> Result<V, E>) -> Result<V, E> {
        let found = self.entries.iter().position(|(known, _)| *known == key);
        let entry = match found.and_then(|at| self.entries.remove(at)) {
            Some(entry) => entry,
            None => {
                let value = make(&key)?;
                (key, value)
            }
        };
        let value = entry.1.clone();
        self.entries.push_front(entry);
        self.entries.truncate(self.capacity);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_unused_for_longest_is_made_anew() {
        let mut recent = Recent::new(2);
        let mut made = Vec::new();
        for key in ["a", "b", "a", "c", "a", "b"] {
            let value = recent.get(key, |key| {
                made.push(*key);
                Ok::<_, ()>(key.to_uppercase())
            });
            assert_eq!(value, Ok(key.to_uppercase()));
        }
        assert_eq!(made, ["a", "b", "c", "b"]);
        assert!(recent.contains(&"a") && !recent.contains(&"c"));
        assert_eq!(recent.get("d", |_| Err(1)), Err(1));
    }
}
