//! [`PromptTemplate`]: a prompt and the captions of its references to the prompt to generate with.

/// How captions get into the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum PromptTemplate {
    /// Section 3.2 of the paper: `According to these examples of {caption}, generate {prompt}`.
    #[default]
    Examples,
    /// `This item is {caption}. {prompt}`: adapters such as OminiControl's are trained on prompts that
    /// call the reference "this item", and a prompt may go on so.
    ThisItem,
    /// The prompt as it is; the references speak for themselves.
    Plain,
}

impl PromptTemplate {
    /// The prompt to generate with. `marks` stand for the images in the prompt, one a caption, for
    /// models that read images there; no marks where the references take another way.
    pub fn apply(self, prompt: &str, captions: &[&str], marks: &[String]) -> String {
        if self == Self::Plain || captions.is_empty() {
            return marks.iter().map(|mark| format!("{mark} ")).collect::<String>() + prompt;
        }
        let examples: Vec<String> = captions
            .iter()
            .enumerate()
            .map(|(n, caption)| match marks.get(n) {
                Some(mark) => format!("{caption}: {mark}"),
                None => (*caption).to_owned(),
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

    #[test]
    fn is_the_papers_sentence() {
        let marks: Vec<String> = (1..=2).map(|n| format!("<img{n}>")).collect();
        assert_eq!(
            PromptTemplate::Examples.apply("a zoo", &["a red panda", "a tapir"], &marks),
            "According to these examples of a red panda: <img1>, a tapir: <img2>, generate a zoo"
        );
        assert_eq!(
            PromptTemplate::Examples.apply("a zoo", &["a red panda"], &[]),
            "According to these examples of a red panda, generate a zoo"
        );
        assert_eq!(
            PromptTemplate::ThisItem.apply("It stands in the snow", &["a red panda"], &[]),
            "This item is a red panda. It stands in the snow"
        );
        assert_eq!(PromptTemplate::Plain.apply("a zoo", &["a red panda"], &[]), "a zoo");
        assert_eq!(PromptTemplate::Examples.apply("a zoo", &[], &[]), "a zoo");
    }
}
