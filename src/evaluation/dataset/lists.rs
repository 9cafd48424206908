//! Entries of lists to what they say of each thing, where each is named once.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use super::{Notes, files};
use crate::{Error, Result};

/// Where something stands in a list, such as `line 3` of `images.txt`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) file: &'a Path,
    /// What is counted or numbered there, such as `line` or `image`.
    pub(super) unit: &'static str,
    pub(super) number: u64,
}

impl Place<'_> {
    /// That `expected` stands here.
    pub(super) fn invalid(&self, expected: impl Into<String>, found: impl fmt::Display) -> Error {
        Error::invalid_file(self.file, format!("{} {}", self.unit, self.number), expected, found)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {}", self.unit, self.number, files::name(self.file))
    }
}

/// What lists say of each of some things, such as the class of each image.
#[derive(Debug)]
pub(super) struct Once<V> {
    /// What the things are, such as `image`.
    what: &'static str,
    /// By the thing, with the place.
    said: HashMap<String, (String, V)>,
}

impl<V> Once<V> {
    pub(super) fn each(what: &'static str) -> Self {
        Self { what, said: HashMap::new() }
    }

    /// Adds what `place` says of `thing`.
    ///
    /// # Errors
    /// [`Error::InvalidFile`] when another place speaks of it too, whatever it says: one of the two is
    /// wrong, and which one cannot be known.
    pub(super) fn insert(&mut self, place: Place<'_>, thing: &str, value: V) -> Result<()> {
        match self.said.get(thing) {
            Some((other, _)) => {
                let found = format!("{thing}, of which {other} speaks too");
                Err(place.invalid(format!("each {} once", self.what), found))
            }
            None => {
                self.said.insert(thing.to_owned(), (place.to_string(), value));
                Ok(())
            }
        }
    }

    pub(super) fn get(&self, thing: &str) -> Option<&V> {
        self.said.get(thing).map(|(_, value)| value)
    }

    /// All that is said, in no order.
    pub(super) fn into_values(self) -> impl Iterator<Item = V> {
        self.said.into_values().map(|(_, value)| value)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// Counts as `what` in `notes` the things that are none of `others`.
    pub(super) fn note_all_but<T>(&self, others: &Once<T>, what: &str, notes: &mut Notes) {
        let mut places: Vec<&str> = self
            .said
            .iter()
            .filter(|(thing, _)| others.get(thing).is_none())
            .map(|(_, (place, _))| &**place)
            .collect();
        places.sort_by_key(|place| (place.len(), *place));
        places.into_iter().for_each(|place| notes.count(what, place));
    }
}
