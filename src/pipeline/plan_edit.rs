//! A draft to an image that was edited step by step (GraPE: generate, plan, edit; arXiv 2412.06089).
//!
//! A VLM lists single edits that mend the draft, and an image-editing generator makes one after the
//! other. The paper compares itself with GraPE; the questions and bounds here are ours.

use super::run::Run;
use super::{Record, Stage, StopReason, TracedImage, missing};
use crate::Result;
use crate::conditioner::{Conditioning, Marks};
use crate::critic::{TEMPERATURES, Verdict};
use crate::generator::{Drawn, GeneratorExt};
use crate::text::words;
use crate::vlm::{ChatRequest, ExchangeLog, Message, parse, schema};

impl Run<'_> {
    /// Plans edits of the last image and makes them, round by round.
    pub(super) async fn plan_and_edit(&mut self) -> Result<StopReason> {
        let config = self.config();
        let mut made: Vec<Vec<String>> = Vec::new();
        loop {
            self.round += 1;
            let Some(mut edits) = self.plan(config.max_edits - made.len()).await? else {
                return Ok(StopReason::NoPlan);
            };
            if edits.is_empty() {
                self.judge(&Verdict::Match);
                return Ok(StopReason::NoEditsNeeded);
            }
            edits.retain(|edit| !made.contains(&words(edit)));
            let Some(last) = edits.len().checked_sub(1) else {
                return Ok(StopReason::EditsRepeated);
            };
            for (n, edit) in edits.iter().enumerate() {
                self.edit(edit).await?;
                made.push(words(edit));
                let ends_request = n == last && self.round == config.max_rounds;
                let is_full = made.len() == config.max_edits;
                let is_judged = match ends_request || is_full {
                    true => config.judges_last(),
                    false => n == last || config.judge_each_edit,
                };
                if is_judged && self.critique().await? == Verdict::Match {
                    return Ok(StopReason::Matched { round: self.round });
                }
                match (ends_request, is_full) {
                    (true, _) => return Ok(StopReason::RoundLimit),
                    (false, true) => return Ok(StopReason::EditLimit),
                    (false, false) => {}
                }
            }
        }
    }

    /// Has the VLM list the edits that the last image needs, at most `most`: none where it needs none,
    /// and `None` where no reply makes sense.
    async fn plan(&mut self, most: usize) -> Result<Option<Vec<String>>> {
        let begun = self.begin(Stage::Plan);
        let edits = self.ask_for_edits(most, &begun.log).await;
        self.end(begun, edits, |edits| Record::Plan { edits: edits.clone() })
    }

    async fn ask_for_edits(&self, most: usize, log: &ExchangeLog) -> Result<Option<Vec<String>>> {
        let vlm = self.pipeline.vlm.as_ref();
        let vlm = vlm.ok_or(missing("VLM", "call .vlm(…) on the builder"))?;
        let questions = &self.pipeline.questions;
        let question = questions.ask_edits(&self.in_words(&self.request.prompt), most);
        let question = Message::user(question).with_images(self.image().cloned());
        for temperature in TEMPERATURES {
            let chat = ChatRequest::from(question.clone())
                .with_temperature(temperature)
                .with_json_schema(schema::EDITS);
            let reply = log.ask(vlm, "edits", &chat).await?;
            if let Some(edits) = parse::edits(questions, &reply) {
                return Ok(Some(edits));
            }
        }
        Ok(None)
    }

    /// Has the editor make one edit of the last image.
    async fn edit(&mut self, edit: &str) -> Result<()> {
        let begun = self.begin(Stage::Edit);
        let editor = self.pipeline.editor();
        // As GraPE asks OmniGen: the mark of the image, then the instruction.
        let edit = Marks::new(editor.image_mark()).replace(edit, |_| "the image".to_owned());
        let prompt = match editor.image_mark() {
            Some(mark) if !mark.is_empty() => format!("{} {edit}", mark.replace("{n}", "1")),
            _ => edit,
        };
        let mut request = self.request.generate(&prompt, self.progress());
        request.conditioning = Conditioning::Images(self.image().cloned().into_iter().collect());
        let drawn = editor.generate_one(&request).await;
        let record = |drawn: &Drawn| Record::Image(TracedImage::new(editor, &request, drawn));
        let image = self.end(begun, drawn, record)?.image;
        self.keep(image, self.references().to_vec(), false);
        Ok(())
    }
}
