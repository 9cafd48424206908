//! What a service says of the probabilities of tokens to [`TokenLogprobs`], whatever dialect it speaks.

use serde_json::{Map, Value, json};

use crate::vlm::{Logprob, TokenLogprobs};

/// The tokens in the `logprobs` of a choice; none where there are none.
///
/// Chat completions have a list of tokens in `content`, Ollama's own interface has that list itself, and
/// the older completions have lists of texts (`tokens`), of numbers and of maps from text to number.
pub(super) fn read(logprobs: &Value) -> Vec<TokenLogprobs> {
    if let Some(tokens) = list(logprobs) {
        return tokens.iter().filter_map(token).collect();
    }
    let Some(tokens) = logprobs["tokens"].as_array() else { return Vec::new() };
    let place = |(at, text): (usize, &Value)| {
        let chosen = Logprob::new(text.as_str()?, number(&logprobs["token_logprobs"][at]));
        let top = logprobs["top_logprobs"][at].as_object();
        let top = top.into_iter().flatten().filter(|(_, number)| number.is_number());
        let top = top.map(|(text, value)| Logprob::new(text, number(value)));
        Some(sorted(TokenLogprobs::new(chosen).with_top(top)))
    };
    tokens.iter().enumerate().filter_map(place).collect()
}

/// Adds the tokens in the `logprobs` of one chunk of a stream to those of `choice`.
pub(super) fn append(choice: &mut Map<String, Value>, logprobs: &Value) {
    let Some(tokens) = list(logprobs) else { return };
    let all = choice.entry("logprobs").or_insert_with(|| json!([]));
    if let Value::Array(all) = all {
        all.extend(tokens.iter().cloned());
    }
}

fn list(logprobs: &Value) -> Option<&Vec<Value>> {
    logprobs["content"].as_array().or(logprobs.as_array())
}

fn token(value: &Value) -> Option<TokenLogprobs> {
    let top = value["top_logprobs"].as_array().into_iter().flatten();
    // An alternative whose probability is not told says nothing.
    let top = top.filter(|one| one["logprob"].is_number()).filter_map(logprob);
    Some(sorted(TokenLogprobs::new(logprob(value)?).with_top(top)))
}

fn sorted(mut token: TokenLogprobs) -> TokenLogprobs {
    token.top.sort_by(|a, b| b.logprob.total_cmp(&a.logprob));
    token
}

fn logprob(value: &Value) -> Option<Logprob> {
    let token = &value["token"];
    let bytes = || -> Option<String> {
        let bytes = value["bytes"].as_array().filter(|bytes| !bytes.is_empty())?.iter();
        let bytes: Option<Vec<u8>> = bytes.map(|byte| u8::try_from(byte.as_u64()?).ok()).collect();
        String::from_utf8(bytes?).ok()
    };
    // Some services write `token_id:9642` or half of a character, and say by the bytes what it is.
    let text = bytes().or_else(|| token.as_str().map(str::to_owned))?;
    Some(Logprob::new(text, number(&value["logprob"])))
}

/// The logarithm of a probability. OpenAI and vLLM write -9999 for what is too small to be told.
fn number(value: &Value) -> f64 {
    match value.as_f64() {
        Some(number) if number > -9999.0 => number,
        _ => f64::NEG_INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = (String, f64);

    fn tokens(logprobs: &Value) -> Vec<(Pair, Vec<Pair>)> {
        let pair = |one: Logprob| (one.token, one.logprob);
        let tokens = read(logprobs)
            .into_iter()
            .map(|TokenLogprobs { token, top }| (pair(token), top.into_iter().map(pair).collect()));
        tokens.collect()
    }

    #[test]
    fn every_dialect_is_read() {
        let yes = |top: &[(&str, f64)]| {
            let top = top.iter().map(|(text, number)| ((*text).to_owned(), *number)).collect();
            vec![(("Yes".to_owned(), -0.25), top)]
        };
        let both: &[(&str, f64)] = &[("Yes", -0.25), (" no", -1.5)];
        for (logprobs, expected) in [
            // OpenAI, vLLM, llama.cpp
            (
                json!({ "content": [{ "token": "Yes", "logprob": -0.25, "bytes": [89, 101, 115],
                    "top_logprobs": [
                        { "token": "Yes", "logprob": -0.25, "bytes": [89, 101, 115] },
                        { "token": " no", "logprob": -1.5, "bytes": [32, 110, 111] },
                    ] }], "refusal": null }),
                yes(both),
            ),
            // No bytes, another order, an alternative without a number.
            (
                json!({ "content": [{ "token": "Yes", "logprob": -0.25, "top_logprobs": [
                    { "token": " no", "logprob": -1.5, "bytes": null },
                    { "token": "Yes", "logprob": -0.25, "bytes": [] },
                    { "token": "?", "logprob": null },
                ] }] }),
                yes(both),
            ),
            // vLLM with numbers in the place of texts
            (
                json!({ "content": [{ "token": "token_id:9642", "logprob": -0.25,
                    "bytes": [89, 101, 115], "top_logprobs": null }] }),
                yes(&[]),
            ),
            // Ollama
            (
                json!([{ "token": "Yes", "logprob": -0.25, "top_logprobs": [
                    { "token": "Yes", "logprob": -0.25 }, { "token": " no", "logprob": -1.5 },
                ] }]),
                yes(both),
            ),
            // The older completions
            (
                json!({ "tokens": ["Yes"], "token_logprobs": [-0.25], "text_offset": [0],
                    "top_logprobs": [{ " no": -1.5, "Yes": -0.25 }] }),
                yes(both),
            ),
            (
                json!({ "tokens": ["Yes"], "token_logprobs": [-0.25], "top_logprobs": null }),
                yes(&[]),
            ),
            (json!({ "content": null }), Vec::new()),
            (json!({ "content": [] }), Vec::new()),
            (json!({ "content": [null, 7, {}] }), Vec::new()),
            (Value::Null, Vec::new()),
            (json!("none"), Vec::new()),
        ] {
            assert_eq!(tokens(&logprobs), expected, "{logprobs}");
        }
    }

    #[test]
    fn what_is_no_probability_is_none() {
        let logprobs = json!({ "content": [
            { "token": "a", "logprob": -9999.0 }, { "token": "b", "logprob": null },
            { "token": "c", "logprob": 1e-7 },
        ] });
        let found = read(&logprobs);
        let probabilities: Vec<f64> = found.iter().map(|token| token.token.probability()).collect();
        assert_eq!(probabilities, [0.0, 0.0, 1.0]);
        assert_eq!(Logprob::new("d", f64::NAN).probability(), 0.0);
    }
}
