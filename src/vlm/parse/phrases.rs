//! What models write around an answer: introductions, headings, farewells, and words for nothing.

use super::{folded, is_one_of, words};
use crate::vlm::Questions;

/// What a list or a text is called in its introduction or heading.
const SUBJECTS: &str = "answer|caption|captions|concept|concepts|descriptions|difference|differences|elements|list|\
    missing|prompt|prompts|suggestion|suggestions|version|rephrased|rephrasing|retrieval|lookup|\
    request";

/// How an introduction begins that is one whatever follows on its line.
const GREETINGS: &str = "sure|certainly|of course|absolutely|okay|ok|great|got it|understood|alright|\
    no problem|happy to help|thanks|thank you|hello|hi|yes|i'd be happy|i would be happy|glad to help|\
    great question|apologies";

/// What else stands in introductions.
const OFFERS: [&str; 5] = ["i can help", "i'd be happy", "happy to help", "let's ", "let me "];

/// How an introduction begins that names what follows.
const OPENINGS: &str = "here is|here are|here's|here you go|below is|below are|below you|these are|the following|\
    this is|based on|after comparing|after looking|after reviewing|after analyzing|looking at|\
    upon|comparing|given|the prompt|your prompt|i|i've|i'd|i'll|as requested|as you|for each|following|to make|\
    when comparing|considering|the missing|the differences|the captions|there are|my|we";

/// How what follows an answer begins.
const FAREWELLS: &str = "let me know|please let me|i hope|hope this|hope these|hope that|hope it|feel free|\
    would you like|if you|if any|if there|is there anything|do you want|do you need|\
    these captions|these concepts|these are|these descriptions|these elements|these items|\
    these missing|these should|this list|this prompt|this caption|this version|this keeps|\
    this rephrases|this rephrasing|this should|this revised|this description|this makes|\
    this one|those are|note:|note that|please note|notes:|happy to|i'm happy|i can also|i can|\
    thanks!|thanks,|thanks for|thank you!|thank you for|good luck!|good luck with|enjoy!|\
    each caption|each of these|each of the|you can use|you can now|you may use|all of these|\
    all captions|all other|everything else|the rest of the|overall,|in summary,|in short,|\
    explanation:|reason:|reasoning:|reasons:|changes:|changes made|i have|i've|i made|i kept|\
    i simplified|i replaced|i changed|i removed|i used|i tried|i focused|i suggest|i recommend|\
    i would|i could|i'd|i'll|i cannot|i can't|i couldn't|the captions above|the above|\
    the concepts above|disclaimer:|tip:|have a great day|have a nice day|best regards|\
    kind regards|that's all|that is all|nothing else|no other|should you|want me|can i help|\
    user:|human:|assistant:|total:|in total|end of list|what would|how does|does this|is this|are these|shall i|please use|(note|\
    the image otherwise|otherwise,|otherwise the";

/// Parts of a prompt by which models sort what is missing. They are headings, and no concepts.
const CATEGORIES: &str = "content|contents|style|styles|object|objects|subject|subjects|element|elements|\
    concept|concepts|missing|missing content|missing style|missing concept|missing concepts|\
    missing elements|missing objects|missing items|content aspects|style aspects|content concepts|\
    style concepts|stylistic|style elements|content elements|in terms of content|in terms of style|\
    visual style|art style|items|list|answer|final answer|caption|captions|image caption|\
    image captions|differences|the differences|the missing concepts|the captions|output|result|\
    missing content concepts|missing style concepts|stylistic elements|visual elements";

/// Headings of what a model observes beside its answer.
const ASIDES: &str = "type|kind|category|analysis|image analysis|reasoning|explanation|explanations|observation|\
    observations|present|present concepts|present in the image|present elements|shown|\
    shown in the image|what the image shows|thinking|thought process|thoughts|notes|note|summary|\
    step by step|matches|matching|matching elements|matching concepts|already present|evaluation|\
    image description|description of the image|comparison|justification|rationale|\
    not missing|elements present|concepts present|what is present|what matches|what's present";

/// What lines are called that repeat what was asked, or say something about the list.
const RECAPS: &str = "prompt|required prompt|original prompt|target prompt|the prompt|image|the image|\
    current image|generated image|draft|draft image|input|user|human|assistant|question|total|count|\
    confidence|score|status";

/// What captions are called above them.
const CAPTION_HEADINGS: &str = "caption|captions|image captions|suggested captions|\
    suggested image captions|caption suggestions|the captions|retrieval captions|captions for retrieval";

/// What stands in the place of a list where nothing is missing.
const NOTHING: &str = "none|n/a|nothing|no|yes|null|nothing is missing|nothing missing|\
    nothing's missing|no missing concepts|no missing elements|no concepts are missing|\
    there are no missing concepts|there are no missing elements|there is nothing missing|\
    no concepts missing|no differences|there are no differences|no missing concept|none missing|\
    nothing else|not applicable|no missing items|none of the concepts are missing|\
    the image matches the prompt|all concepts are present|no concept is missing|\
    everything matches|none are missing|none is missing|no difference|no discrepancies|end|done|\
    无|無|没有|沒有|なし|特になし|ありません|нет|ничего|keine|keines|keiner|nichts|nein|ninguno|ninguna|\
    nada|aucun|aucune|rien|non|nessuno|nessuna|niente|nenhum|nenhuma|没有缺少|없음|없습니다|brak|geen|\
    niets|ingen|inget|yok|لا شيء|không có|tidak ada|ไม่มี|कुछ नहीं";

/// Whether a line before an answer only introduces it.
pub(super) fn introduces(line: &str) -> bool {
    let ends = line.trim_end().ends_with(['.', '!', ':', '*', '。', '：']);
    let line = folded(bare(line));
    let greets = GREETINGS.split('|').filter(|word| begins(&line, word)).any(|word| {
        // "Of course! A quetzal" is no introduction.
        let rest = line[word.len()..].trim_start();
        let said = bare(rest);
        !rest.starts_with(|c: char| c.is_alphanumeric())
            && (said.is_empty() || ends_open(rest) || introduces(said) || opens(said))
    });
    let thanks = ["thank you for", "thanks for"].iter().any(|word| begins(&line, word));
    let shows = ["here", "below", "these"].iter().any(|word| begins(&line, word));
    let opens_here = opens(&line);
    greets
        || thanks
        || OFFERS.iter().any(|offer| line.contains(offer))
        || (opens_here
            && (ends || shows)
            && words(&line).iter().any(|word| is_one_of(word, SUBJECTS)))
}

fn opens(line: &str) -> bool {
    OPENINGS.split('|').any(|opening| begins(line, opening))
}

fn ends_open(line: &str) -> bool {
    line.trim_end_matches(['*', '_', ' ']).ends_with([':', '：'])
}

/// `line` without a greeting before it: "Sure! a sheep".
pub(super) fn without_greeting(line: &str) -> &str {
    match line.split_once(['!', '.', ':', ',']) {
        Some((greeting, rest))
            if is_one_of(&folded(greeting.trim()), GREETINGS) && rest.starts_with(' ') =>
        {
            rest.trim_start()
        }
        _ => line,
    }
}

/// Whether a line after an answer no longer belongs to it.
pub(super) fn takes_leave(line: &str) -> bool {
    let line = folded(line.trim_start_matches(['*', '_', '>', ' ', '"', '“', '(']));
    FAREWELLS.split('|').any(|farewell| begins(&line, farewell))
}

/// Whether the last item of a list is none, but speaks to who asked: "- Let me know …".
pub(super) fn addresses_reader(line: &str) -> bool {
    let line = folded(line.trim_start_matches(|c: char| !c.is_alphanumeric()));
    const ADDRESSES: &str = "let me know|please let me|feel free|would you like|i hope|hope this|\
        if you need|if you want|if you'd like|do you want|happy to help";
    ADDRESSES.split('|').any(|words| begins(&line, words))
}

/// Whether `line` begins with whole words.
fn begins(line: &str, words: &str) -> bool {
    let is_open = words.ends_with(char::is_alphanumeric);
    line.strip_prefix(words).is_some_and(|rest| {
        !(is_open && rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '\'')))
    })
}

/// Whether a heading or label sorts concepts and is none: "Content", "Missing concepts (style)".
pub(super) fn is_category(heading: &str) -> bool {
    is_one_of(&folded(bare(heading)), CATEGORIES)
}

/// Whether what stands under a heading is beside the answer.
pub(super) fn is_aside(heading: &str) -> bool {
    is_one_of(&folded(bare(heading)), ASIDES)
}

/// Whether a line with this label repeats what was asked, or is about the list.
pub(super) fn is_recap(label: &str) -> bool {
    is_one_of(&folded(bare(label)), RECAPS)
}

/// What stands above and below the heading of captions that other items stand above.
pub(super) fn above_and_below_captions(text: &str) -> Option<(&str, &str)> {
    let (mut from, mut has_items) = (0, false);
    for line in text.split_inclusive('\n') {
        if has_items && is_one_of(&folded(bare(line)), CAPTION_HEADINGS) {
            return Some((&text[..from], &text[from + line.len()..]));
        }
        from += line.len();
        has_items |= !bare(line).is_empty() && !introduces(line) && !is_heading(line.trim());
    }
    None
}

/// Whether a line is a heading by its words: a category, an aside, or a few words about what is asked
/// for, in bold: "**What is missing**".
pub(super) fn is_heading(line: &str) -> bool {
    let is_bold = line.starts_with(['*', '_']) && line.ends_with(['*', '_']);
    let names_subject = || words(line).iter().any(|word| is_one_of(word, SUBJECTS));
    is_category(line) || is_aside(line) || (is_bold && names_subject())
}

/// Whether a label only says which item it is: "Caption 2", "Concept".
pub(super) fn is_numbered_label(label: &str) -> bool {
    let words = words(label);
    let kind = match words.split_last() {
        Some((last, kind)) if last.chars().all(char::is_numeric) => kind,
        _ => words.as_slice(),
    };
    const KINDS: &str = "caption|concept|title|name|keyword|item|image|option|prompt|element|object|description|missing|\
        style|content|for|the|suggested|search|query|retrieval|rephrased|rewritten|revised|new|clearer|\
        simplified|improved|text|final|answer|detailed|query|suggestion|here|is|a|updated|version|of|\
        to|your";
    let names_one = kind.iter().any(|word| !is_one_of(word, "a|for|here|is|of|the|to|your"));
    names_one && kind.iter().all(|word| is_one_of(word, KINDS))
}

/// Whether `text` is blank or an English word for nothing.
pub(super) fn is_nothing(text: &str) -> bool {
    let plain = folded(text.trim_matches(|c: char| !c.is_alphanumeric()));
    plain.is_empty() || is_one_of(&plain, NOTHING)
}

/// Whether an item is blank or says that nothing is missing.
pub(super) fn says_nothing(questions: &Questions, item: &str) -> bool {
    let plain = folded(item.trim_matches(|c: char| !c.is_alphanumeric()));
    let Questions { yes, no, none, .. } = questions;
    is_nothing(item)
        || [yes, no, none].into_iter().flatten().any(|nothing| plain == folded(nothing.trim()))
}

/// `text` without emphasis, quotation marks and punctuation around it.
pub(super) fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '(' | ')'))
}
