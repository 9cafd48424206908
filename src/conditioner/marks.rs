//! [`Marks`]: a prompt to the images that it names, such as `<|image_1|>`.

use std::collections::BTreeSet;
use std::ops::Range;

use super::MarkStyle;
use crate::Result;
use crate::error::require;
use crate::reference::{Caption, Reference};

/// How prompts for OmniGen name images. Every prompt may use it, whole or `<|image_{n}|>` alone, whatever
/// the generator's own mark is.
const OMNIGEN: &str = MarkStyle::OmniGen.mark();

/// The marks that are looked for in prompts.
#[derive(Clone, Debug)]
pub(crate) struct Marks(Vec<Form>);

/// One way to name image `{n}`: what stands around its number.
#[derive(Clone, Debug, PartialEq)]
struct Form {
    /// The brackets at the number, with what they hold: `<|image_` and `|>`.
    inner: (String, String),
    /// What the whole mark has around them: `<img>` and `</img>`.
    outer: (String, String),
}

/// A mark in a prompt.
struct Found {
    range: Range<usize>,
    digits: Range<usize>,
}

impl Marks {
    /// OmniGen's, and those of `others` that cannot be plain words: `[image {n}]`, but not `image {n}`.
    pub(crate) fn new<'a>(others: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms: Vec<Form> = Vec::new();
        for form in std::iter::once(OMNIGEN).chain(others).filter_map(Form::new) {
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
        Self(forms)
    }

    /// The numbers of the images that `prompt` names.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when one is not between 1 and `images`.
    pub(crate) fn numbers(&self, prompt: &str, images: usize) -> Result<BTreeSet<usize>> {
        let (mut numbers, mut wrong) = (BTreeSet::new(), Vec::new());
        for found in self.find(prompt) {
            match prompt[found.digits].parse() {
                Ok(number) if (1..=images).contains(&number) => _ = numbers.insert(number),
                _ => wrong.push(&prompt[found.range]),
            }
        }
        let expected = match images {
            0 => "none, because there are no images".to_owned(),
            1 => "image 1 alone".to_owned(),
            images => format!("images 1 to {images}"),
        };
        let what = "images that the prompt names";
        require(wrong.is_empty(), what, expected, wrong.join(", "))?;
        Ok(numbers)
    }

    /// `prompt` with `name` of the number in the place of each mark.
    pub(crate) fn replace(&self, prompt: &str, name: impl Fn(usize) -> String) -> String {
        let (mut replaced, mut from) = (String::with_capacity(prompt.len()), 0);
        for found in self.find(prompt) {
            replaced += &prompt[from..found.range.start];
            replaced += &name(prompt[found.digits].parse().unwrap_or(usize::MAX));
            from = found.range.end;
        }
        replaced + &prompt[from..]
    }

    /// `text` without marks, also without those that come together where another is taken out. A text that
    /// has marks gets single spaces between its words.
    pub(crate) fn remove(&self, text: &str) -> String {
        let mut text = text.to_owned();
        while !self.find(&text).is_empty() {
            let cut = self.replace(&text, |_| " ".to_owned());
            text = cut.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        text
    }

    /// `caption` without marks. Where nothing is left of its text, the concept stands for it, and the
    /// other way round.
    pub(crate) fn remove_from(&self, caption: &Caption) -> Caption {
        let [text, concept] = [&caption.text, &caption.concept].map(|words| self.remove(words));
        match (text.is_empty(), concept.is_empty()) {
            (true, false) => Caption::concept(concept),
            (false, true) => Caption::concept(text),
            _ => Caption { text, concept },
        }
    }

    /// `references` whose captions have no marks: only a prompt says which images it means.
    pub(crate) fn remove_from_captions(&self, references: &[Reference]) -> Vec<Reference> {
        let cleaned =
            |one: &Reference| Reference { caption: self.remove_from(&one.caption), ..one.clone() };
        references.iter().map(cleaned).collect()
    }

    /// Every mark in `prompt`, in order.
    fn find(&self, prompt: &str) -> Vec<Found> {
        let (mut all, mut from) = (Vec::new(), 0);
        let next = |from| {
            let found = self.0.iter().filter_map(|form| form.find(prompt, from));
            found.min_by_key(|found| found.range.start)
        };
        while let Some(found) = next(from) {
            from = found.range.end;
            all.push(found);
        }
        all
    }
}

impl Form {
    /// `None` for a `mark` that could be plain words, because the number has no brackets around it or
    /// these hold nothing else.
    fn new(mark: &str) -> Option<Self> {
        let (before, after) = mark.split_once("{n}")?;
        let (before, open) = before.split_at(before.rfind(['<', '[', '{', '('])?);
        let (close, after) = after.split_at(after.find(['>', ']', '}', ')'])? + 1);
        let owned = |(one, other): (&str, &str)| (one.to_owned(), other.to_owned());
        (open.len() + close.len() > 2)
            .then(|| Self { inner: owned((open, close)), outer: owned((before, after)) })
    }

    /// The first mark of this form in `prompt` that begins at byte `from` or behind.
    fn find(&self, prompt: &str, from: usize) -> Option<Found> {
        let (open, close) = &self.inner;
        prompt[from..].match_indices(open.as_str()).find_map(|(at, _)| {
            let start = from + at;
            let rest = &prompt[start + open.len()..];
            let length = rest.len() - rest.trim_start_matches(char::is_numeric).len();
            let (number, rest) = rest.split_at(length);
            let rest = rest.strip_prefix(close.as_str()).filter(|_| !number.is_empty())?;
            let digits = start + open.len()..start + open.len() + length;
            // With what the whole mark has around it, as far as it is there.
            let (before, after) = &self.outer;
            let [before, after] = [before, after].map(|outer| outer.replace("{n}", number));
            let start = prompt[from..start]
                .trim_end()
                .strip_suffix(before.as_str())
                .map_or(start, |cut| if before.is_empty() { start } else { from + cut.len() });
            let rest = match rest.trim_start().strip_prefix(after.as_str()) {
                Some(cut) if !after.is_empty() => cut,
                _ => rest,
            };
            Some(Found { range: start..prompt.len() - rest.len(), digits })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(marks: &[&str], prompt: &str) -> String {
        Marks::new(marks.iter().copied()).replace(prompt, |n| format!("({n})"))
    }

    #[test]
    fn marks_are_found_whole_half_and_alone() {
        for (prompt, expected) in [
            ("a photo of <|image_1|> in the snow", "a photo of (1) in the snow"),
            ("a photo of <img><|image_1|></img> in the snow", "a photo of (1) in the snow"),
            ("<img><|image_2|> and <|image_1|></img>", "(2) and (1)"),
            ("<img> <|image_12|> </img>", "(12)"),
            ("<img><|image_1|></img><img><|image_1|></img>", "(1)(1)"),
            ("<|image_1|><|image_02|>", "(1)(2)"),
            ("é<|image_1|>é", "é(1)é"),
            // No marks.
            (
                "<|image_|> <|image_x|> <|image_-1|> <|image_1|",
                "<|image_|> <|image_x|> <|image_-1|> <|image_1|",
            ),
            ("image 1 and <img> alone", "image 1 and <img> alone"),
            ("<|image_<|image_3|>", "<|image_(3)"),
            ("", ""),
        ] {
            assert_eq!(replaced(&[], prompt), expected, "{prompt}");
        }
    }

    #[test]
    fn a_generators_own_marks_count_where_they_cannot_be_words() {
        for (mark, prompt, expected) in [
            ("<img{n}>", "<img1> beside <|image_2|>", "(1) beside (2)"),
            ("[image {n}]", "as in [image 3]", "as in (3)"),
            ("@{{n}}", "@{1}", "@{1}"),
            ("image {n}", "image 1 of 2", "image 1 of 2"),
            ("({n})", "(1) a cat", "(1) a cat"),
            ("<a{n}></a{n}>", "<a1></a1> <a2>", "(1) (2)"),
            ("no number", "no number", "no number"),
            ("", "<|image_1|>", "(1)"),
        ] {
            assert_eq!(replaced(&[mark], prompt), expected, "{mark}");
        }
    }

    #[test]
    fn texts_and_captions_lose_their_marks() {
        let marks = Marks::new(["[image {n}]"]);
        for (text, expected) in [
            ("a quetzal <|image_1|>", "a quetzal"),
            ("<img><|image_9|></img> a  quetzal", "a quetzal"),
            ("a <|image_1|>quetzal<|image_2|>.", "a quetzal ."),
            ("a [image 3] quetzal", "a quetzal"),
            ("a  quetzal,\nimage 1", "a  quetzal,\nimage 1"),
            ("<|image_1|>", ""),
            // What comes together is taken out as well.
            ("<|image_[image 1]<|image_2|>", "<|image_"),
            ("[image<|image_3|>1] a quetzal", "a quetzal"),
        ] {
            assert_eq!(marks.remove(text), expected, "{text}");
        }
        for (text, concept, expected) in [
            (
                "a green <|image_1|> quetzal",
                "a quetzal <|image_1|>",
                ["a green quetzal", "a quetzal"],
            ),
            ("<|image_1|>", "a quetzal", ["a quetzal"; 2]),
            ("a quetzal", "<|image_1|>", ["a quetzal"; 2]),
            ("<|image_1|>", "<|image_1|>", [""; 2]),
        ] {
            let Caption { text, concept } = marks.remove_from(&Caption::new(text, concept));
            assert_eq!([text, concept], expected);
        }
    }

    #[test]
    fn numbers_that_no_image_has_are_named() {
        let marks = Marks::new([]);
        let numbers = marks.numbers("<|image_3|>, <|image_1|> and <|image_3|>", 3).unwrap();
        assert_eq!(numbers.into_iter().collect::<Vec<_>>(), [1, 3]);
        for (prompt, images, message) in [
            ("<|image_0|>", 2, "expected images 1 to 2, found <|image_0|>"),
            (
                "<|image_1|> <img><|image_2|></img>",
                1,
                "expected image 1 alone, found <img><|image_2|></img>",
            ),
            ("<|image_１|>", 1, "expected image 1 alone, found <|image_１|>"),
            ("<|image_1|>", 0, "expected none, because there are no images, found <|image_1|>"),
            (
                "<|image_99999999999999999999999|> <|image_4|>",
                3,
                "expected images 1 to 3, found <|image_99999999999999999999999|>, <|image_4|>",
            ),
        ] {
            let error = marks.numbers(prompt, images).unwrap_err().to_string();
            assert_eq!(error, format!("images that the prompt names: {message}"));
        }
    }
}
