//! [`Caption`]: a missing concept to the words that it is looked for with.

/// What to look for: a stand-alone description of an image that shows one concept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Caption {
    /// The text that is compared with images.
    pub text: String,
    /// The missing concept that the caption explains.
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
