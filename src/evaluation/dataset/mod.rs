//! [`Dataset`]: prompts with their classes, and real images of these classes.

mod aircraft;
mod cars;
mod class_folders;
mod coco;
mod csv_quotes;
mod cub;
mod dogs;
mod exclude;
mod files;
mod flowers;
mod imagenet;
mod inaturalist;
mod lists;
mod mat;
mod names;
mod notes;
mod open;
mod prompts;
mod select;
#[cfg(test)]
mod tests;
mod unique_keys;
mod web_dataset;

use std::fmt;
use std::path::PathBuf;

use crate::reference::{Metadata, Picture};

use notes::Notes;
pub use open::{AircraftLevel, DatasetKind, OpenOptions, open};

/// What systems draw, and what their pictures are compared with.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Dataset {
    /// Its name in tables, such as `CUB`.
    pub name: String,
    /// Its classes, in its own order. A list of prompts may have none.
    pub classes: Vec<Class>,
    /// What is drawn, in order.
    pub items: Vec<Item>,
    /// The terms of the whole set, in words, where they are known.
    pub license: Option<String>,
    /// What its reader left out, and why: a line each.
    pub notes: Vec<String>,
    /// What the prompts of its classes are made of, such as `A photo of a {}`, where they are made so
    /// ([`with_prompts`](Self::with_prompts)).
    pub template: Option<String>,
}

/// One class: what its real images show.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Class {
    /// Its identifier in the data set, such as `n01440764` or `001`. It is unique there.
    pub id: String,
    /// Its name in prompts, such as `tench`.
    pub name: String,
    /// Its real images.
    pub images: Vec<RealImage>,
}

/// A photograph of a data set.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RealImage {
    /// Its identifier in the data set: the path from its root, with `/` on every system.
    pub id: String,
    /// Its pixels. They are read when they are needed, and upright, whole and cropped as the set asks.
    pub picture: Picture,
    /// The file that it is read from, where it is a file of its own.
    pub path: Option<PathBuf>,
    /// The part of the set that it belongs to, where the set has parts.
    pub split: Option<Split>,
    /// Its license, author and origin, as far as the set tells.
    pub metadata: Metadata,
}

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Split {
    /// What models learn from. References are retrieved from it.
    Train,
    /// What settings are chosen with.
    Validation,
    /// What results are compared with.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}

/// One prompt to draw.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Item {
    /// Its identifier, unique in the data set. Of a set of classes it is that of the class.
    pub id: String,
    /// What is drawn.
    pub prompt: String,
    /// The class that it asks for, by its identifier.
    pub class: Option<String>,
    /// A group of items that a report tells apart, such as PartiPrompts' category.
    pub category: Option<String>,
    /// The seed that the data set asks for; otherwise the experiment's seeds are used.
    pub seed: Option<u64>,
    /// Real images of what exactly this prompt asks for.
    pub images: Vec<RealImage>,
}

impl Dataset {
    /// An empty data set.
    pub fn new(name: impl Into<String>) -> Self {
        let (classes, items, notes) = (Vec::new(), Vec::new(), Vec::new());
        Self { name: name.into(), classes, items, license: None, notes, template: None }
    }

    /// The class with this identifier.
    pub fn class(&self, id: &str) -> Option<&Class> {
        self.classes.iter().find(|class| class.id == id)
    }
}

impl Class {
    /// A class without images.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), images: Vec::new() }
    }
}

impl RealImage {
    /// A picture of which nothing else is known.
    pub fn new(id: impl Into<String>, picture: Picture) -> Self {
        Self { id: id.into(), picture, path: None, split: None, metadata: Metadata::default() }
    }
}

impl Item {
    /// A prompt without a class.
    pub fn new(id: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self { id: id.into(), prompt: prompt.into(), ..Self::default() }
    }

    /// The same item as a picture of a class.
    #[must_use]
    pub fn of_class(mut self, id: impl Into<String>) -> Self {
        self.class = Some(id.into());
        self
    }
}
