//! A caption to what a search box is asked: its words, and nothing that a search box takes for a command.

/// The most words of a query: what Brave's API takes (its reference of `q`). The other services say
/// nothing of a number.
const MAX_WORDS: usize = 50;

/// The words of `text`, in at most `max_chars` characters. Signs that quote, exclude, group, name a
/// field or match anything are left out, and words that combine others are in small letters.
pub(super) fn words(text: &str, max_chars: usize) -> String {
    let is_sign = |c: char| c.is_control() || (c.is_ascii_punctuation() && c != '\'');
    let plain = text.replace(is_sign, " ");
    let mut query = String::new();
    let mut left = max_chars;
    for word in plain.split_whitespace().take(MAX_WORDS) {
        let word = word.trim_matches('\'');
        let taken = word.chars().count() + usize::from(!query.is_empty());
        if word.is_empty() {
            continue;
        }
        if taken > left {
            if query.is_empty() {
                query.extend(word.chars().take(left));
            }
            break;
        }
        left -= taken;
        if !query.is_empty() {
            query.push(' ');
        }
        match word {
            "AND" | "OR" | "NOT" => query += &word.to_lowercase(),
            word => query += word,
        }
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_is_left() {
        for (caption, query) in [
            ("a quetzal, perched on a branch.", "a quetzal perched on a branch"),
            ("-cat \"grey dog\" +(wolf*) ~fox? | hare", "cat grey dog wolf fox hare"),
            ("intitle:bee insource:/x/ !images :de", "intitle bee insource x images de"),
            ("cats AND dogs OR NOT birds", "cats and dogs or not birds"),
            ("Darwin's 'frog'", "Darwin's frog"),
            ("blue-footed booby", "blue footed booby"),
            ("एक मोर, ein Eisvogel ‒ 翠鳥", "एक मोर ein Eisvogel ‒ 翠鳥"),
            ("line\nbreak\ttab\0nul", "line break tab nul"),
            ("!?*", ""),
            ("", ""),
        ] {
            assert_eq!(words(caption, 200), query, "{caption}");
        }
    }

    #[test]
    fn long_captions_are_cut_between_words() {
        assert_eq!(words("one two three", 8), "one two");
        assert_eq!(words("one two three", 7), "one two");
        assert_eq!(words("one two three", 6), "one");
        assert_eq!(words("Ünübersichtlich", 5), "Ünübe");
        let long = words(&"word ".repeat(90), 1000);
        assert_eq!(long.split(' ').count(), MAX_WORDS);
    }
}
