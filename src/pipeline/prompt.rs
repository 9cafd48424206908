//! The caller's prompt, which may name images by marks such as `<|image_1|>`, to words for those who do
//! not read marks.

use super::run::Run;
use crate::conditioner::Marks;

impl Run<'_> {
    /// The marks by which this request's prompt may name the caller's images.
    pub(super) fn marks(&self) -> Marks {
        Marks::new(self.pipeline.generator.image_mark())
    }

    /// `prompt` with the captions of the caller's images in the places of their marks.
    pub(super) fn in_words(&self, prompt: &str) -> String {
        self.marks().replace(prompt, |number| self.own_caption(number))
    }

    /// The request's prompt for a critic, who is shown the caller's images: it says which is meant.
    pub(super) fn prompt_for_critic(&self) -> String {
        let questions = &self.pipeline.questions;
        let name = |number| questions.name_own_image(&self.own_caption(number), number);
        self.marks().replace(&self.request.prompt, name)
    }

    /// The caption of the caller's image of this number, from 1, without marks; nothing where there is
    /// no such image.
    fn own_caption(&self, number: usize) -> String {
        let own = self.request.references.get(number.wrapping_sub(1));
        own.map_or(String::new(), |(_, caption)| self.marks().remove(caption))
    }
}
