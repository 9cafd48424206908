//! [`Fingerprint`]: how a number was computed, so that numbers of unlike origin are never mixed.

use std::fmt;

/// How a metric computes its number. Every number of a report carries one.
///
/// ```
/// use imagerag::evaluation::metric::Fingerprint;
///
/// let clip = Fingerprint::new("cosine of image and prompt").with_model("CLIP ViT-B/32");
/// let score = Fingerprint::new("2.5 max(cosine, 0), \"A photo depicts \" before the prompt");
/// assert_ne!(clip.key(), score.with_model("CLIP ViT-B/32").key());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Fingerprint {
    /// The formula, in words and signs, with everything that is put before or around a text.
    pub formula: String,
    /// The model, by its name or version.
    pub model: String,
    /// BLAKE3 of the model's weights, in hexadecimal, where they are files.
    pub weights: String,
    /// How pictures become the model's input.
    pub preprocessing: String,
    /// Anything else that changes the number, such as a judge's temperature and the hash of its words.
    pub settings: String,
    /// The version of the crate's metric. It rises when the same settings give other numbers.
    pub version: u32,
}

impl Fingerprint {
    /// That of a formula alone, at version 1.
    pub fn new(formula: impl Into<String>) -> Self {
        Self { formula: formula.into(), version: 1, ..Self::default() }
    }

    /// The same with a model.
    #[must_use]
    pub fn with_model(mut self, model: impl fmt::Display) -> Self {
        self.model = model.to_string();
        self
    }

    /// The same with the hash of the model's weights.
    #[must_use]
    pub fn with_weights(mut self, hash: impl Into<String>) -> Self {
        self.weights = hash.into();
        self
    }

    /// The same with how pictures become the model's input.
    #[must_use]
    pub fn with_preprocessing(mut self, preprocessing: impl fmt::Display) -> Self {
        self.preprocessing = preprocessing.to_string();
        self
    }

    /// The same with anything else that changes the number.
    #[must_use]
    pub fn with_settings(mut self, settings: impl fmt::Display) -> Self {
        self.settings = settings.to_string();
        self
    }

    /// A short name of all of it: 16 hexadecimal digits of its BLAKE3.
    pub fn key(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let Self { formula, model, weights, preprocessing, settings, version } = self;
        for field in [formula, model, weights, preprocessing, settings] {
            // With its length, so that no two lists of fields are one text.
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field.as_bytes());
        }
        hasher.update(&version.to_le_bytes());
        hasher.finalize().to_hex()[..16].to_owned()
    }
}

/// What tells a model from others, beside the hash of its `weights`: all of its settings in the form `{:#}`,
/// or where there is a hash, its name alone, since the folder of a checkpoint is then of no account.
pub(super) fn model(part: &(impl fmt::Display + ?Sized), weights: &str) -> String {
    match weights {
        "" => format!("{part:#}"),
        _ => part.to_string(),
    }
}

/// One line: all that is not empty.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { formula, model, weights, preprocessing, settings, version } = self;
        f.write_str(formula)?;
        for (name, value) in [
            ("model", model),
            ("weights", weights),
            ("preprocessing", preprocessing),
            ("settings", settings),
        ] {
            if !value.is_empty() {
                write!(f, "; {name} {value}")?;
            }
        }
        write!(f, "; version {version}")
    }
}
