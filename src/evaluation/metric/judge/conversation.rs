//! A rubric, a picture and its references to the conversation that a judge replies to.

use image::RgbImage;
use image::imageops::{FilterType, resize};

use super::{Criterion, Rubric};
use crate::evaluation::metric::Subject;
use crate::vlm::{ChatRequest, Message};
use crate::{Image, Result};

/// What the judge is said to have answered to the rubric (the structure of DreamBench++).
const UNDERSTOOD: &str = "Yes, I understand the task, the criteria, the scale and the format of the reply. \
                          Please show me the image.";

impl Rubric {
    /// The three messages: the rubric, the judge's consent, and the images, `references` first, which are
    /// as large as they should be.
    pub(super) fn conversation(
        &self,
        subject: &Subject,
        references: Vec<Image>,
        picture: Image,
    ) -> ChatRequest {
        let shown = match references.len() {
            0 => "This is the generated image.".to_owned(),
            1 => "The first image is real, the second one is the generated image.".to_owned(),
            n => format!("The first {n} images are real, the last one is the generated image."),
        };
        let about = match (&subject.class, self.shows_prompt) {
            (_, true) => format!("\nText: {}", subject.prompt),
            (Some(class), false) => format!("\nSubject: {}", class.name),
            (None, false) => String::new(),
        };
        let images = references.into_iter().chain([picture]);
        let messages = vec![
            Message::user(self.instructions()),
            Message::assistant(UNDERSTOOD),
            Message::user(shown + &about).with_images(images),
        ];
        let request = ChatRequest::new(messages).with_temperature(self.temperature);
        match self.criteria.len() {
            1 => request,
            _ => request.with_json_schema(self.schema()),
        }
    }

    /// The first message: task, criteria, scale and the format of the reply.
    fn instructions(&self) -> String {
        let criteria: String = self
            .criteria
            .iter()
            .map(|one| format!("- {}: {}\n", one.name, one.description))
            .collect();
        let format = match &*self.criteria {
            [only] => format!(
                "First say in a few sentences what the image shows and what speaks for and against it. Then \
                 end your reply with one line of this form, where N is {}, and give no other number \
                 in that form:\n{}: N",
                self.scale,
                capitalised(&only.name)
            ),
            all => {
                let fields: Vec<String> =
                    all.iter().map(|one| format!("\"{}\": N", one.name)).collect();
                format!(
                    "Reply with one JSON object and nothing else, where each N is {}, and reasoning is a few \
                     sentences that speak for and against the image:\n{{\"reasoning\": \"...\", {}}}",
                    self.scale,
                    fields.join(", ")
                )
            }
        };
        format!("{}\n\nCriteria:\n{criteria}\nReply:\n{format}\n\nDo you understand?", self.task)
    }

    /// The form of a reply about several criteria.
    fn schema(&self) -> String {
        let number = |one: &Criterion| match one.not_applicable {
            None => serde_json::json!({ "type": "number" }),
            Some(_) => serde_json::json!({ "type": ["number", "null"] }),
        };
        let mut properties = serde_json::Map::new();
        properties.insert("reasoning".into(), serde_json::json!({ "type": "string" }));
        properties.extend(self.criteria.iter().map(|one| (one.name.clone(), number(one))));
        let required: Vec<&String> = properties.keys().collect();
        serde_json::json!({
            "type": "object", "required": required, "additionalProperties": false,
            "properties": properties,
        })
        .to_string()
    }

    /// BLAKE3 of every word that does not depend on the picture: 16 hexadecimal digits.
    pub(super) fn words_hash(&self) -> String {
        let words = format!("{}\n{UNDERSTOOD}", self.instructions());
        blake3::hash(words.as_bytes()).to_hex()[..16].to_owned()
    }
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// `image` with a longer side of `side` pixels, by a bicubic filter.
pub(super) fn fitted(image: &Image, side: u32) -> Result<Image> {
    let (width, height) = (image.width(), image.height());
    let longer = width.max(height);
    if longer == side {
        return Ok(image.clone());
    }
    let scaled = |length: u32| {
        let exact = f64::from(length) * f64::from(side) / f64::from(longer);
        (exact.round() as u32).max(1)
    };
    resize(&RgbImage::from(image), scaled(width), scaled(height), FilterType::CatmullRom).try_into()
}
