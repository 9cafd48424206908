//! A prompt to token numbers, equal to transformers' `CLIPTokenizer` for any text.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use tokenizers::AddedToken;

use crate::models::config::{read_json, read_text};
use crate::{Error, Result};

/// CLIP's byte-level BPE, with its special tokens.
pub(crate) struct Tokenizer {
    path: PathBuf,
    tokenizer: tokenizers::Tokenizer,
    begin: i64,
    end: i64,
    pad: i64,
    max_length: Option<usize>,
}

/// What `tokenizer_config.json` and `special_tokens_map.json` say of the tokens with a role.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    bos_token: Option<Special>,
    eos_token: Option<Special>,
    unk_token: Option<Special>,
    sep_token: Option<Special>,
    pad_token: Option<Special>,
    cls_token: Option<Special>,
    mask_token: Option<Special>,
    #[serde(alias = "additional_special_tokens")]
    extra_special_tokens: Option<Value>,
    added_tokens_decoder: Option<HashMap<String, Token>>,
    model_max_length: Option<f64>,
    truncation_side: Option<Value>,
    padding_side: Option<Value>,
    split_special_tokens: Option<bool>,
}

/// A token with a role: its text alone, or with how it is found in a prompt.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Special {
    Text(String),
    Token(Token),
}

/// `tokenizers.AddedToken` as files hold it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Token {
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

/// The two tables of a BPE.
struct Bpe {
    vocab: Value,
    merges: Value,
    added: BTreeMap<u32, Token>,
}

impl Tokenizer {
    /// The tokenizer in `folder`: a `tokenizer.json`, or a `vocab.json` with a `merges.txt`; special
    /// tokens from `tokenizer_config.json` and `special_tokens_map.json` where they are there.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        // 1. The tables.
        let whole = folder.join("tokenizer.json");
        let path = if whole.exists() { whole } else { folder.join("vocab.json") };
        let bpe =
            if path.ends_with("tokenizer.json") { whole_file(&path)? } else { two_files(folder)? };
        // 2. The tokens with a role, as transformers gathers them.
        let config = folder.join("tokenizer_config.json");
        let mut settings: Settings =
            if config.exists() { read_json(&config)? } else { Settings::default() };
        for (field, side) in [
            ("truncation_side", &settings.truncation_side),
            ("padding_side", &settings.padding_side),
        ] {
            if let Some(side) = side.as_ref().filter(|side| *side != "right") {
                return Err(Error::invalid_file(&config, field, "right", side));
            }
        }
        let added = settings.gather(folder, bpe.added)?;
        let named = settings.named();
        let text = |special: &Option<Special>, default: &str| {
            special.as_ref().map_or(default, Special::text).to_owned()
        };
        let [begin, end, unknown, pad] = [
            text(&settings.bos_token, "<|startoftext|>"),
            text(&settings.eos_token, "<|endoftext|>"),
            text(&settings.unk_token, "<|endoftext|>"),
            text(&settings.pad_token, "<|endoftext|>"),
        ];
        // 3. The tokenizer: the same parts in the same order as `CLIPTokenizer` puts together.
        let broken = |error: tokenizers::Error| {
            Error::invalid_file(&path, "vocabulary and merges", "a byte-level BPE", error)
        };
        let definition = json!({
            "version": "1.0",
            "added_tokens": [],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "NFC"},
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                {"type": "Lowercase"},
            ]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": PIECES}, "behavior": "Removed", "invert": true},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            ]},
            "post_processor": null,
            "decoder": null,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": "",
                "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false,
                "ignore_merges": false, "vocab": bpe.vocab, "merges": bpe.merges,
            },
        });
        let mut tokenizer =
            tokenizers::Tokenizer::from_bytes(definition.to_string()).map_err(broken)?;
        tokenizer.set_encode_special_tokens(settings.split_special_tokens.unwrap_or(false));
        let added: Vec<AddedToken> = added.into_iter().map(|token| token.added(&named)).collect();
        tokenizer.add_tokens(added).map_err(broken)?;
        // 4. The numbers of those that stand at fixed places.
        let number = |token: &str| {
            tokenizer.token_to_id(token).map(i64::from).ok_or_else(|| {
                Error::invalid_file(
                    &path,
                    format!("token {token}"),
                    "in the vocabulary",
                    "not there",
                )
            })
        };
        let (begin, end, pad) = (number(&begin)?, number(&end)?, number(&pad)?);
        // Files without a limit say 1e30.
        let limit = settings.model_max_length.filter(|limit| (2.0..1e6).contains(limit));
        let max_length = limit.map(|limit| limit as usize);
        Ok(Self { path, tokenizer, begin, end, pad, max_length })
    }

    /// The most tokens a prompt may have, begin and end included, where the files say so.
    pub(crate) const fn max_length(&self) -> Option<usize> {
        self.max_length
    }

    /// One more than the largest token number.
    pub(crate) fn size(&self) -> i64 {
        self.tokenizer.get_vocab(true).values().max().map_or(0, |&id| i64::from(id) + 1)
    }

    /// Begin, the tokens of `text`, end: at most `limit` of them, at least 2. What is too much is cut
    /// before the end token.
    pub(crate) fn encode(&self, text: &str, limit: usize) -> Result<Vec<i64>> {
        let encoding = self.tokenizer.encode_fast(text, false).map_err(|error| {
            Error::invalid_file(&self.path, "vocabulary", "a token for every byte", error)
        })?;
        let ids = encoding.get_ids().iter().map(|&id| i64::from(id)).take(limit.saturating_sub(2));
        Ok(std::iter::once(self.begin).chain(ids).chain(std::iter::once(self.end)).collect())
    }

    /// [`encode`](Self::encode), filled up with the padding token to exactly `length`, at least 2.
    pub(crate) fn encode_padded(&self, text: &str, length: usize) -> Result<Vec<i64>> {
        let mut ids = self.encode(text, length)?;
        self.pad(&mut ids, length);
        Ok(ids)
    }

    /// Fills `ids` up to `length` with the padding token.
    pub(crate) fn pad(&self, ids: &mut Vec<i64>, length: usize) {
        ids.resize(ids.len().max(length), self.pad);
    }
}

/// What a prompt is cut into before BPE (`CLIPTokenizer` in transformers).
const PIECES: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

fn whole_file(path: &Path) -> Result<Bpe> {
    #[derive(Deserialize)]
    struct Whole {
        model: Model,
        #[serde(default)]
        added_tokens: Vec<Numbered>,
    }
    #[derive(Deserialize)]
    struct Model {
        vocab: HashMap<String, u32>,
        merges: Value,
    }
    #[derive(Deserialize)]
    struct Numbered {
        id: u32,
        #[serde(flatten)]
        token: Token,
    }
    let whole: Whole = read_json(path)?;
    let added = whole.added_tokens.into_iter().map(|Numbered { id, token }| (id, token)).collect();
    Ok(Bpe { vocab: json!(whole.model.vocab), merges: whole.model.merges, added })
}

fn two_files(folder: &Path) -> Result<Bpe> {
    let vocab: HashMap<String, u32> = read_json(&folder.join("vocab.json"))?;
    let path = folder.join("merges.txt");
    let text = read_text(&path)?;
    let mut merges = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with("#version")) {
        let Some((left, right)) = line.split_once(' ').filter(|(_, right)| !right.contains(' '))
        else {
            let what = format!("line {}", i + 1);
            return Err(Error::invalid_file(&path, what, "two tokens", format!("{line:?}")));
        };
        merges.push(json!([left, right]));
    }
    Ok(Bpe { vocab: json!(vocab), merges: Value::Array(merges), added: BTreeMap::new() })
}

impl Settings {
    /// All tokens that are found in a prompt before anything else, in the order that transformers
    /// adds them: those with a number, those with a role, further ones.
    fn gather(&mut self, folder: &Path, from_whole: BTreeMap<u32, Token>) -> Result<Vec<Special>> {
        let mut numbered = BTreeMap::new();
        if let Some(decoder) = self.added_tokens_decoder.take() {
            for (id, token) in decoder {
                let id: u32 = id.parse().map_err(|_| {
                    let config = folder.join("tokenizer_config.json");
                    Error::invalid_file(config, "added_tokens_decoder", "numbers as keys", &id)
                })?;
                numbered.insert(id, token);
            }
        } else {
            let map = folder.join("special_tokens_map.json");
            if map.exists() {
                self.take_over(read_json(&map)?);
            }
            let old = folder.join("added_tokens.json");
            if old.exists() {
                let special: Vec<String> = self.named();
                for (content, id) in read_json::<HashMap<String, u32>>(&old)? {
                    let special = special.contains(&content);
                    numbered.insert(
                        id,
                        Token { normalized: Some(!special), special, ..Token::of(content) },
                    );
                }
            }
            numbered.extend(from_whole);
        }
        for role in self.roles() {
            if let Some(token) = role
                .as_ref()
                .and_then(|role| numbered.values().find(|token| token.content == role.text()))
            {
                *role = Some(Special::Token(token.clone()));
            }
        }
        let known: Vec<String> = numbered.values().map(|token| token.content.clone()).collect();
        let mut all: Vec<Special> = numbered.into_values().map(Special::Token).collect();
        let default = |text: &str| Some(Special::Text(text.to_owned()));
        let mut roles: Vec<Option<Special>> =
            self.roles().into_iter().map(|role| role.clone()).collect();
        for (role, text) in [
            (0, "<|startoftext|>"),
            (1, "<|endoftext|>"),
            (2, "<|endoftext|>"),
            (4, "<|endoftext|>"),
        ] {
            roles[role] = roles[role].take().or_else(|| default(text));
        }
        let extra = self
            .extra_special_tokens
            .take()
            .and_then(|extra| serde_json::from_value::<Vec<Special>>(extra).ok());
        for special in roles.into_iter().flatten().chain(extra.into_iter().flatten()) {
            if !known.iter().any(|known| known == special.text()) && !all.contains(&special) {
                all.push(special);
            }
        }
        Ok(all)
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

    /// `special_tokens_map.json` wins over `tokenizer_config.json`; its tokens are special.
    fn take_over(&mut self, mut map: Self) {
        for (mine, theirs) in self.roles().into_iter().zip(map.roles()) {
            if let Some(mut theirs) = theirs.take() {
                if let Special::Token(token) = &mut theirs {
                    token.special = true;
                }
                *mine = Some(theirs);
            }
        }
        self.extra_special_tokens = map.extra_special_tokens.or(self.extra_special_tokens.take());
    }

    /// The texts of the tokens with a role.
    fn named(&mut self) -> Vec<String> {
        let defaults = ["<|startoftext|>", "<|endoftext|>"].map(str::to_owned);
        let roles =
            self.roles().into_iter().filter_map(|role| role.as_ref().map(|r| r.text().to_owned()));
        roles.chain(defaults).collect()
    }
}

impl Special {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Token(token) => &token.content,
        }
    }

    /// As the tokenizer wants it; every token with a role is special.
    fn added(self, named: &[String]) -> AddedToken {
        let token = match self {
            Self::Text(text) => Token { special: true, ..Token::of(text) },
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

impl Token {
    const fn of(content: String) -> Self {
        Self {
            content,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: None,
            special: false,
        }
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokenizer({})", self.path.display())
    }
}
