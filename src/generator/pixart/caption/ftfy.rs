//! Text to the characters that were meant: what `ftfy.fix_text` does, but for the repair of text that
//! was decoded in another encoding than it was written in.

use unicode_normalization::UnicodeNormalization;

use super::entities::WINDOWS_1252;

/// Characters that stand for several Latin letters, as `ftfy` takes them apart. Capital ones are lower
/// case by then.
const LIGATURES: [(char, &str); 13] = [
    ('ĳ', "ij"),
    ('ŉ', "ʼn"),
    ('ǆ', "dž"),
    ('ǉ', "lj"),
    ('ǌ', "nj"),
    ('ǳ', "dz"),
    ('ﬀ', "ff"),
    ('ﬁ', "fi"),
    ('ﬂ', "fl"),
    ('ﬃ', "ffi"),
    ('ﬄ', "ffl"),
    ('ﬅ', "ſt"),
    ('ﬆ', "st"),
];

/// The text with straight quotes, line breaks of one kind, no ligatures, no characters of another
/// width and no control characters, composed.
pub(super) fn fix_text(text: &str) -> String {
    let mut text = text.to_owned();
    loop {
        let fixed: String = fix(&text).nfc().collect();
        if fixed == text {
            return fixed;
        }
        text = fixed;
    }
}

fn fix(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let mut fixed = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // Controls that stand for what Windows has at their place, as in browsers.
            '\u{80}'..='\u{9f}' => fixed.push(WINDOWS_1252[c as usize - 0x80]),
            // Full and half widths.
            '\u{3000}' => fixed.push(' '),
            '\u{ff01}'..='\u{ffef}' => fixed.extend(std::iter::once(c).nfkc()),
            // Quotes.
            '\u{2bc}' | '\u{2018}'..='\u{201b}' => fixed.push('\''),
            '\u{201c}'..='\u{201f}' => fixed.push('"'),
            // Line breaks.
            '\r' | '\u{2028}' | '\u{2029}' => fixed.push('\n'),
            // Controls that are no space, deprecated ones and marks.
            '\0'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}' => {}
            '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}' => {}
            _ => match LIGATURES.iter().find(|(ligature, _)| *ligature == c) {
                Some((_, letters)) => fixed.push_str(letters),
                None => fixed.push(c),
            },
        }
    }
    fixed
}
