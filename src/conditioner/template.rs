//! [`PromptTemplate`]: how the captions of references get into the prompt.

use crate::Result;
use crate::error::require;
use crate::reference::{Caption, Reference};
use crate::text::fill;

/// How captions get into the prompt.
///
/// ```
/// use imagerag::conditioner::{InPrompt, PromptTemplate};
///
/// let german = PromptTemplate::Custom("Nach diesen Beispielen: {examples}. {prompt}".into());
/// let conditioner = InPrompt::new(3)?.with_template(german)?;
///
/// // A template that lacks the prompt or the captions is refused.
/// let error = conditioner.with_template(PromptTemplate::Custom("{prompt}".into())).unwrap_err();
/// assert!(error.to_string().contains("a text with {examples}"), "{error}");
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum PromptTemplate {
    /// Section 3.2 of the paper: `According to these examples of {caption}, generate {prompt}`.
    #[default]
    Examples,
    /// `This item is {concept}. {prompt}`. OminiControl's adapters are trained on prompts that call
    /// the reference "this item"; your prompt may use these words too.
    ThisItem,
    /// The prompt without the captions.
    Plain,
    /// A template of your own, in any language. It must hold `{prompt}`, which stands for the
    /// prompt, and `{examples}`, which stands for the captions with commas between them. Where
    /// images have marks, each caption is followed by that of its image, as in
    /// `a red panda: <img1>, a tapir: <img2>`. Other braces are kept as they are.
    Custom(String),
}

impl PromptTemplate {
    /// Checks a [`Custom`](Self::Custom) template. The conditioners that take templates do so
    /// themselves.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when it lacks `{examples}` or `{prompt}`.
    pub fn validate(&self) -> Result<()> {
        let Self::Custom(template) = self else { return Ok(()) };
        complete("prompt template", template, &["{examples}", "{prompt}"])
    }

    /// The prompt to generate with. Captions are put into it as they are. `marks` name the images in the
    /// prompt, one per reference, for models that read images there; pass none for other models. Without
    /// references, and where no caption or mark says anything, it is the prompt alone.
    pub fn apply(&self, prompt: &str, references: &[Reference], marks: &[String]) -> String {
        if *self == Self::Plain || references.is_empty() {
            return marks.iter().map(|mark| format!("{mark} ")).collect::<String>() + prompt;
        }
        let examples = examples(references, marks, |caption| match self {
            Self::ThisItem => &caption.concept,
            _ => &caption.text,
        });
        match self {
            _ if examples.is_empty() => prompt.to_owned(),
            Self::ThisItem => format!("This item is {examples}. {prompt}"),
            Self::Custom(template) => {
                fill(template, &[("{examples}", &examples), ("{prompt}", prompt)])
            }
            Self::Examples | Self::Plain => {
                format!("According to these examples of {examples}, generate {prompt}")
            }
        }
    }
}

/// The captions with commas between them, each with the mark of its image, if that has one.
pub(super) fn examples(
    references: &[Reference],
    marks: &[String],
    words: impl Fn(&Caption) -> &str,
) -> String {
    let all = references.iter().enumerate().map(|(n, reference)| {
        match (words(&reference.caption), marks.get(n)) {
            ("", mark) => mark.cloned().unwrap_or_default(),
            (words, Some(mark)) => format!("{words}: {mark}"),
            (words, None) => words.to_owned(),
        }
    });
    all.filter(|one| !one.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Checks that `template` holds every one of `placeholders`.
pub(super) fn complete(what: &str, template: &str, placeholders: &[&str]) -> Result<()> {
    placeholders.iter().try_for_each(|placeholder| {
        let expected = format!("a text with {placeholder}");
        require(template.contains(placeholder), what, expected, format!("{template:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::reference::{Provenance, Source};

    fn reference(text: &str, concept: &str) -> Reference {
        Reference {
            picture: Image::new(1, 1, vec![0; 3]).unwrap().into(),
            caption: Caption::new(text, concept),
            provenance: Provenance::new(Source::Uri(text.to_owned()), "test", 1.0, 0),
        }
    }

    #[test]
    fn is_the_papers_sentence() {
        let marks: Vec<String> = (1..=2).map(|n| format!("<img{n}>")).collect();
        let both = [reference("a red panda", "panda"), reference("a tapir", "tapir")];
        assert_eq!(
            PromptTemplate::Examples.apply("a zoo", &both, &marks),
            "According to these examples of a red panda: <img1>, a tapir: <img2>, generate a zoo"
        );
        assert_eq!(
            PromptTemplate::Examples.apply("a zoo", &both[..1], &[]),
            "According to these examples of a red panda, generate a zoo"
        );
        assert_eq!(
            PromptTemplate::ThisItem.apply("It stands in the snow", &both[..1], &[]),
            "This item is panda. It stands in the snow"
        );
        assert_eq!(PromptTemplate::Plain.apply("a zoo", &both, &[]), "a zoo");
        assert_eq!(PromptTemplate::Plain.apply("a zoo", &both, &marks), "<img1> <img2> a zoo");
        assert_eq!(PromptTemplate::Examples.apply("a zoo", &[], &[]), "a zoo");
    }

    #[test]
    fn may_be_in_words_of_ones_own() {
        let template = PromptTemplate::Custom("{prompt}, wie hier: {examples} {x} {".into());
        assert!(template.validate().is_ok());
        let marks: Vec<String> = (1..=2).map(|n| format!("<img{n}>")).collect();
        let both = [reference("ein {prompt}", "panda"), reference("ein Tapir", "tapir")];
        assert_eq!(
            template.apply("ein {examples}", &both, &marks),
            "ein {examples}, wie hier: ein {prompt}: <img1>, ein Tapir: <img2> {x} {"
        );
        assert_eq!(
            template.apply("ein Zoo", &both[1..], &[]),
            "ein Zoo, wie hier: ein Tapir {x} {"
        );
        assert_eq!(template.apply("ein Zoo", &[], &[]), "ein Zoo");
    }

    #[test]
    fn names_the_placeholder_that_is_missing() {
        for (template, placeholder) in
            [("", "{examples}"), ("{examples}", "{prompt}"), ("{example} {prompt}", "{examples}")]
        {
            let error = PromptTemplate::Custom(template.into()).validate().unwrap_err();
            assert!(matches!(error, crate::Error::InvalidInput { .. }), "{error:?}");
            let expected =
                format!("prompt template: expected a text with {placeholder}, found {template:?}");
            assert_eq!(error.to_string(), expected);
        }
        for template in [PromptTemplate::Examples, PromptTemplate::ThisItem, PromptTemplate::Plain]
        {
            assert!(template.validate().is_ok(), "{template:?}");
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn is_read_from_settings() {
        let custom = PromptTemplate::Custom("{examples}: {prompt}".into());
        for (template, json) in [
            (PromptTemplate::ThisItem, r#""this_item""#),
            (custom, r#"{"custom":"{examples}: {prompt}"}"#),
        ] {
            assert_eq!(serde_json::to_string(&template).unwrap(), json);
            assert_eq!(serde_json::from_str::<PromptTemplate>(json).unwrap(), template);
        }
    }
}
