//! What the questions of the loop want to be answered, as JSON schemas.
//!
//! They keep to what OpenAI's strict mode takes: an object of which every field is required and which
//! has no others. The fields are those that `parse` looks for.

use super::Questions;

/// `{"concepts": ["a sheep", …]}`.
pub(crate) const CONCEPTS: &str = r#"{"type":"object","properties":{"concepts":{"type":"array","items":{"type":"string"}}},"required":["concepts"],"additionalProperties":false}"#;
/// `{"captions": ["A photo of a sheep.", …]}`.
pub(crate) const CAPTIONS: &str = r#"{"type":"object","properties":{"captions":{"type":"array","items":{"type":"string"}}},"required":["captions"],"additionalProperties":false}"#;
/// `{"edits": ["Add a red hat to the dog.", …]}`.
pub(crate) const EDITS: &str = r#"{"type":"object","properties":{"edits":{"type":"array","items":{"type":"string"}}},"required":["edits"],"additionalProperties":false}"#;
/// `{"indices": [2, 0, 1]}`.
pub(crate) const INDICES: &str = r#"{"type":"object","properties":{"indices":{"type":"array","items":{"type":"integer"}}},"required":["indices"],"additionalProperties":false}"#;

/// `{"answer": "yes"}` or no, in the words that answer `template`.
pub(crate) fn answer(questions: &Questions, template: &str) -> String {
    let answers = questions.answers_to(template);
    let word = |means: bool| {
        let (word, _) = answers.iter().find(|(_, yes)| *yes == means)?;
        Some(format!("\"{}\"", word.trim().replace('\\', "\\\\").replace('"', "\\\"")))
    };
    let words: Vec<String> = [true, false].into_iter().filter_map(word).collect();
    let words = words.join(",");
    format!(
        r#"{{"type":"object","properties":{{"answer":{{"type":"string","enum":[{words}]}}}},"required":["answer"],"additionalProperties":false}}"#
    )
}

#[cfg(all(test, feature = "serde"))]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn schemas_are_json_that_strict_modes_take() {
        let english = Questions::default();
        let yes_or_no = answer(&english, &english.decision);
        for (schema, field) in [
            (CONCEPTS, "concepts"),
            (CAPTIONS, "captions"),
            (EDITS, "edits"),
            (INDICES, "indices"),
            (yes_or_no.as_str(), "answer"),
        ] {
            let schema: Value = serde_json::from_str(schema).unwrap();
            assert_eq!(schema["additionalProperties"], false, "{schema}");
            assert_eq!(schema["required"], json!([field]), "{schema}");
            assert!(schema["properties"][field]["type"].is_string(), "{schema}");
        }
    }

    #[test]
    fn an_answer_is_in_the_words_of_its_question() {
        let questions = Questions::default()
            .with_decision("Zeigt dieses Bild {prompt}?")
            .with_yes(["ja \"wohl\"", "jawohl"])
            .with_no(["nein"]);
        let words = |template: &str| {
            let schema: Value = serde_json::from_str(&answer(&questions, template)).unwrap();
            schema["properties"]["answer"]["enum"].clone()
        };
        assert_eq!(words(&questions.decision), json!(["ja \"wohl\"", "nein"]));
        assert_eq!(words(&questions.verification), json!(["yes", "no"])); // Still the default.
    }
}
