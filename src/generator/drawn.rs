//! [`Drawn`]: an image with what it took and what became of its prompt.

use crate::{Image, Usage};

/// An image that a [`Generator`](super::Generator) drew.
///
/// A generator that has nothing to add returns `image.into()`.
/// ```
/// # use imagerag::Image;
/// use imagerag::Usage;
/// use imagerag::generator::Drawn;
///
/// # let image = Image::new(1, 1, [200, 0, 0])?;
/// let drawn = Drawn::from(image).with_usage(Usage::images(1)).with_note("revised: a red square");
/// assert_eq!(drawn.usage.unwrap().images, 1);
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Drawn {
    /// The image.
    pub image: Image,
    /// What a paid service charges for.
    pub usage: Option<Usage>,
    /// What the generator made of the request, in words: the prompt as a service rewrote it, a size
    /// that it raised, the words of a prompt that its text encoders do not read. It goes into the
    /// trace.
    pub note: Option<String>,
}

impl From<Image> for Drawn {
    fn from(image: Image) -> Self {
        Self { image, usage: None, note: None }
    }
}

impl Drawn {
    /// The same with what a paid service charges for.
    #[must_use]
    pub const fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// The same with what the generator made of the request.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}
