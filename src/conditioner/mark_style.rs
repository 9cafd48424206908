//! [`MarkStyle`]: how families of models want images named, to the mark that `InPrompt` writes.

use crate::named::named;

/// How a prompt names its image number `n`, from 1, by the guides of those who made the models.
///
/// [`InPrompt`](super::InPrompt) uses the [mark](crate::Generator::image_mark) of the generator by
/// itself. Choose a style where a generator does not know the model that it serves, such as a
/// server of open models:
/// ```
/// use imagerag::conditioner::{InPrompt, MarkStyle};
///
/// // Qwen-Image-Edit behind a server.
/// let conditioner = InPrompt::new(3)?.with_mark(MarkStyle::Picture);
/// assert_eq!(MarkStyle::Picture.mark(), "Picture {n}");
/// assert_eq!("omni_gen".parse::<MarkStyle>()?.mark(), "<img><|image_{n}|></img>");
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum MarkStyle {
    /// `image 1`: OpenAI's image models, Gemini, FLUX.2, and every model that was taught no mark.
    #[default]
    Image,
    /// `Picture 1`: Qwen-Image-Edit since 2509, whose pipeline puts `Picture 1:` before the first
    /// picture.
    Picture,
    /// `图1`: the same words in a Chinese prompt, as Qwen-Image-Edit and Seedream read them.
    ChineseImage,
    /// `<img><|image_1|></img>`: OmniGen.
    OmniGen,
    /// No mark: models that are not told of their references in words, such as those with an
    /// IP-Adapter.
    Unnamed,
}

named!(MarkStyle, "mark style", {
    Image: "image",
    Picture: "picture",
    ChineseImage: "chinese_image",
    OmniGen: "omni_gen",
    Unnamed: "unnamed",
});

impl MarkStyle {
    /// The mark, with `{n}` for the number of the image; empty for [`Unnamed`](Self::Unnamed).
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Image => "image {n}",
            Self::Picture => "Picture {n}",
            Self::ChineseImage => "图{n}",
            Self::OmniGen => "<img><|image_{n}|></img>",
            Self::Unnamed => "",
        }
    }
}

impl From<MarkStyle> for String {
    fn from(style: MarkStyle) -> Self {
        style.mark().to_owned()
    }
}
