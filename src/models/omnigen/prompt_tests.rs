//! Prompts against what diffusers' `OmniGenMultiModalProcessor` reads of them, and those it refuses.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::models::common::golden::{assert_invalid_input, fixture};
use crate::models::common::json::read_json;
use crate::models::tokenizers::llama::TokenizerReading;

/// See tests/fixtures/make_omnigen_prompts.py.
#[derive(Deserialize)]
struct Recorded {
    /// Prompts with the number of pictures.
    prompts: Vec<(String, usize)>,
    kinds: BTreeMap<String, Kind>,
}

/// What was read with one folder of a tokenizer: rows of token numbers, with -1 for the first picture.
#[derive(Deserialize)]
struct Kind {
    /// None where diffusers refuses the prompt, and none of a row where it fails on a text without
    /// tokens.
    file: Vec<Option<Vec<i64>>>,
    /// None where it is the same.
    transformers5: Vec<Option<Vec<i64>>>,
    /// By reading and number of pictures: the negative row, and the images alone.
    others: [[Vec<Vec<i64>>; 4]; 2],
}

fn recorded() -> Recorded {
    read_json(&fixture("omnigen_prompts/prompts.json")).unwrap()
}

fn open(kind: &str, reading: TokenizerReading) -> Tokenizer {
    Tokenizer::open(&fixture("omnigen_prompts").join(kind), reading).unwrap()
}

fn flat(pieces: Vec<Piece>) -> Vec<i64> {
    let numbers = |piece| match piece {
        Piece::Text(ids) => ids,
        Piece::Picture(place) => vec![-1 - place as i64],
    };
    pieces.into_iter().flat_map(numbers).collect()
}

#[test]
fn every_prompt_equals_diffusers_with_every_tokenizer() {
    let Recorded { prompts, kinds } = recorded();
    assert!(prompts.len() > 200 && kinds.len() > 5);
    for (kind, recorded) in &kinds {
        let readings = [TokenizerReading::File, TokenizerReading::Transformers5];
        let tokenizers = readings.map(|reading| open(kind, reading));
        let mut differ = 0;
        for (i, (prompt, pictures)) in prompts.iter().enumerate() {
            let file = &recorded.file[i];
            let other = recorded.transformers5[i].as_ref().or(file.as_ref());
            differ += usize::from(recorded.transformers5[i].is_some());
            for (tokenizer, expected) in tokenizers.iter().zip([file.as_ref(), other]) {
                let found = instruction(tokenizer, prompt, *pictures);
                match expected {
                    Some(ids) if ids.is_empty() => assert!(found.is_ok(), "{kind}: {prompt:?}"),
                    Some(ids) => assert_eq!(&flat(found.unwrap()), ids, "{kind}: {prompt:?}"),
                    None => assert_invalid_input(found, "prompt"),
                }
            }
        }
        let agree = ["saved", "model"].contains(&kind.as_str());
        assert_eq!(differ == 0, agree, "{kind}: {differ} prompts are read in two ways");
    }
}

#[test]
fn the_other_rows_equal_diffusers() {
    for (kind, recorded) in &recorded().kinds {
        let readings = [TokenizerReading::File, TokenizerReading::Transformers5];
        for (reading, expected) in readings.into_iter().zip(&recorded.others) {
            let tokenizer = open(kind, reading);
            for (pictures, rows) in expected.iter().enumerate() {
                let negative = flat(instruction(&tokenizer, NEGATIVE_PROMPT, 0).unwrap());
                assert_eq!(negative, rows[0], "{kind}");
                // Without pictures, diffusers repeats the negative row.
                let alone = flat(images_only(&tokenizer, pictures).unwrap());
                assert_eq!(alone == rows[1], pictures > 0, "{kind}, {pictures} pictures");
            }
        }
    }
}

#[test]
fn prompts_that_do_not_name_the_images_say_how_to_write_them() {
    let one = "<img><|image_1|></img>";
    let huge = "<|image_99999999999999999999|>";
    for (prompt, pictures, expected, found) in [
        ("a bird", 1, one, "no placeholder"),
        (one, 0, "there are no images", "<|image_1|>"),
        ("<|image_2|>", 0, "there are no images", "<|image_2|>"),
        (one, 2, "<img><|image_2|></img> for the 2 images", "no <|image_2|>"),
        ("<img><|image_1|></img> <|image_2|>", 1, "for the image", "<|image_2|>"),
        ("<img><|image_0|></img>", 1, one, "<|image_0|>"),
        (&format!("{one} {huge}"), 1, one, huge),
        ("<|image_1|>", 1, one, "<|image_1|> without <img> and </img> around it"),
        ("<img> <|image_1|> </img>", 1, one, "<|image_1|> without <img>"),
        ("<img><|image_01|></img>", 1, one, "<|image_1|> without <img>"),
        ("<img><|image_1|></img> <|image_١|>", 1, one, "<|image_١|>"),
        (one, usize::MAX, "images", "no <|image_2|>"),
    ] {
        let error = check(prompt, pictures).unwrap_err().to_string();
        assert!(error.starts_with("prompt") || error.contains("prompt"), "{error}");
        assert!(error.contains(expected) && error.contains(&format!("found {found}")), "{error}");
    }
    for (prompt, pictures) in [
        ("a bird", 0),
        ("<|image_|> <|image_x|> <|image_1> <img></img>", 0),
        ("<img><|image_2|></img><img><|image_1|></img> as <|image_2|>", 2),
    ] {
        assert!(check(prompt, pictures).is_ok(), "{prompt}");
    }
}
