//! The `usage` of a reply to the tokens that it tells of.

use serde_json::Value;

use crate::Usage;

/// The tokens in an object of OpenAI's older interface, its newer one, or Ollama's; `None` where it has
/// none of their fields.
pub(crate) fn tokens(usage: &Value) -> Option<Usage> {
    let tokens = |names: [&str; 3]| names.iter().find_map(|name| usage[name].as_u64());
    let prompt_tokens = tokens(["prompt_tokens", "input_tokens", "prompt_eval_count"]);
    let completion_tokens = tokens(["completion_tokens", "output_tokens", "eval_count"]);
    (prompt_tokens.is_some() || completion_tokens.is_some()).then(|| {
        Usage::tokens(prompt_tokens.unwrap_or_default(), completion_tokens.unwrap_or_default())
    })
}
