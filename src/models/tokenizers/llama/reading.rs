//! What a user says of a Llama tokenizer's files to how they are read.

use crate::named::named;

/// How the files of a Llama tokenizer are understood. The two differ in where a text gets the blank
/// that words begin with (`▁`), and so give other token numbers for the same prompt.
///
/// They agree on a `tokenizer.json` that transformers 5 saved, and wherever `model_index.json` names
/// another class than `LlamaTokenizer` or `LlamaTokenizerFast`, such as `PreTrainedTokenizerFast`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenizerReading {
    /// As the file says, which is how transformers 4 ran it, and so how models of that time were
    /// trained. In the files of Phi-3, a blank begins every stretch of text between special tokens.
    /// A `tokenizer.model` alone has that blank too, unless `tokenizer_config.json` says
    /// `"legacy": false`, and begins with `<s>` unless it says `"add_bos_token": false`.
    #[default]
    File,
    /// As transformers 5 rebuilds it as a `LlamaTokenizer`: vocabulary, merges, special tokens and
    /// what is put around a text are the file's. A blank begins only the text as a whole, or every
    /// stretch where `tokenizer_config.json` says `"legacy": true`. This gives diffusers' images under
    /// transformers 5.
    Transformers5,
}

named!(TokenizerReading, "tokenizer reading", { File: "file", Transformers5: "transformers5" });

impl TokenizerReading {
    /// This reading of a tokenizer that `model_index.json` says is a `class`. Only the classes of
    /// Llama's are rebuilt; any other, such as `PreTrainedTokenizerFast` and its later name
    /// `TokenizersBackend`, both versions of transformers run as its file says.
    pub(crate) fn of_class(self, class: &str) -> Self {
        match class {
            "LlamaTokenizer" | "LlamaTokenizerFast" => self,
            _ => Self::File,
        }
    }
}
