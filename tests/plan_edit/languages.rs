//! Edits that are planned in languages of the caller's own.

use imagerag::pipeline::StopReason;
use imagerag::testing::FakeGenerator;
use imagerag::vlm::Questions;

use super::{config, parts, prompts, run};

/// Two rounds in a language of one's own: no question is English.
fn in_a_language(questions: Questions, replies: [&str; 3], [prompt, asked, edit]: [&str; 3]) {
    let generator = FakeGenerator::new();
    let (builder, vlm) = parts(&generator, &replies);
    let builder = builder.questions(questions).config(config().with_max_rounds(2));
    let outcome = run(builder, prompt);
    assert_eq!(outcome.stop, StopReason::NoEditsNeeded);
    assert_eq!(vlm.requests()[0].messages[0].text, asked);
    assert_eq!(prompts(&generator)[1], format!("<img><|image_1|></img> {edit}"));
    let asked: Vec<&str> = outcome.trace.exchanges().map(|one| &*one.messages[0].text).collect();
    assert!(asked.iter().all(|text| !text.contains("image")), "{asked:?}");
}

#[test]
fn edits_are_planned_in_german() {
    let questions = Questions::default()
        .with_edits("Höchstens {count} Änderungen für „{prompt}“?")
        .with_decision("Passt es zu „{prompt}“?")
        .with_yes(["ja"])
        .with_no(["nein"])
        .with_none(["keine Änderung"]);
    in_a_language(
        questions,
        ["1. Setze dem Igel einen Hut auf.", "Nein.", "Keine Änderung."],
        ["ein Igel", "Höchstens 5 Änderungen für „ein Igel“?", "Setze dem Igel einen Hut auf."],
    );
}

#[test]
fn edits_are_planned_in_chinese() {
    let questions = Questions::default()
        .with_edits("要让图片符合“{prompt}”，请列出最多{count}处修改，每行一处。")
        .with_decision("这张图片符合“{prompt}”吗？只回答“是”或“不是”。")
        .with_yes(["是"])
        .with_no(["不是"])
        .with_none(["无需修改"]);
    in_a_language(
        questions,
        ["修改：\n1、给狗加一顶红帽子", "不是。", "无需修改。"],
        [
            "戴红帽子的狗",
            "要让图片符合“戴红帽子的狗”，请列出最多5处修改，每行一处。",
            "给狗加一顶红帽子",
        ],
    );
}
