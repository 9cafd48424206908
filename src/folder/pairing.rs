//! The names of pictures and texts to which text is about which picture.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;

use super::kind::text;

/// Which texts are about which picture, all by their place in the lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pairs {
    /// For each picture, its texts: captions last, which are believed more than what a JSON object
    /// says beside other things.
    pub(crate) texts: Vec<Vec<usize>>,
    /// Texts that could be about several pictures, which are named.
    pub(crate) unclear: Vec<(usize, Vec<usize>)>,
    /// Texts about no picture.
    pub(crate) without_picture: Vec<usize>,
}

/// Pairs `texts` with `pictures`, both of which are names that may begin with a folder's.
///
/// The text `bee.jpg.json` is about the picture `bee.jpg`, and `bee.json` is about the picture with
/// any ending whose name is `bee` without it. With `by_key`, as in WebDataset, where the key of a
/// sample ends at the first dot, `bee.json` is also about `bee.image.jpg`, if that is the only
/// picture of this key. Of a text that fits several pictures, such as `bee.json` of `bee.jpg` and
/// `bee.png`, it is not known which it is about: it is about none. Names that differ in Unicode
/// normalization are the same, as file systems treat them, if no other name is.
pub(crate) fn pair<S: AsRef<str>>(pictures: &[S], texts: &[S], by_key: bool) -> Pairs {
    let pictures: Vec<&str> = pictures.iter().map(AsRef::as_ref).collect();
    let mut pairs = Pairs { texts: vec![Vec::new(); pictures.len()], ..Pairs::default() };
    let of = |name: fn(&str) -> &str| {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, picture) in pictures.iter().enumerate() {
            by_name.entry(normal(name(picture))).or_default().push(at);
        }
        by_name
    };
    let [by_name, by_stem] = [of(|name| name), of(stem)];
    let by_key = if by_key { of(key) } else { HashMap::new() };
    for (at, name) in texts.iter().map(AsRef::as_ref).enumerate() {
        let about = stem(name);
        let normalized = normal(about);
        let candidates = by_name.get(&normalized).or_else(|| by_stem.get(&normalized));
        let candidates = candidates.or_else(|| by_key.get(&normalized));
        let Some(candidates) = candidates else {
            pairs.without_picture.push(at);
            continue;
        };
        let exact: Vec<usize> = candidates
            .iter()
            .copied()
            .filter(|&at| [pictures[at], stem(pictures[at]), key(pictures[at])].contains(&about))
            .collect();
        match (&exact[..], &candidates[..]) {
            ([picture], _) | ([], [picture]) => pairs.texts[*picture].push(at),
            _ => pairs.unclear.push((at, candidates.clone())),
        }
    }
    for about in &mut pairs.texts {
        about.sort_by_key(|&at| text(texts[at].as_ref()));
    }
    pairs
}

fn normal(name: &str) -> String {
    name.nfc().collect()
}

/// `name` without its ending.
pub(crate) fn stem(name: &str) -> &str {
    let base = base(name);
    match base.rfind('.') {
        Some(dot) => &name[..name.len() - base.len() + dot],
        None => name,
    }
}

/// `name` up to the first dot of the file's own name.
pub(crate) fn key(name: &str) -> &str {
    let base = base(name);
    match base.find('.') {
        Some(dot) => &name[..name.len() - base.len() + dot],
        None => name,
    }
}

/// `name` without its folders.
pub(crate) fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of each picture.
    fn texts<'a>(pictures: &[&str], texts: &[&'a str], by_key: bool) -> Vec<Vec<&'a str>> {
        let pairs = pair(pictures, texts, by_key);
        pairs.texts.iter().map(|of| of.iter().map(|&at| texts[at]).collect()).collect()
    }

    #[test]
    fn a_text_is_about_the_picture_that_has_its_name() {
        let pictures = ["bee.jpg", "dog.v1.1.jpg", "dog.v1.2.jpg", "sub/bee.png", "photo"];
        let all = [
            "bee.json",
            "bee.jpg.json",
            "bee.txt",
            "dog.v1.1.json",
            "dog.txt",
            "sub/bee.caption",
            "photo.json",
            "Bee.json",
        ];
        for by_key in [false, true] {
            let pairs = pair(&pictures, &all, by_key);
            let expected = [vec![0, 1, 2], vec![3], vec![], vec![5], vec![6]];
            assert_eq!(pairs.texts, expected);
            let unclear = if by_key { vec![(4, vec![1, 2])] } else { vec![] };
            assert_eq!(pairs.unclear, unclear);
            assert_eq!(pairs.without_picture, if by_key { vec![7] } else { vec![4, 7] });
        }
    }

    #[test]
    fn the_key_of_a_sample_is_about_its_only_picture() {
        assert_eq!(texts(&["0.image.jpg"], &["0.json", "0.other.txt"], true), [vec!["0.json"]]);
        assert_eq!(texts(&["0.image.jpg"], &["0.json"], false), [vec![""; 0]]);
        let pairs = pair(&["0.left.jpg", "0.right.jpg"], &["0.json", "0.left.txt"], true);
        assert_eq!((pairs.unclear, &pairs.texts[0][..]), (vec![(0, vec![0, 1])], &[1][..]));
    }

    #[test]
    fn a_text_that_fits_two_pictures_is_about_none() {
        for pictures in [["bee.jpg", "bee.png"], ["bee.jpg", "bee.jpg"]] {
            let pairs = pair(&pictures, &["bee.json"], false);
            assert_eq!(pairs.unclear, [(0, vec![0, 1])]);
        }
        // The whole name tells them apart.
        assert_eq!(
            texts(&["b.jpg", "b.png"], &["b.png.json"], false),
            [vec![], vec!["b.png.json"]]
        );
    }

    #[test]
    fn names_that_macos_decomposed_are_the_same() {
        let (composed, decomposed) = ("é.json", "e\u{301}.json");
        assert_eq!(texts(&["e\u{301}.jpg"], &[composed], false), [[composed]]);
        assert_eq!(texts(&["é.jpg"], &[decomposed], true), [[decomposed]]);
        let both = ["é.jpg", "e\u{301}.jpg"];
        assert_eq!(texts(&both, &[composed, decomposed], false), [[composed], [decomposed]]);
    }
}
