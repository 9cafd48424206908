//! A text to its words, and a template to the text that it becomes.

/// The words of `text` in lower case, without punctuation.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// `template` with the values in the places of their names. A value that holds a name stays as it
/// is.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let (mut filled, mut rest) = (String::new(), template);
    while let Some(at) = rest.find('{') {
        filled += &rest[..at];
        rest = &rest[at..];
        let (name, value) = values
            .iter()
            .find(|(name, _)| rest.starts_with(name))
            .map_or(("{", "{"), |&(name, value)| (name, value));
        filled += value;
        rest = &rest[name.len()..];
    }
    filled + rest
}
