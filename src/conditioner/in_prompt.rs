//! [`InPrompt`]: passes references on as images that the prompt names, for models such as OmniGen.

use std::fmt;

use async_trait::async_trait;

use super::marks::Marks;
use super::template::{complete, examples};
use super::{
    ConditionRequest, Conditioned, Conditioner, Conditioning, ConditioningKind, MarkStyle,
    PromptTemplate,
};
use crate::Result;
use crate::error::require;
use crate::reference::{Reference, Source, images};
use crate::text::fill;

/// Passes the images on unchanged, and puts a mark for each behind its caption in the prompt.
///
/// A prompt may name images itself, by `<|image_1|>` for the first, or by the generator's own
/// [mark](crate::Generator::image_mark) where that has brackets. Such a mark becomes the whole one that
/// the generator reads, and its image is not listed among the examples. Captions name no images: marks in
/// them are left out.
/// ```
/// use futures::executor::block_on;
/// use imagerag::Image;
/// use imagerag::conditioner::{ConditionRequest, Conditioner, InPrompt};
/// use imagerag::reference::{Caption, Reference};
///
/// let image = Image::new(1, 1, [200, 120, 40])?;
/// let references = ["my cat", "a quetzal"]
///     .map(|caption| Reference::new(image.clone(), Caption::concept(caption)));
/// let request = ConditionRequest::new("<|image_1|> watches a bird", references)
///     .with_image_mark("<img><|image_{n}|></img>");
/// let conditioned = block_on(InPrompt::default().condition(&request))?;
/// assert_eq!(
///     conditioned.prompt,
///     "According to these examples of a quetzal: <img><|image_2|></img>, \
///      generate <img><|image_1|></img> watches a bird"
/// );
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct InPrompt {
    capacity: usize,
    template: PromptTemplate,
    edit_template: String,
    mark: Option<String>,
}

/// The mark for a generator that knows none of its own.
const IN_WORDS: &str = MarkStyle::Image.mark();

/// How a prompt asks for an edit of the draft, see [`InPrompt::with_edit_template`]. The paper has no such
/// mode: the words are ours.
const EDIT: &str =
    "Edit this image: {image} so that it shows {prompt}, as in these examples: {examples}";

/// Up to three images, as many as the paper gives OmniGen.
impl Default for InPrompt {
    fn default() -> Self {
        let (template, edit_template) = (PromptTemplate::default(), EDIT.to_owned());
        Self { capacity: 3, template, edit_template, mark: None }
    }
}

impl InPrompt {
    /// Up to `capacity` images, with the [marks](crate::Generator::image_mark) of the generator that
    /// they are for, or else `image 1` and so on. OmniGen takes more than the three of the paper.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when `capacity` is 0.
    pub fn new(capacity: usize) -> Result<Self> {
        require(capacity > 0, "capacity", "at least 1", capacity)?;
        Ok(Self { capacity, ..Self::default() })
    }

    /// Another way to put captions into the prompt. Prompts that edit a draft have
    /// [words of their own](Self::with_edit_template).
    ///
    /// # Errors
    /// As [`PromptTemplate::validate`].
    pub fn with_template(mut self, template: PromptTemplate) -> Result<Self> {
        template.validate()?;
        self.template = template;
        Ok(self)
    }

    /// Other words for editing a draft ([`Mode::EditDraft`](crate::pipeline::Mode::EditDraft)), in any
    /// language, in place of `Edit this image: {image} so that it shows {prompt}, as in these examples:
    /// {examples}`. `{image}` stands for the mark of the draft, `{prompt}` for the prompt, and
    /// `{examples}` for the captions of the other images, each with its mark. Where the prompt names all
    /// other images there are no examples, and the mark of the draft stands before the prompt.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when one of the three is not in `template`.
    pub fn with_edit_template(mut self, template: impl Into<String>) -> Result<Self> {
        self.edit_template = template.into();
        complete("edit template", &self.edit_template, &["{image}", "{prompt}", "{examples}"])?;
        Ok(self)
    }

    /// Another mark for an image, whatever the generator's is: a [`MarkStyle`], or one of your own, in which
    /// `{n}` is the number of the image, from 1. An empty mark, [`MarkStyle::Unnamed`], leaves references unnamed; images that the prompt names are then called by their
    /// captions, and a draft to edit is `image 1` or so.
    #[must_use]
    pub fn with_mark(mut self, mark: impl Into<String>) -> Self {
        self.mark = Some(mark.into());
        self
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Conditioner for InPrompt {
    fn produces(&self) -> ConditioningKind {
        ConditioningKind::Images
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    async fn condition(&self, request: &ConditionRequest) -> Result<Conditioned> {
        request.validate(self)?;
        let given = [&self.mark, &request.image_mark].into_iter().flatten().map(String::as_str);
        let mark = given.clone().next().unwrap_or(IN_WORDS);
        let numbered = |mark: &str, n: usize| mark.replace("{n}", &n.to_string());

        // 1. The images that the prompt names, as the generator names them.
        let marks = Marks::new(given);
        let references = &marks.remove_from_captions(&request.references);
        let named = marks.numbers(&request.prompt, references.len())?;
        let prompt = marks.replace(&request.prompt, |n| match (mark, references.get(n - 1)) {
            ("", Some(reference)) => reference.caption.text.clone(),
            _ => numbered(mark, n),
        });

        // 2. The others are examples, but for a draft that is to be edited.
        let is_draft = |one: &Reference| one.provenance.source == Source::Draft;
        let is_example = |(n, one): &(usize, &Reference)| !named.contains(n) && !is_draft(one);
        let others: (Vec<usize>, Vec<Reference>) = (1..)
            .zip(references)
            .filter(is_example)
            .map(|(n, reference)| (n, reference.clone()))
            .unzip();
        let names: Vec<String> = match mark {
            "" => Vec::new(),
            mark => others.0.iter().map(|&n| numbered(mark, n)).collect(),
        };
        let draft = references.iter().position(is_draft).map(|at| match mark {
            "" => numbered(IN_WORDS, at + 1),
            mark => numbered(mark, at + 1),
        });
        let prompt = match draft {
            None => self.template.apply(&prompt, &others.1, &names),
            Some(draft) => match examples(&others.1, &names, |caption| &caption.text).as_str() {
                "" => format!("{draft} {prompt}"),
                examples => {
                    let values =
                        [("{image}", &*draft), ("{prompt}", &prompt), ("{examples}", examples)];
                    fill(&self.edit_template, &values)
                }
            },
        };
        Ok(Conditioned { prompt, conditioning: Conditioning::Images(images(references).await?) })
    }
}

impl fmt::Display for InPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { capacity, template, edit_template, mark } = self;
        write!(f, "InPrompt({capacity}")?;
        if f.alternate() {
            write!(f, ", {template:?}, {edit_template:?}, mark {mark:?}")?;
        }
        f.write_str(")")
    }
}
