//! Captions as models write them, to the concept that each must belong to.

use super::*;

#[test]
fn captions_belong_to_their_concepts() {
    let concepts = ["oil painting style".to_owned(), "a sheep".to_owned()];
    let style = "An oil painting of a village";
    let sheep = "A white sheep on a meadow";
    let other = "A sunset over the sea";
    for (reply, expected) in [
        (format!("{style}\n{sheep}"), [Some(style), Some(sheep)]),
        (
            format!("1. {style}\n2. {sheep}\n\nLet me know if you need more."),
            [Some(style), Some(sheep)],
        ),
        (
            format!("Sure! Here are two captions you can use.\n\n{style}\n{sheep}"),
            [Some(style), Some(sheep)],
        ),
        (format!("\"{style}\"\n\"{sheep}\""), [Some(style), Some(sheep)]),
        (format!("Caption 1: {style}\nCaption 2: {sheep}"), [Some(style), Some(sheep)]),
        (
            format!("**Oil painting style**: {style}\n**A sheep**: {sheep}"),
            [Some(style), Some(sheep)],
        ),
        (format!("a sheep: {sheep}\noil painting style: {style}"), [Some(style), Some(sheep)]),
        // The name of one concept, and the caption of the other.
        (format!("a sheep\n{style}"), [Some(style), Some("a sheep")]),
        (
            format!("1. **A sheep**\n   {sheep}\n2. **Oil painting style**\n   {style}"),
            [Some(style), Some(sheep)],
        ),
        (
            format!("**oil painting style**\n{style}\n\n**a sheep**\n{sheep}"),
            [Some(style), Some(sheep)],
        ),
        (
            format!("- a sheep\n  - Caption: {sheep}\n- oil painting style\n  - Caption: {style}"),
            [Some(style), Some(sheep)],
        ),
        (
            format!(
                "Caption for \"a sheep\": {sheep}\nCaption for \"oil painting style\": {style}"
            ),
            [Some(style), Some(sheep)],
        ),
        (
            format!("{{\"a sheep\": \"{sheep}\", \"oil painting style\": \"{style}\"}}"),
            [Some(style), Some(sheep)],
        ),
        (format!("[{{\"concept\": \"a sheep\", \"caption\": \"{sheep}\"}}]"), [None, Some(sheep)]),
        (
            format!("Caption 1 (a sheep): {sheep}\nCaption 2 (oil painting style): {style}"),
            [Some(style), Some(sheep)],
        ),
        (format!("{{\"captions\": [\"{style}\", \"{sheep}\"]}}"), [Some(style), Some(sheep)]),
        (
            format!(
                "| concept | caption |\n|---|---|\n| a sheep | {sheep} |\n| oil painting style | {style} |"
            ),
            [Some(style), Some(sheep)],
        ),
        (format!("{sheep}\n{style}"), [Some(style), Some(sheep)]),
        // Another number than that of the concepts.
        (sheep.to_owned(), [None, Some(sheep)]),
        (format!("{other}\n{sheep}\n{style}"), [Some(style), Some(sheep)]),
        (format!("{other}\n{other}, too\n{sheep}"), [None, Some(sheep)]),
        // As many, of which nothing speaks against their places.
        (format!("{other}\n{sheep}"), [Some(other), Some(sheep)]),
        // Each concept above its caption.
        (
            format!(
                "Concept: a sheep\nCaption: {sheep}\n\nConcept: oil painting style\nCaption: {style}"
            ),
            [Some(style), Some(sheep)],
        ),
        (
            format!(
                "Title: A sheep\nDescription: {sheep}\n\nTitle: Oil painting\nDescription: {other}"
            ),
            [Some(other), Some(sheep)],
        ),
        (format!("Oil painting\n{other}\nSheep\n{sheep}"), [Some(other), Some(sheep)]),
        (
            format!("1. Concept: a sheep\n   Caption: {sheep}\n2. Concept: oil painting style\n   Caption: {style}"),
            [Some(style), Some(sheep)],
        ),
        (
            format!(
                "**Missing concepts**\n- oil painting style\n- a sheep\n\n**Captions**\n- {style}\n- {sheep}"
            ),
            [Some(style), Some(sheep)],
        ),
        // Lines that were wrapped, other numbers, and what stands around them.
        (
            "1. An oil painting of a village with many small\n   houses on a hill\n2. A white sheep on a\n   Scottish meadow".to_owned(),
            [
                Some("An oil painting of a village with many small houses on a hill"),
                Some("A white sheep on a Scottish meadow"),
            ],
        ),
        (
            "An oil painting of a\nvillage\nA white sheep on the\nScottish Highlands".to_owned(),
            [Some("An oil painting of a village"), Some("A white sheep on the Scottish Highlands")],
        ),
        (
            "1. An oil painting with\n   many houses\n2. A white sheep".to_owned(),
            [Some("An oil painting with many houses"), Some("A white sheep")],
        ),
        (format!("Sheep: {other}\n\nOil painting – {style}"), [Some(style), Some(other)]),
        (format!("#1 {style}\n#2 {sheep}"), [Some(style), Some(sheep)]),
        (format!("#1: {style}\n#2: {sheep}"), [Some(style), Some(sheep)]),
        (
            format!("1. {style}\n2. {sheep}\n\n(Note: I cannot see the image.)"),
            [Some(style), Some(sheep)],
        ),
        (
            format!("{style}\n{sheep}\n\n*Note: I'm unable to view images.*"),
            [Some(style), Some(sheep)],
        ),
        (format!("Of course! {style}\n{sheep}"), [Some(style), Some(sheep)]),
        (format!("Sure, {style}\n{sheep}"), [Some(style), Some(sheep)]),
    ] {
        let read = captions(&Questions::default(), &reply.as_str().into(), &concepts);
        let expected = expected.map(|caption| caption.map(str::to_owned)).to_vec();
        assert_eq!(read, Some(expected), "{reply}");
    }
    for reply in [
        other,
        "None",
        "",
        "I'm sorry, I can't help with that.",
        "Note: I cannot see the image.",
        "No image was provided.\nPlease share it.",
    ] {
        assert_eq!(captions(&Questions::default(), &reply.into(), &concepts), None, "{reply}");
    }
}
