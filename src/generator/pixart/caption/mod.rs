//! Prompts as people write them to captions as PixArt-Σ was trained on: diffusers'
//! `PixArtSigmaPipeline._text_preprocessing`.
//!
//! The result is that of diffusers 0.42 on Python 3.11 with `beautifulsoup4` 4.15 and `ftfy` 6.3, but
//! for what `ftfy` does to text that was decoded in another encoding than it was written in ("â€™" for
//! "’"), which stays as it is.

mod entities;
mod ftfy;
mod html;
mod python;
mod rules;
mod soup;
#[cfg(test)]
mod tests;
mod urls;

use python::{lower, strip, unquote_plus};
use rules::{AFTER_HTML, AFTER_REPAIR};

/// The most hyphens and underscores that are taken for part of words, and not for blanks between them.
const JOINERS: usize = 3;

/// A prompt in lower case, without blanks around it.
pub(super) fn lower_and_strip(prompt: &str) -> String {
    strip(&lower(prompt)).to_owned()
}

/// A prompt without addresses, HTML, names of files and the like. As in diffusers, what is cleaned once
/// is cleaned once more, which may find more.
pub(super) fn clean(prompt: &str) -> String {
    clean_once(&clean_once(prompt))
}

fn clean_once(caption: &str) -> String {
    // 1. what computers add
    let caption = unquote_plus(caption);
    let caption = lower(strip(&caption)).replace("<person>", "person");
    let caption = urls::remove(&caption);
    // Beautiful Soup refuses some broken HTML, and diffusers with it.
    let caption = html::text(&caption).unwrap_or(caption);

    // 2. what shops add
    let mut caption = AFTER_HTML.apply(&caption);
    if caption.matches(['-', '_']).count() > JOINERS {
        caption = caption.replace(['-', '_'], " ");
    }

    // 3. characters
    let caption = ftfy::fix_text(&caption);
    let caption = entities::unescape(&entities::unescape(&caption));

    // 4. what is left
    strip(&AFTER_REPAIR.apply(&caption)).to_owned()
}
