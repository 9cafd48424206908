//! [`Caption`]: the words by which images of a missing concept are retrieved.

/// What to look for: a description of an image that shows one concept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Caption {
    /// The text that is compared with images, such as `a quetzal perched on a mossy branch`.
    pub text: String,
    /// The missing concept that the caption describes, such as `a quetzal`.
    pub concept: String,
}

impl Caption {
    /// A caption `text` for `concept`.
    pub fn new(text: impl Into<String>, concept: impl Into<String>) -> Self {
        Self { text: text.into(), concept: concept.into() }
    }

    /// A caption that is the concept itself.
    pub fn concept(concept: impl Into<String>) -> Self {
        let concept = concept.into();
        Self { text: concept.clone(), concept }
    }
}
