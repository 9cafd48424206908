//! [`PromptTemplate`]: how the captions of references get into the prompt.

use crate::reference::Reference;

/// How captions get into the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
}

impl PromptTemplate {
    /// The prompt to generate with. `marks` name the images in the prompt, one per reference, for
    /// models that read images there; pass none for other models.
    pub fn apply(self, prompt: &str, references: &[Reference], marks: &[String]) -> String {
        if self == Self::Plain || references.is_empty() {
            return marks.iter().map(|mark| format!("{mark} ")).collect::<String>() + prompt;
        }
        let words = |reference: &Reference| match self {
            Self::ThisItem => reference.caption.concept.clone(),
            Self::Examples | Self::Plain => reference.caption.text.clone(),
        };
        let examples: Vec<String> = references
            .iter()
            .enumerate()
            .map(|(n, reference)| match marks.get(n) {
                Some(mark) => format!("{}: {mark}", words(reference)),
                None => words(reference),
            })
            .collect();
        let examples = examples.join(", ");
        match self {
            Self::ThisItem => format!("This item is {examples}. {prompt}"),
            Self::Examples | Self::Plain => {
                format!("According to these examples of {examples}, generate {prompt}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::reference::{Caption, Provenance, Source};

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
}
