//! A program's words to what they name.

use std::collections::HashMap;
use std::error::Error;
use std::str::FromStr;

/// Pairs of `--name value`.
pub(crate) struct Arguments(HashMap<String, String>);

impl Arguments {
    /// Those of this process, after the words that choose a program.
    pub(crate) fn read() -> Self {
        let words: Vec<String> =
            std::env::args().skip(1).skip_while(|word| !word.starts_with("--")).collect();
        let pairs = words.as_chunks().0.iter();
        Self(pairs.map(|[name, value]| (name.clone(), value.clone())).collect())
    }

    /// The value of `name`.
    pub(crate) fn get(&self, name: &str) -> Result<&str, Box<dyn Error>> {
        Ok(self.0.get(name).ok_or(format!("{name} is missing"))?)
    }

    /// The number in `name`.
    pub(crate) fn number<T: FromStr<Err: Error + 'static>>(
        &self,
        name: &str,
    ) -> Result<T, Box<dyn Error>> {
        Ok(self.get(name)?.parse()?)
    }
}
