//! [`Questions`]: every sentence that is sent to a VLM, and the words that its replies are read by.

mod english;

use std::sync::LazyLock;

use crate::Result;
use crate::error::require;
use crate::text::fill;

/// The sentences that a VLM is asked, and the words that mean yes and no in its replies. The default
/// is the paper's English.
///
/// A sentence is a template: `{prompt}`, `{concept}` and the like stand for what is asked about, and
/// each field says which of them its template must hold. Other braces are kept as they are.
///
/// # How replies are read
///
/// A reply that could mean two things means neither: then the question is asked again, or counts as
/// not answered where it is asked once. What a reasoning model thinks aloud is passed over, whatever
/// marks its template sets around it; a thought that was cut off decides nothing.
///
/// A yes or no is looked for as a whole word, in upper or lower case. In scripts without spaces
/// between words, such as Chinese, Japanese and Thai, it may stand anywhere; of words that overlap
/// the longest counts, so that `不是` is not read as `是`. A word at the beginning of a reply, on a line
/// such as `Answer: no`, or in a field of JSON such as `{"answer": "no"}` answers, and what explains it
/// is not read. In any other reply, all such words must agree. Words that only name the choice (`yes
/// or no`) and those in a question are passed over. The English words are also judged by what stands
/// around them: `no issues`, `not yes` and `the sign says no` answer nothing, nor do `yes, it does not
/// match`, `yes, but without the bird`, `for the dog, yes` and `no, there are no differences`. Of JSON
/// and XML only fields and tags are read that are called what an answer is called, such as `answer`,
/// `match` or `verdict`. A reply that asks for the image declines.
///
/// A list may have one item a line, with numbers, bullets or quotation marks of any kind, or be JSON, a
/// table of Markdown, or XML. Headings, introductions, farewells, what explains an item and items that
/// are said to be present are left out. Captions are paired with the concepts that they name, see
/// [`GuidedCot`](crate::critic::GuidedCot).
///
/// A plan of edits is a list too, or a table with a column that is called `Edit`, `Instruction`, `Change` or
/// the like. Labels such as `Step 2:`, reasons, what is wrong, and remarks about the image are left out. In
/// English an edit begins with a verb such as `add`, `make` or `remove`, also after `please` or `I would`, or
/// says what something should be; no other sentence is taken for one. In other languages each item of a list
/// with numbers or bullets is an edit as it stands, and so is each of several lines where
/// [`edits`](Self::edits) is not the default; one line alone is none, so ask for a list there. `none`, `no
/// changes are needed`, `the image already matches` and the words in [`none`](Self::none) plan nothing, which
/// is an answer. Where a reply has edits and says that none is needed, or has an item that may be an edit or
/// not, the question is asked again.
///
/// The sentences that you leave as they are ask for an English yes or no, which their replies may
/// hold beside the words that you set. So you may translate only the sentences that you need.
///
/// Give it to [`GuidedCot`](crate::critic::GuidedCot::with_questions),
/// [`RagPipelineBuilder`](crate::pipeline::RagPipelineBuilder::questions),
/// [`VlmReranker`](crate::retriever::VlmReranker::with_questions) or
/// [`CaptionWriter`](crate::retriever::CaptionWriter::with_questions).
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use futures::executor::block_on;
/// use imagerag::critic::{Critic, CritiqueRequest, GuidedCot, Verdict};
/// use imagerag::testing::{FakeVlm, solid};
/// use imagerag::vlm::Questions;
///
/// let german = Questions::default()
///     .with_decision("Passt dieses Bild zu \"{prompt}\"? Antworte nur mit ja oder nein.")
///     .with_yes(["ja"])
///     .with_no(["nein"]);
/// let vlm = FakeVlm::new(["Ja."]);
/// let critic = GuidedCot::new(vlm.clone()).with_questions(german)?;
///
/// let draft = solid(8, 8, [90, 60, 20]);
/// let critique = block_on(critic.critique(&CritiqueRequest::new("ein Igel", Some(draft))))?;
/// assert_eq!(critique.verdict, Verdict::Match);
/// let asked = &vlm.requests()[0].messages[0].text;
/// assert_eq!(asked, "Passt dieses Bild zu \"ein Igel\"? Antworte nur mit ja oder nein.");
/// # Ok::<(), imagerag::Error>(())
/// ```
///
/// Sentences of one's own need not be all of them:
/// ```
/// use imagerag::vlm::Questions;
///
/// let birds = Questions::default()
///     .with_missing_concepts("Which birds are missing? One a line, the most important first.")
///     .with_captions("Describe a photo of each, one a line and in the same order.")
///     .with_verification("Is this photo of a {concept}? Only answer yes or no.")
///     .with_refusals(["I'd rather not"]);
/// birds.validate()?;
/// // A sentence that lacks what it is about is refused.
/// let error = birds.with_rerank("Which photo is best?").validate().unwrap_err();
/// assert!(error.to_string().contains("a text with {caption}"), "{error}");
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Questions {
    /// Whether an image matches the prompt, as yes or no (appendix C). Must hold `{prompt}`.
    pub decision: String,
    /// The same where the prompt is an instruction about one image of the caller's, which is shown
    /// before the image to judge (appendix E.2; the paper prints no words for it). Must hold
    /// `{prompt}`.
    pub decision_over_reference: String,
    /// The same for several images of the caller's, which are shown first; `{count}` is their
    /// number. Must hold `{prompt}`.
    pub decision_over_references: String,
    /// Which concepts are missing, one a line (appendix C). Asked after a decision of "no".
    pub missing_concepts: String,
    /// A caption for each concept that was named, one a line and in the same order (appendix C).
    /// Asked after the concepts.
    pub captions: String,
    /// Every concept that a prompt needs, one a line, asked without an image. The paper's release
    /// has such a mode; the paper prints no words for it. Must hold `{prompt}`.
    pub all_concepts: String,
    /// A clearer prompt, asked about a draft: the ablation without references (appendix C). Must
    /// hold `{prompt}`.
    pub rephrase: String,
    /// The single edits that would make an image match the prompt, one a line in the order in which
    /// they should be made, asked about a draft or about an image that was edited
    /// ([`Mode::PlanEdit`](crate::pipeline::Mode::PlanEdit); the words are ours). Must hold
    /// `{prompt}`; `{count}` is the most edits that will be made.
    pub edits: String,
    /// What stands in the prompt for an image of the caller's that it names by its mark, where a model
    /// is asked that is shown the caller's images (the words are ours). Must hold `{caption}`;
    /// `{number}` is the place of the image, from 1.
    pub own_image: String,
    /// Whether a reference shows a concept, as yes or no. The paper's limitations ask for it; it
    /// prints no words. Must hold `{concept}`.
    pub verification: String,
    /// The order of candidates that are shown, as indices from 0 with commas between them, the best
    /// first (table 4; the paper prints no words for it). Must hold `{caption}`, which is what was looked for; `{count}`
    /// is the number of candidates, at least 2, and `{last}` the index of the last one.
    pub rerank: String,
    /// A caption of one image, for retrieval by its words (table 4, BM25; the paper prints no words
    /// for it).
    pub description: String,
    /// The words that mean yes, at least one: `yes`. That one also counts in replies to sentences
    /// that are still the default.
    pub yes: Vec<String>,
    /// The words that mean no, at least one: `no`. That one also counts in replies to sentences that
    /// are still the default.
    pub no: Vec<String>,
    /// What a model writes in the place of a list where nothing is missing or to be edited, beside the English
    /// `none`, `nothing is missing` and their like. Empty by default.
    pub none: Vec<String>,
    /// How a reply begins that declines to answer, beside the English `I'm sorry`, `I cannot` and
    /// their like. Empty by default.
    pub refusals: Vec<String>,
}

/// A setter of each template.
macro_rules! templates {
    ($($setter:ident $field:ident)*) => { $(
        #[doc = concat!(
            "The same questions with another [`", stringify!($field), "`](Self#structfield.",
            stringify!($field), ")."
        )]
        #[must_use]
        pub fn $setter(mut self, template: impl Into<String>) -> Self {
            self.$field = template.into();
            self
        }
    )* };
}

/// A setter of each list of words.
macro_rules! words {
    ($($setter:ident $field:ident)*) => { $(
        #[doc = concat!(
            "The same questions with other words in [`", stringify!($field), "`](Self#structfield.",
            stringify!($field), ")."
        )]
        #[must_use]
        pub fn $setter<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
            self.$field = words.into_iter().map(Into::into).collect();
            self
        }
    )* };
}

impl Questions {
    /// 16 hexadecimal digits that differ where any sentence or word does: FNV-1a of 64 bits, which needs
    /// no feature of the crate.
    pub(crate) fn hash(&self) -> String {
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = format!("{self:?}").bytes().fold(0xcbf2_9ce4_8422_2325, mix);
        format!("{hash:016x}")
    }

    templates! {
        with_decision decision
        with_decision_over_reference decision_over_reference
        with_decision_over_references decision_over_references
        with_missing_concepts missing_concepts
        with_captions captions
        with_all_concepts all_concepts
        with_rephrase rephrase
        with_edits edits
        with_own_image own_image
        with_verification verification
        with_rerank rerank
        with_description description
    }

    words! {
        with_yes yes
        with_no no
        with_none none
        with_refusals refusals
    }

    /// Checks every template and every word. The parts that take questions do so themselves.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) that names the field: a template that is
    /// blank or lacks what it must hold, no word for yes or for no, a blank word, or a word that
    /// means both.
    pub fn validate(&self) -> Result<()> {
        let templates = [
            ("decision", &self.decision, "{prompt}"),
            ("decision_over_reference", &self.decision_over_reference, "{prompt}"),
            ("decision_over_references", &self.decision_over_references, "{prompt}"),
            ("missing_concepts", &self.missing_concepts, ""),
            ("captions", &self.captions, ""),
            ("all_concepts", &self.all_concepts, "{prompt}"),
            ("rephrase", &self.rephrase, "{prompt}"),
            ("edits", &self.edits, "{prompt}"),
            ("own_image", &self.own_image, "{caption}"),
            ("verification", &self.verification, "{concept}"),
            ("rerank", &self.rerank, "{caption}"),
            ("description", &self.description, ""),
        ];
        for (field, template, placeholder) in templates {
            let is_complete = !template.trim().is_empty() && template.contains(placeholder);
            let expected = match placeholder {
                "" => "a text".to_owned(),
                placeholder => format!("a text with {placeholder}"),
            };
            require(is_complete, format!("question {field}"), expected, format!("{template:?}"))?;
        }
        let lists = [
            ("yes", &self.yes, 1),
            ("no", &self.no, 1),
            ("none", &self.none, 0),
            ("refusals", &self.refusals, 0),
        ];
        for (field, words, least) in lists {
            let fit = words.len() >= least
                && words.iter().all(|word| word.contains(char::is_alphanumeric));
            let expected = match least {
                0 => "words that are not blank",
                _ => "one or more words that are not blank",
            };
            require(fit, format!("words of {field}"), expected, format!("{words:?}"))?;
        }
        let both = self.no.iter().find(|no| {
            self.yes.iter().any(|yes| yes.trim().to_lowercase() == no.trim().to_lowercase())
        });
        require(both.is_none(), "words of no", "none of the words of yes", format!("{:?}", self.no))
    }

    /// The template of the decision about an image after as many of the caller's own.
    pub(crate) fn decision_after(&self, references: usize) -> &str {
        match references {
            0 => &self.decision,
            1 => &self.decision_over_reference,
            _ => &self.decision_over_references,
        }
    }

    /// Whether an image matches `prompt`, after as many of the caller's own images.
    pub(crate) fn ask_decision(&self, prompt: &str, references: usize) -> String {
        let count = references.to_string();
        fill(self.decision_after(references), &[("{prompt}", prompt), ("{count}", &count)])
    }

    pub(crate) fn ask_all_concepts(&self, prompt: &str) -> String {
        fill(&self.all_concepts, &[("{prompt}", prompt)])
    }

    pub(crate) fn ask_rephrase(&self, prompt: &str) -> String {
        fill(&self.rephrase, &[("{prompt}", prompt)])
    }

    /// The edits that an image needs to match `prompt`, at most `most`.
    pub(crate) fn ask_edits(&self, prompt: &str, most: usize) -> String {
        fill(&self.edits, &[("{prompt}", prompt), ("{count}", &most.to_string())])
    }

    /// What the caller's image with this `caption` and `number`, from 1, is called in a prompt.
    pub(crate) fn name_own_image(&self, caption: &str, number: usize) -> String {
        fill(&self.own_image, &[("{caption}", caption), ("{number}", &number.to_string())])
    }

    pub(crate) fn ask_verification(&self, concept: &str) -> String {
        fill(&self.verification, &[("{concept}", concept)])
    }

    /// The words that answer `template`, a question for yes or no, and whether each means yes: the
    /// English ones if the template is a default, then those of these questions.
    pub(crate) fn answers_to(&self, template: &str) -> Vec<(String, bool)> {
        static ENGLISH: LazyLock<Questions> = LazyLock::new(Questions::default);
        let english = &*ENGLISH;
        let defaults = [
            &english.decision,
            &english.decision_over_reference,
            &english.decision_over_references,
            &english.verification,
        ];
        let is_english = defaults.into_iter().any(|default| default == template);
        let mut answers = Vec::new();
        for of in is_english.then_some(english).into_iter().chain([self]) {
            answers.extend(of.yes.iter().map(|word| (word.clone(), true)));
            answers.extend(of.no.iter().map(|word| (word.clone(), false)));
        }
        answers
    }

    /// The order of `candidates`, at least 2.
    pub(crate) fn ask_rerank(&self, caption: &str, candidates: usize) -> String {
        let (count, last) = (candidates.to_string(), (candidates - 1).to_string());
        fill(&self.rerank, &[("{caption}", caption), ("{count}", &count), ("{last}", &last)])
    }
}

#[cfg(test)]
mod tests;
