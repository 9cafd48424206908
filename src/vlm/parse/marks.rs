//! A text to the marks in it that a model or its chat template sets around thoughts, answers and
//! turns.

use std::ops::Range;

/// The marks around thoughts, as opening and closing one, and whose they are. A mark is known by its
/// name, whatever its brackets and case: `[THINK]` and `<|begin_of_think|>` are `<think>`.
const THOUGHTS: &[(&str, &str)] = &[
    ("<think>", "</think>"), // DeepSeek-R1, Qwen3, GLM-4.1V, Phi-4-reasoning, InternVL3.5
    ("<thinking>", "</thinking>"), // Claude's prompts, Reflection 70B
    ("<thought>", "</thought>"), // EXAONE Deep, Gemini's OpenAI endpoint
    ("<thoughts>", "</thoughts>"),
    ("<reasoning>", "</reasoning>"),   // LLaVA-CoT
    ("<reflection>", "</reflection>"), // Reflection 70B
    ("<scratchpad>", "</scratchpad>"), // Claude's prompts, Hermes
    ("<analysis>", "</analysis>"),
    ("<rationale>", "</rationale>"),
    ("[THINK]", "[/THINK]"),                        // Mistral Magistral
    ("◁think▷", "◁/think▷"),                        // Kimi-VL-Thinking
    ("<|begin_of_thought|>", "<|end_of_thought|>"), // Sky-T1, OpenThinker
    ("<|START_THINKING|>", "<|END_THINKING|>"),     // Cohere Command A Reasoning
    ("<seed:think>", "</seed:think>"),              // Seed-OSS
    ("<|inner_prefix|>", "<|inner_suffix|>"),       // Apertus
    ("<unused94>thought", "<unused95>"),            // MedGemma
    ("<|channel>thought", "<channel|>"),            // Gemma 4
    ("Here is my thought process:", "Here is my response:"), // IBM Granite 3.2
];

/// The marks around answers.
const ANSWERS: &[(&str, &str)] = &[
    ("<answer>", "</answer>"), // DeepSeek-R1-Zero, GLM-4.1V, Hunyuan
    ("<final_answer>", "</final_answer>"),
    ("<output>", "</output>"),     // Reflection 70B
    ("<response>", "</response>"), // ERNIE 4.5
    ("<result>", "</result>"),
    ("<verdict>", "</verdict>"),
    ("<decision>", "</decision>"),
    ("<conclusion>", "</conclusion>"),                // LLaVA-CoT
    ("<|begin_of_box|>", "<|end_of_box|>"),           // GLM-4.1V, GLM-4.5V
    ("<|begin_of_solution|>", "<|end_of_solution|>"), // Sky-T1, OpenThinker
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),       // Cohere Command A
];

/// What begins an assistant's turn: ChatML, Llama 3, Gemma, Mistral, Phi.
const TURN_STARTS: &[&str] = &[
    "<|im_start|>assistant",
    "<|start_header_id|>assistant<|end_header_id|>",
    "<start_of_turn>model",
    "<|begin_of_text|>",
    "<|assistant|>",
    "[/INST]",
    "<bos>",
    "<s>",
    "ASSISTANT:", // LLaVA 1.5
];

/// What ends a turn: ChatML, Llama 3, Llama 2 and Mistral, Gemma, Phi and gpt-oss, GPT-2's, Cohere,
/// DeepSeek.
const TURN_ENDS: &[&str] = &[
    "<|im_end|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "</s>",
    "<end_of_turn>",
    "<eos>",
    "<|end|>",
    "<|return|>",
    "<|endoftext|>",
    "<|END_OF_TURN_TOKEN|>",
    "<｜end▁of▁sentence｜>",
    "<|user|>",
    "<|im_start|>",
];

/// Names of HTML and of lists in XML: they lay out an answer.
pub(super) const LAYOUT: &str = "a|b|blockquote|body|br|caption|captions|code|concept|concepts|div|em|\
    entry|h1|h2|h3|h4|h5|h6|hr|html|i|image|img|item|items|li|list|mark|name|ol|p|pre|prompt|q|\
    section|small|span|strong|sub|sup|table|tbody|td|th|thead|tr|u|ul|xml";

/// A reply with more marks than this is not understood.
pub(super) const MAX_MARKS: usize = 1_000;
/// A mark has at most this many characters.
const MAX_MARK_CHARS: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Meaning {
    Thought,
    Answer,
    Unknown,
}

/// A mark in a text.
#[derive(Debug, PartialEq)]
pub(super) struct Mark {
    pub range: Range<usize>,
    /// What the opening and the closing mark have in common, in lower case.
    pub name: String,
    pub opens: bool,
    pub meaning: Meaning,
}

/// The marks in `text` that are neither layout nor in quotation marks, in order; no more than one over
/// [`MAX_MARKS`].
pub(super) fn find(text: &str) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    let mut from = 0;
    while marks.len() <= MAX_MARKS
        && let Some(at) = text[from..].find(['<', '[', '◁', 'H']).map(|at| from + at)
    {
        let rest = &text[at..];
        let Some((length, name, opens)) = phrase(rest).or_else(|| shape(rest)) else {
            from = at + rest.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        from = at + length;
        let range = at..from;
        if LAYOUT.split('|').any(|layout| layout == name) || is_quoted(text, &range) {
            continue;
        }
        let is = |pairs: &[(&str, &str)]| pairs.iter().any(|(open, _)| name_of(open) == name);
        let meaning = match () {
            () if is(THOUGHTS) => Meaning::Thought,
            () if is(ANSWERS) => Meaning::Answer,
            () => Meaning::Unknown,
        };
        marks.push(Mark { range, name, opens, meaning });
    }
    // Words in square brackets are no marks where nothing closes them: "[SALE]".
    let is_alone = |mark: &Mark| {
        let other = |one: &Mark| one.name == mark.name && one.opens != mark.opens;
        mark.meaning == Meaning::Unknown
            && text[mark.range.clone()].starts_with('[')
            && !marks.iter().any(other)
    };
    let alone: Vec<bool> = marks.iter().map(is_alone).collect();
    let mut alone = alone.into_iter();
    marks.retain(|_| alone.next() == Some(false));
    marks
}

/// The name of a mark of the tables.
fn name_of(mark: &str) -> String {
    phrase(mark).or_else(|| shape(mark)).map_or_else(String::new, |(_, name, _)| name)
}

/// A mark of the tables at the start of `text` that is in no shape: its length, its name, and whether
/// it opens.
fn phrase(text: &str) -> Option<(usize, String, bool)> {
    let has_shape = |mark: &str| shape(mark).is_some_and(|(length, ..)| length == mark.len());
    THOUGHTS.iter().filter(|(open, _)| !has_shape(open)).find_map(|&(open, close)| {
        let opens = starts_with(text, open);
        let mark = if opens { open } else { close };
        let is_there = opens || starts_with(text, close);
        is_there.then(|| (mark.len(), open.to_lowercase(), opens))
    })
}

/// A mark at the start of `text` in the shape of those in the tables: `<name>`, `[NAME]`, `◁name▷`,
/// `<|begin_of_name|>`. The same as in [`phrase`].
fn shape(text: &str) -> Option<(usize, String, bool)> {
    let (opening, closing) = [("<|", "|>"), ("<", ">"), ("◁", "▷"), ("[", "]")]
        .into_iter()
        .find(|(opening, _)| text.starts_with(opening))?;
    let inner = &text[opening.len()..];
    let near = inner.char_indices().nth(MAX_MARK_CHARS).map_or(inner.len(), |(at, _)| at);
    let inner = &inner[..inner[..near].find(closing)?];
    let (slash, inner_name) = match inner.strip_prefix('/') {
        Some(name) => (true, name),
        None => (false, inner),
    };
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '-' | '.');
    let end = inner_name.find(|c: char| !is_part(c)).unwrap_or(inner_name.len());
    let (name, attributes) = inner_name.split_at(end);
    let spaced = attributes.is_empty() || (opening == "<" && attributes.starts_with([' ', '/']));
    let fits = name.starts_with(char::is_alphabetic)
        && spaced
        && attributes.len() < 80
        && !attributes.contains(['<', '\n'])
        && (opening != "[" || !name.chars().any(char::is_lowercase));
    if !fits {
        return None;
    }
    let length = opening.len() + inner.len() + closing.len();
    let name = name.to_lowercase();
    if opening != "<|" || slash {
        return Some((length, name, !slash));
    }
    let begins = ["begin_of_", "start_of_", "begin_", "start_"];
    let ends = ["end_of_", "end_"];
    let named = |affixes: &[&str]| affixes.iter().find_map(|one| name.strip_prefix(one));
    if let Some(name) = named(&ends) {
        return Some((length, name.to_owned(), false));
    }
    let after = [("_suffix", false), ("_end", false), ("_prefix", true), ("_start", true)];
    let suffixed = after.iter().find_map(|&(one, opens)| Some((name.strip_suffix(one)?, opens)));
    let (name, opens) = match (named(&begins), suffixed) {
        (Some(name), _) => (name, true),
        (None, Some((name, opens))) => (name, opens),
        (None, None) => (name.as_str(), true),
    };
    Some((length, name.to_owned(), opens))
}

/// Whether the mark is all that stands between quotation marks or backticks.
fn is_quoted(text: &str, mark: &Range<usize>) -> bool {
    let (before, after) = (&text[..mark.start], &text[mark.end..]);
    let is_quote =
        |c: char| matches!(c, '`' | '"' | '\'' | '“' | '”' | '‘' | '’' | '«' | '»' | '「' | '」');
    let unquoted = before.trim_end_matches(is_quote);
    unquoted.len() < before.len()
        && !unquoted.ends_with(|c: char| c.is_alphanumeric() || c == '.')
        && after.starts_with(is_quote)
}

/// What follows the mark that begins a turn at the start of `text`.
pub(super) fn turn_start(text: &str) -> Option<&str> {
    TURN_STARTS.iter().find(|mark| starts_with(text, mark)).map(|mark| &text[mark.len()..])
}

/// Where the turn ends in `text`.
pub(super) fn turn_end(text: &str) -> Option<usize> {
    let ends = TURN_ENDS.iter().flat_map(|mark| text.match_indices(mark));
    ends.filter(|(at, mark)| !is_quoted(text, &(*at..*at + mark.len()))).map(|(at, _)| at).min()
}

/// `str::starts_with` in either case.
fn starts_with(text: &str, mark: &str) -> bool {
    text.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark))
}
