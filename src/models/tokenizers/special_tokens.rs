//! The JSON files beside a vocabulary to the tokens that are found in a text before anything else,
//! as transformers gathers them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokenizers::AddedToken;

use crate::models::common::json::read_json;
use crate::{Error, Result};

/// What `tokenizer_config.json` and `special_tokens_map.json` say of the tokens with a role.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TokenizerConfig {
    pub(crate) bos_token: Option<Special>,
    pub(crate) eos_token: Option<Special>,
    pub(crate) unk_token: Option<Special>,
    sep_token: Option<Special>,
    pub(crate) pad_token: Option<Special>,
    cls_token: Option<Special>,
    mask_token: Option<Special>,
    #[serde(alias = "additional_special_tokens")]
    #[serde(deserialize_with = "list")]
    pub(crate) extra_special_tokens: Option<Vec<Special>>,
    added_tokens_decoder: Option<HashMap<String, Token>>,
    model_max_length: Option<f64>,
    truncation_side: Option<Value>,
    padding_side: Option<Value>,
    pub(crate) split_special_tokens: Option<bool>,
    pub(crate) do_lower_case: Option<bool>,
    pub(crate) legacy: Option<bool>,
    pub(crate) add_prefix_space: Option<bool>,
    pub(crate) add_bos_token: Option<bool>,
    pub(crate) add_eos_token: Option<bool>,
    /// Whether the additional special tokens of `special_tokens_map.json` count beside those of
    /// `tokenizer_config.json`, as in transformers 4. In version 5 they count only where the latter
    /// has none, and tokens of `added_tokens.json` are not special because of them.
    #[serde(skip)]
    pub(crate) map_adds_special_tokens: bool,
    #[serde(skip)]
    folder: PathBuf,
}

/// The texts of the tokens with a role where no file says: begin, end, unknown, separator, padding,
/// class, mask.
pub(crate) type Defaults = [Option<&'static str>; 7];

/// A token with a role: its text alone, or with how it is found in a text.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub(crate) enum Special {
    Text(String),
    Token(Token),
}

/// `tokenizers.AddedToken` as files hold it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct Token {
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    normalized: Option<bool>,
    #[serde(default)]
    special: bool,
}

/// A token with its number, as `tokenizer.json` lists those that are added to the vocabulary.
#[derive(Debug, Deserialize)]
pub(crate) struct Numbered {
    id: u32,
    #[serde(flatten)]
    token: Token,
}

impl TokenizerConfig {
    /// The `tokenizer_config.json` of `folder`; nothing is said where there is none.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("tokenizer_config.json");
        let mut config: Self = if path.exists() { read_json(&path)? } else { Self::default() };
        config.folder = folder.to_owned();
        Ok(config)
    }

    /// [`open`](Self::open) for texts that are cut and filled up on the right, which is where the file
    /// must say so.
    pub(crate) fn open_right_sided(folder: &Path) -> Result<Self> {
        let config = Self::open(folder)?;
        for (field, side) in
            [("truncation_side", &config.truncation_side), ("padding_side", &config.padding_side)]
        {
            if let Some(side) = side.as_ref().filter(|side| *side != "right") {
                let path = folder.join("tokenizer_config.json");
                return Err(Error::invalid_file(path, field, "right", side));
            }
        }
        Ok(config)
    }

    /// The most tokens a text may have, special ones included, where the file says so.
    pub(crate) fn max_length(&self) -> Option<usize> {
        // Files without a limit say 1e30.
        let limit = self.model_max_length.filter(|limit| (2.0..1e6).contains(limit));
        limit.map(|limit| limit as usize)
    }

    /// All tokens that are found in a text before anything else, in the order that transformers
    /// adds them: those with a number, those with a role, further ones. `listed` are those of
    /// `tokenizer.json`.
    pub(crate) fn gather(
        &mut self,
        listed: Vec<Numbered>,
        defaults: Defaults,
    ) -> Result<Vec<AddedToken>> {
        let mut numbered = BTreeMap::new();
        if let Some(decoder) = self.added_tokens_decoder.take() {
            for (id, token) in decoder {
                let id: u32 = id.parse().map_err(|_| {
                    let config = self.folder.join("tokenizer_config.json");
                    Error::invalid_file(config, "added_tokens_decoder", "numbers as keys", &id)
                })?;
                numbered.insert(id, token);
            }
        } else {
            let extra = |config: &Self| -> Vec<String> {
                let extra = config.extra_special_tokens.iter().flatten();
                extra.map(|token| token.text().to_owned()).collect()
            };
            let mut special = extra(self);
            let map = self.folder.join("special_tokens_map.json");
            if map.exists() {
                self.take_over(read_json(&map)?);
            }
            if self.map_adds_special_tokens {
                special.extend(extra(self));
            }
            let old = self.folder.join("added_tokens.json");
            if old.exists() {
                special.extend(self.named(defaults));
                for (content, id) in read_json::<HashMap<String, u32>>(&old)? {
                    let special = special.contains(&content);
                    let normalized = Some(!special);
                    numbered.insert(id, Token { content, normalized, special, ..Token::default() });
                }
            }
            numbered.extend(listed.into_iter().map(|Numbered { id, token }| (id, token)));
        }
        for role in self.roles().into_iter().flatten() {
            if let Some(token) = numbered.values().find(|token| token.content == role.text()) {
                *role = Special::Token(token.clone());
            }
        }
        let named = self.named(defaults);
        let known: Vec<String> = numbered.values().map(|token| token.content.clone()).collect();
        let mut all: Vec<Special> = numbered.into_values().map(Special::Token).collect();
        let roles = self.roles().into_iter().zip(defaults).filter_map(|(role, default)| {
            role.clone().or_else(|| Some(Special::Text(default?.to_owned())))
        });
        let roles: Vec<_> = roles.collect();
        let extra = self.extra_special_tokens.take();
        for special in roles.into_iter().chain(extra.into_iter().flatten()) {
            if !known.iter().any(|known| known == special.text()) && !all.contains(&special) {
                all.push(special);
            }
        }
        Ok(all.into_iter().map(|token| token.added(&named)).collect())
    }

    fn roles(&mut self) -> [&mut Option<Special>; 7] {
        [
            &mut self.bos_token,
            &mut self.eos_token,
            &mut self.unk_token,
            &mut self.sep_token,
            &mut self.pad_token,
            &mut self.cls_token,
            &mut self.mask_token,
        ]
    }

    /// `special_tokens_map.json` wins over `tokenizer_config.json` in the tokens with a role; they are
    /// special.
    fn take_over(&mut self, mut map: Self) {
        for (mine, theirs) in self.roles().into_iter().zip(map.roles()) {
            if let Some(mut theirs) = theirs.take() {
                if let Special::Token(token) = &mut theirs {
                    token.special = true;
                }
                *mine = Some(theirs);
            }
        }
        match (&mut self.extra_special_tokens, map.extra_special_tokens) {
            (Some(mine), theirs) if self.map_adds_special_tokens => {
                mine.extend(theirs.into_iter().flatten());
            }
            (Some(_), _) => {}
            (mine, theirs) => *mine = theirs,
        }
    }

    /// The texts of the tokens with a role.
    fn named(&mut self, defaults: Defaults) -> Vec<String> {
        let roles = self.roles().into_iter().flatten().map(|role| role.text().to_owned());
        roles.chain(defaults.into_iter().flatten().map(str::to_owned)).collect()
    }
}

/// Tokens in a list; files may also hold them by name, which adds none.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Special>>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

impl Special {
    /// A token that is found as it is written, before a text is rewritten.
    pub(crate) fn found(text: &str, special: bool) -> Self {
        let (content, normalized) = (text.to_owned(), Some(false));
        Self::Token(Token { content, normalized, special, ..Token::default() })
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Token(token) => &token.content,
        }
    }

    /// The text of `token`, or `default` where no file names one.
    pub(crate) fn text_or(token: &Option<Self>, default: &str) -> String {
        token.as_ref().map_or(default, Self::text).to_owned()
    }

    /// As the tokenizer wants it; every token with a role is special.
    pub(crate) fn added(self, named: &[String]) -> AddedToken {
        let token = match self {
            Self::Text(content) => Token { content, special: true, ..Token::default() },
            Self::Token(token) => token,
        };
        let special = token.special || named.contains(&token.content);
        AddedToken {
            content: token.content,
            single_word: token.single_word,
            lstrip: token.lstrip,
            rstrip: token.rstrip,
            normalized: token.normalized.unwrap_or(!special),
            special,
        }
    }
}
