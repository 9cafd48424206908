//! A judge's reply to whether it declines, whatever number it holds.

/// Whether a reply declines that may hold a number all the same, before or behind it: "I'm sorry, I can't
/// see the image. Score: 0", "I can't score this. Score: 0". What a judge cannot make out in the image is
/// no refusal.
pub(super) fn declines(text: &str) -> bool {
    const SORRY: [&str; 8] = [
        "sorry",
        "i'm sorry",
        "i am sorry",
        "my apologies",
        "i apologize",
        "i apologise",
        "as an ai",
        "as a language model",
    ];
    let start = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    SORRY.iter().any(|words| start.starts_with(words)) || is_unseen(text) || is_unable(text)
}

/// Whether it says that there is no image: "I see no image.", "no image was provided". An image that shows
/// no picture on the wall is one.
fn is_unseen(text: &str) -> bool {
    const BEFORE: [&str; 4] = ["no ", "not see any ", "n't see any ", "without an "];
    const IMAGES: [&str; 6] = ["images", "image", "pictures", "picture", "photos", "photo"];
    const BEHIND: [&str; 10] = [
        "was ",
        "were ",
        "is ",
        "has been",
        "here",
        "attached",
        "provided",
        "visible",
        "available",
        "to ",
    ];
    let ends = |rest: &str| {
        let behind = rest.trim_start();
        !rest.starts_with(char::is_alphanumeric) && !behind.starts_with(char::is_alphanumeric)
            || rest.starts_with(' ') && BEHIND.iter().any(|words| behind.starts_with(words))
    };
    let is_missing = |rest: &str| {
        let behind = IMAGES.iter().find_map(|what| rest.strip_prefix(what));
        behind.is_some_and(ends)
    };
    BEFORE.iter().any(|words| {
        text.match_indices(words).any(|(at, _)| {
            let is_word = words.starts_with("n't") || !text[..at].ends_with(char::is_alphanumeric);
            is_word && is_missing(&text[at + words.len()..])
        })
    })
}

/// Whether it says that it cannot do what it was asked for.
fn is_unable(text: &str) -> bool {
    const UNABLE: [&str; 9] = [
        "i can't ",
        "i cannot ",
        "i can not ",
        "i could not ",
        "i'm unable to ",
        "i am unable to ",
        "i'm not able to ",
        "i am not able to ",
        "i won't ",
    ];
    UNABLE.iter().any(|words| {
        text.match_indices(words).any(|(at, _)| {
            let near = text[..at].chars().count() < 200;
            is_task(&text[at + words.len()..], near)
        })
    })
}

/// Whether `task` is what a judge is asked to do. What it says late may be about something else.
fn is_task(task: &str, early: bool) -> bool {
    const TASKS: [&str; 10] = [
        "help", "assist", "access", "open", "process", "comply", "fulfill", "engage", "evaluate",
        "assess",
    ];
    const MARKING: [&str; 4] = ["score ", "rate ", "judge ", "grade "];
    const GIVING: [&str; 4] = ["give ", "provide ", "assign ", "offer "];
    const MARKS: [&str; 6] =
        ["a score", "a rating", "any score", "any rating", "scores", "a number"];
    /// With these it is about how much: "I cannot rate it higher".
    const HOW_MUCH: [&str; 8] =
        ["higher", "more", "better", "above", "beyond", "lower", "full", "perfect"];
    let sees = ["see ", "view "].iter().find_map(|verb| task.strip_prefix(verb));
    let mut object = sees.unwrap_or_default().split_whitespace().take(2);
    let is_image =
        |word: &str| ["image", "picture", "photo"].iter().any(|what| word.starts_with(what));
    let sentence = task.split(['.', '\n', ';', '!']).next().unwrap_or(task);
    let begins = |words: &[&str]| words.iter().any(|word| task.starts_with(word));
    let marks =
        begins(&MARKING) || begins(&GIVING) && MARKS.iter().any(|words| sentence.contains(words));
    let how_much = sentence.contains(|c: char| c.is_ascii_digit())
        || HOW_MUCH.iter().any(|word| sentence.contains(word));
    object.any(is_image)
        || early && begins(&TASKS) && !task.starts_with("help but")
        || early && marks && !how_much
}
