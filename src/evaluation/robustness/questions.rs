//! Classes to prompts that are true of a picture, and prompts that are not.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::evaluation::dataset::{Class, Dataset};
use crate::{Error, Result};

/// A kind of prompt, by what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptKind {
    /// What the picture shows.
    Class,
    /// What it shows, and something else.
    ClassAndOther,
    /// Something else alone.
    Other,
}

impl PromptKind {
    /// All kinds, in the paper's order.
    pub const ALL: [Self; 3] = [Self::Class, Self::ClassAndOther, Self::Other];
}

impl fmt::Display for PromptKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Class => "class",
            Self::ClassAndOther => "class and other",
            Self::Other => "other",
        })
    }
}

/// A prompt that a critic compares with the picture of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RobustnessQuestion {
    /// What the prompt asks for.
    pub kind: PromptKind,
    /// The class of the picture, by its identifier.
    pub class: String,
    /// The name of that class.
    pub class_name: String,
    /// The name of what the picture does not show; none in the first kind.
    pub other_name: Option<String>,
    /// The prompt, always with "a" and never with "an", as in the paper.
    pub prompt: String,
}

/// The chosen classes, each with its images in the order in which they are tried.
pub(super) fn classes(dataset: &Dataset, count: usize, seed: u64) -> Result<Vec<Class>> {
    require(count >= 2, "classes", "at least 2", count)?;
    let mut met = HashSet::new();
    let mut candidates = Dataset::new(dataset.name.clone());
    candidates.classes = dataset
        .classes
        .iter()
        .filter(|class| !class.images.is_empty() && met.insert(class.name.to_lowercase()))
        .cloned()
        .collect();
    let (found, name) = (candidates.classes.len(), &dataset.name);
    if found < count {
        let what = format!("classes of {name} with images and a name of their own");
        return Err(Error::invalid_input(what, format!("at least {count}"), found));
    }
    let mut classes = candidates.sample(count, seed)?.classes;
    for class in &mut classes {
        class.images.sort_by_cached_key(|image| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&seed.to_le_bytes());
            hasher.update(image.id.as_bytes());
            *hasher.finalize().as_bytes()
        });
    }
    Ok(classes)
}

/// Every question about every class.
pub(super) fn of(classes: &[Class]) -> Vec<RobustnessQuestion> {
    let mut questions = Vec::with_capacity(classes.len() * (2 * classes.len()).saturating_sub(1));
    for class in classes {
        let question = |kind, other: Option<&Class>, prompt| RobustnessQuestion {
            kind,
            class: class.id.clone(),
            class_name: class.name.clone(),
            other_name: other.map(|other| other.name.clone()),
            prompt,
        };
        let name = &class.name;
        questions.push(question(PromptKind::Class, None, format!("A photo of a {name}")));
        let others = || classes.iter().filter(|other| other.id != class.id);
        for other in others() {
            let prompt = format!("A photo of a {name} and a {}", other.name);
            questions.push(question(PromptKind::ClassAndOther, Some(other), prompt));
        }
        for other in others() {
            let prompt = format!("A photo of a {}", other.name);
            questions.push(question(PromptKind::Other, Some(other), prompt));
        }
    }
    questions
}
