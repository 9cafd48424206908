//! What models write around an answer, drawn at random.

use super::*;

pub(super) fn one_of(all: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(all)
}

/// What models think: both answers, lists, indices, headings, and marks in quotation marks.
pub(super) const MUSINGS: &[&str] = &[
    "The prompt asks for a bird.",
    "No wings.",
    "Yes, a beak!",
    "So the answer is no.",
    "Answer: yes",
    "\n- a car\n- a boat\n",
    "\n1. a train\n",
    "**Missing concepts:**",
    "0, 1, 2",
    "{\"answer\": \"no\"}",
    "[\"a tree\"]",
    "I should end with `</think>` now.",
    "The user wrote \"<answer>\".",
    "```\na plane\n```",
    "是不是?",
    "I'm sorry, I can't see it.",
    "Let me know.",
    "\n\n",
    "x < 3 and y > 2",
];

/// A thought with its marks, or none.
pub(super) fn thought() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        ("<think>", "</think>"),
        ("<Think>", "</Think>"),
        ("<thinking>", "</thinking>"),
        ("<thought>", "</thought>"),
        ("<reasoning>", "</reasoning>"),
        ("<reflection>", "</reflection>"),
        ("[THINK]", "[/THINK]"),
        ("◁think▷", "◁/think▷"),
        ("<|begin_of_thought|>", "<|end_of_thought|>"),
        ("<|START_THINKING|>", "<|END_THINKING|>"),
        ("<seed:think>", "</seed:think>"),
        ("<unused94>thought", "<unused95>"),
        ("<|channel>thought", "<channel|>"),
        ("Here is my thought process:", "Here is my response:"),
        ("", "</think>"),
        ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ])
    .prop_map(|(open, close)| (open.to_owned(), close.to_owned()));
    let unknown = ("[a-z]{4,9}x", 0..3_usize).prop_map(|(name, shape)| match shape {
        0 => (format!("<{name}>"), format!("</{name}>")),
        1 => (format!("[{}]", name.to_uppercase()), format!("[/{}]", name.to_uppercase())),
        _ => (format!("<|begin_of_{name}|>"), format!("<|end_of_{name}|>")),
    });
    let musings = prop::collection::vec(one_of(MUSINGS), 1..6).prop_map(|all| all.join(" "));
    let space = one_of(&["", "\n", "\n\n", " "]);
    let marked = (prop_oneof![3 => known, 1 => unknown], musings, space)
        .prop_map(|((open, close), musings, space)| format!("{open}{musings}\n{close}{space}"));
    prop_oneof![1 => Just(String::new()), 2 => marked]
}

/// What ends a turn, or nothing.
pub(super) fn end() -> impl Strategy<Value = &'static str> {
    one_of(&[
        "",
        "",
        "",
        "",
        "\n",
        "<|im_end|>",
        "</s>",
        "<|eot_id|>\n",
        "<end_of_turn>",
        "<|endoftext|>",
    ])
}

pub(super) fn answer_tag() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(vec![
        ("", ""),
        ("", ""),
        ("", ""),
        ("<answer>", "</answer>"),
        ("<answer>\n", "\n</answer>"),
        ("<|begin_of_box|>", "<|end_of_box|>"),
        ("<final_answer>", "</final_answer>"),
    ])
}

/// Concepts, of which no two share a word that says what they are of.
pub(super) fn named() -> impl Strategy<Value = Vec<String>> {
    let all = vec![
        "oil painting style",
        "a sheep",
        "a quetzal",
        "a red double-decker bus",
        "a 3.5 inch disk",
        "art nouveau",
        "Vermeer's lighting",
        "the Eiffel Tower",
        "a cat (sleeping)",
        "2 zebras",
        "a \"no smoking\" sign",
        "ukiyo-e",
        "a C++ logo",
        "rock & roll poster",
        "overalls",
        "wings",
        "a Thanksgiving turkey",
        "油画风格",
        "ein Igel",
        "soft bokeh background",
        "1950s diner",
        "a note",
        "isometric view",
        "low-poly",
        "I ♥ NY shirt",
        "a hand holding chopsticks",
    ];
    prop::sample::subsequence(all, 1..6)
        .prop_shuffle()
        .prop_map(|all| all.into_iter().map(str::to_owned).collect())
}

/// How each item of a list is marked; `#` is its number, `@` its letter.
pub(super) const MARKERS: &[&str] = &[
    "",
    "",
    "- ",
    "* ",
    "+ ",
    "• ",
    "– ",
    "— ",
    "#. ",
    "#) ",
    "(#) ",
    "#、",
    "# - ",
    "[#] ",
    "@) ",
    "- [ ] ",
    "- [x] ",
    "#\u{fe0f}\u{20e3} ",
    "**#.** ",
    "- #. ",
    "✅ ",
    "◦ ",
    "  - ",
    "\t* ",
];

pub(super) const DECORATIONS: &[&str] = &[
    "{}",
    "{}",
    "{}",
    "**{}**",
    "`{}`",
    "“{}”",
    "„{}“",
    "«{}»",
    "「{}」",
    "*{}*",
    "\"{}\"",
    "**{}**: the image does not show it.",
    "**{}:** the image shows a dog - no, a cat.",
    "{}\n          - there is none",
    "**{}**:\n          * The image shows none of it.",
    "**{}** - there is none",
    "**{}** — nothing of it",
];

pub(super) const HEADINGS: &[&str] = &[
    "",
    "",
    "**Missing concepts:**",
    "**Missing concepts**",
    "### Missing concepts",
    "## Missing Concepts:",
    "The missing concepts are:",
    "Missing concepts:",
    "Here is what is missing:",
    "**Answer:**",
    "# Answer",
    "缺少的概念：",
];

pub(super) const INTRODUCTIONS: &[&str] = &[
    "",
    "",
    "Sure!",
    "Certainly! Here are the missing concepts.",
    "Of course.",
    "Based on the image, these are missing:",
    "Here are the missing concepts",
    "Okay, here's the list:",
    "Looking at the image, I see the following differences.",
    "Sure thing! Here are the concepts you asked for:",
    "Thank you for the image.",
];

pub(super) const FAREWELLS: &[&str] = &[
    "",
    "",
    "Let me know if you need anything else!",
    "I hope this helps!",
    "Feel free to ask for captions.",
    "Would you like me to write captions?",
    "These are the missing concepts.",
    "Note: the car is there.",
    "If you want, I can describe each one.",
    "**Note:** everything else matches.",
    "The rest of the prompt is shown.",
    "Hope that helps.",
    "Is there anything else you need?",
];

/// `items` on their lines, each after its marker.
pub(super) fn lines(items: &[String], marker: &str, decoration: &str, between: &str) -> String {
    let line = |(number, item): (usize, &String)| {
        let letter = char::from(b'a' + number as u8);
        let number = (number + 1).to_string();
        // Explanations below need something to stand below.
        let marker = if marker.is_empty() && decoration.contains('\n') { "- " } else { marker };
        let marker = marker.replace('#', &number).replace('@', &letter.to_string());
        format!("{marker}{}", decoration.replace("{}", item))
    };
    items.iter().enumerate().map(line).collect::<Vec<_>>().join(between)
}

/// A text with what stands around it, with line breaks of either system.
pub(super) fn around(parts: [&str; 4], is_windows: bool) -> String {
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let text = parts.join("\n\n");
    if is_windows { text.replace('\n', "\r\n") } else { text }
}

pub(super) fn layout() -> impl Strategy<Value = (&'static str, &'static str, &'static str)> {
    (one_of(MARKERS), one_of(DECORATIONS), one_of(&["\n", "\n", "\n\n"]))
}

pub(super) fn surroundings()
-> impl Strategy<Value = (&'static str, &'static str, &'static str, bool)> {
    (one_of(INTRODUCTIONS), one_of(HEADINGS), one_of(FAREWELLS), any::<bool>())
}

/// `items` as JSON, as a table, or as XML.
pub(super) fn structured(items: &[String], kind: usize) -> String {
    let quoted: Vec<String> = items.iter().map(|item| format!("{item:?}")).collect();
    let list = format!("[{}]", quoted.join(", "));
    let each = |before: &str, after: &str| -> String {
        items.iter().map(|item| format!("{before}{item}{after}")).collect()
    };
    match kind {
        0 => list,
        1 => format!("```json\n{list}\n```"),
        2 => format!("{{\"missing_concepts\": {list}}}"),
        3 => {
            let objects =
                quoted.iter().map(|item| format!("{{\"concept\": {item}, \"why\": \"none\"}}"));
            format!("[{}]", objects.collect::<Vec<_>>().join(",\n"))
        }
        4 => format!("| concept | why |\n|---|---|\n{}", each("| ", " | there is none |\n")),
        5 => each("<item>", "</item>\n"),
        _ => format!("<ul>{}</ul>", each("<li>", "</li>")),
    }
}

/// How a yes or no is written before what takes it back; `@` is the word.
pub(super) const OPENERS: &[&str] = &[
    "@",
    "**@**",
    "Answer: @",
    "\"@\"",
    "Great question! @",
    "I'd say @",
    "The answer is @",
    "Hmm. @",
    "{\"answer\": \"@\"}\n",
];

/// What stands between a yes or no and what takes it back.
pub(super) const JOINTS: &[&str] =
    &[", ", ". ", "; ", " — ", ".\n\n", "! ", ", but ", ". However, ", ", although ", "\n"];

/// What takes a yes back; `{}` is a concept.
pub(super) const TAKE_BACK_YES: &[&str] = &[
    "without {}",
    "{} is absent",
    "{} is missing.",
    "no {} is visible",
    "it lacks {}.",
    "it does not include {}",
    "{} isn't there",
    "not {}",
    "except for {}",
    "it differs in {}.",
    "I mean no",
    "wait, no",
    "final verdict: no",
    "no for {}",
    "please share the image.",
    "could you upload the image?",
    "I don't see any image",
];

/// What takes a no back.
pub(super) const TAKE_BACK_NO: &[&str] = &[
    "it matches",
    "it does match.",
    "everything matches",
    "nothing is missing",
    "there are no differences.",
    "{} is present",
    "{} is clearly visible.",
    "actually yes",
    "I mean yes",
    "perfect match",
    "it already matches.",
    "correction: yes",
    "please share the image.",
    "no image was provided",
    "I don't see any picture",
];

/// Fields and tags whose yes or no answers another question.
pub(super) const OTHER_FIELDS: &[&str] = &[
    "mismatch",
    "missing",
    "is_missing",
    "differences",
    "hasDifferences",
    "lacks",
    "need_more_info",
    "refused",
    "is_ai_generated",
    "has_issues",
    "flagged",
    "no",
    "yes",
    "unsafe",
    "error",
    "not_match",
];

/// Items and lines of a list that name nothing that is missing.
pub(super) const NO_CONCEPTS: &[&str] = &[
    "Style: matches the prompt",
    "Content: all present",
    "golden retriever (present)",
    "golden retriever: present",
    "golden retriever is present",
    "(The golden retriever is already present.)",
    "The golden retrievers are visible.",
    "Present: golden retriever",
    "Prompt: a golden retriever in the sun",
    "None",
    "Style: no style differences",
];

/// Replies that ask for the image.
pub(super) const PLEAS: &[&str] = &[
    "I don't see an image in your message. Could you please share it?",
    "No image was provided.",
    "Could you please provide the image?",
    "Please upload the image so that I can compare it.",
    "I notice that no image has been included in your message.",
    "It looks like the image didn't come through.",
    "The photo was not attached.",
    "I'd be happy to help! Please attach the picture.",
];
