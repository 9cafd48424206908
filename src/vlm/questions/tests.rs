//! Sentences as they are sent, and those that cannot be.

use super::*;

#[test]
fn the_papers_words_are_kept() {
    let questions = Questions::default();
    assert_eq!(
        questions.ask_decision("a cat", 0),
        "Does this image match the prompt \"a cat\"? Consider both content and style aspects. \
         Only answer yes or no."
    );
    assert!(questions.missing_concepts.starts_with("What are the differences between this image and the required prompt? In your answer only provide missing concepts in terms of content and style, each in a separate line. For example,"));
    assert!(
        questions
            .missing_concepts
            .ends_with("the missing concepts will be:\noil painting style\na sheep")
    );
    assert!(questions.captions.starts_with("For each concept you suggested above, please suggest an image caption describing an image that explains this concept only. The captions should be stand-alone description of the images,"));
    assert!(questions.ask_rephrase("a cat").ends_with("The prompt to be rephrased: \"a cat\"."));
    assert!(questions.validate().is_ok());
}

#[test]
fn names_the_draft_by_its_place_after_the_callers_images() {
    let questions = Questions::default();
    assert!(questions.ask_decision("p", 1).starts_with("Does the second image match"));
    assert!(
        questions.ask_decision("p", 2).contains(
            "the last image match the instruction \"p\" applied over the first 2 images?"
        )
    );
}

#[test]
fn values_stand_in_the_places_of_their_names_and_nowhere_else() {
    let questions = Questions::default()
        .with_rerank("{\"of\": {count}, \"like\": \"{caption}\", \"to\": {last}} {count");
    assert_eq!(
        questions.ask_rerank("a {count} of {caption}", 3),
        "{\"of\": 3, \"like\": \"a {count} of {caption}\", \"to\": 2} {count"
    );
    let questions =
        questions.with_edits("{count}: {prompt} {prompt}").with_own_image("{caption} {n}");
    assert_eq!(questions.ask_edits("a {count}", 4), "4: a {count} a {count}");
    assert_eq!(questions.name_own_image("my {number}", 1), "my {number} {n}");
}

#[test]
fn what_cannot_be_asked_or_read_is_named() {
    let questions = Questions::default;
    for (wrong, message) in [
        (
            questions().with_decision("Does it match?"),
            "question decision: expected a text with {prompt}, found \"Does it match?\"",
        ),
        (
            questions().with_decision_over_reference("{promt}?"),
            "question decision_over_reference: expected a text with {prompt}, found \
             \"{promt}?\"",
        ),
        (
            questions().with_decision_over_references(""),
            "question decision_over_references: expected a text with {prompt}, found \"\"",
        ),
        (
            questions().with_missing_concepts(" "),
            "question missing_concepts: expected a text, found \" \"",
        ),
        (questions().with_captions(""), "question captions: expected a text, found \"\""),
        (
            questions().with_all_concepts("all"),
            "question all_concepts: expected a text with {prompt}, found \"all\"",
        ),
        (
            questions().with_rephrase("{concept}"),
            "question rephrase: expected a text with {prompt}, found \"{concept}\"",
        ),
        (
            questions().with_edits("What is to be done?"),
            "question edits: expected a text with {prompt}, found \"What is to be done?\"",
        ),
        (
            questions().with_own_image("image {number}"),
            "question own_image: expected a text with {caption}, found \"image {number}\"",
        ),
        (
            questions().with_verification("{prompt}"),
            "question verification: expected a text with {concept}, found \"{prompt}\"",
        ),
        (
            questions().with_rerank("{count}"),
            "question rerank: expected a text with {caption}, found \"{count}\"",
        ),
        (questions().with_description(""), "question description: expected a text, found \"\""),
        (
            questions().with_yes([""; 0]),
            "words of yes: expected one or more words that are not blank, found []",
        ),
        (
            questions().with_no(["no", " "]),
            "words of no: expected one or more words that are not blank, found [\"no\", \" \"]",
        ),
        (
            questions().with_none([""]),
            "words of none: expected words that are not blank, found [\"\"]",
        ),
        (
            questions().with_refusals(["…"]),
            "words of refusals: expected words that are not blank, found [\"…\"]",
        ),
        (
            questions().with_no(["Yes"]),
            "words of no: expected none of the words of yes, found [\"Yes\"]",
        ),
    ] {
        assert_eq!(wrong.validate().unwrap_err().to_string(), message);
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_file_may_hold_only_what_differs() {
    let questions: Questions = serde_json::from_str(r#"{"yes": ["oui"], "no": ["non"]}"#).unwrap();
    assert_eq!(questions, Questions::default().with_yes(["oui"]).with_no(["non"]));
    let json = serde_json::to_string(&questions).unwrap();
    assert_eq!(serde_json::from_str::<Questions>(&json).unwrap(), questions);
}

#[cfg(feature = "serde")]
#[test]
fn a_misspelt_field_of_a_file_is_named() {
    let error = serde_json::from_str::<Questions>(r#"{"desicion": "{prompt}?"}"#).unwrap_err();
    assert!(error.to_string().contains("unknown field `desicion`"), "{error}");
}
