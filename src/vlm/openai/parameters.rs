//! [`Parameters`]: the error of a service that refuses a parameter to a request without it.

use serde_json::{Map, Value};

use crate::Error;
use crate::net::complaint::Complaint;

/// The names of the longest reply, in the order in which they are tried.
const LIMITS: [&[&str]; 2] =
    [&["max_tokens", "max_completion_tokens"], &["max_completion_tokens", "max_tokens"]];

/// Which parameters a service takes, as far as is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parameters {
    temperature: bool,
    /// Temperatures that it refuses, although it takes others.
    refused: Vec<f64>,
    /// The names of the longest reply that it may take. The first one is sent.
    limits: &'static [&'static str],
    json_schema: bool,
    /// The most alternatives with log-probabilities; `None` where it gives no log-probabilities.
    top_logprobs: Option<u32>,
}

/// The most alternatives that OpenAI takes, by its reference of `top_logprobs`.
pub(super) const MAX_TOP_LOGPROBS: u32 = 20;
/// What is tried where there are too many: the most that Azure and vLLM take by default.
const FEW_TOP_LOGPROBS: u32 = 5;

impl Parameters {
    /// Those that are sent until a service refuses them.
    pub(super) const fn new(
        temperature: bool,
        max_completion_tokens: bool,
        json_schema: bool,
    ) -> Self {
        let limits = LIMITS[max_completion_tokens as usize];
        let top_logprobs = Some(MAX_TOP_LOGPROBS);
        Self { temperature, refused: Vec::new(), limits, json_schema, top_logprobs }
    }

    /// Leaves out what `found` leaves out, beside what another request may have found meanwhile.
    pub(super) fn keep(&mut self, found: Self) {
        self.temperature &= found.temperature;
        let new = found.refused.into_iter().filter(|one| !self.refused.contains(one));
        self.refused.extend(new.collect::<Vec<_>>());
        if found.limits.len() < self.limits.len() {
            self.limits = found.limits;
        }
        self.json_schema &= found.json_schema;
        self.top_logprobs = self.top_logprobs.min(found.top_logprobs);
    }

    /// Whether `temperature` is sent.
    pub(super) fn takes(&self, temperature: f64) -> bool {
        self.temperature && !self.refused.contains(&temperature)
    }

    /// The field that the longest reply is sent in.
    pub(super) fn limit(&self) -> Option<&'static str> {
        self.limits.first().copied()
    }

    /// Whether a JSON schema is sent.
    pub(super) const fn json_schema(&self) -> bool {
        self.json_schema
    }

    /// How many alternatives with log-probabilities are asked for, where `asked` should be; `None` where
    /// no log-probabilities are.
    pub(super) fn logprobs(&self, asked: u32) -> Option<u32> {
        Some(asked.min(self.top_logprobs?))
    }

    /// These parameters without those of the body `sent` that `error` refuses; `None` where it is about
    /// something else. What is in `fields` was set by the caller, and stays.
    ///
    /// In words that are not known, of another script than Latin or with accents, the temperature is
    /// refused where it is named and no other parameter is.
    pub(super) fn without_refused(
        &self,
        sent: &Value,
        fields: &Map<String, Value>,
        error: &Error,
    ) -> Option<Self> {
        let is_ours = |name: &str| sent.get(name).is_some() && !fields.contains_key(name);
        let mut next = self.clone();
        if is_ours("logprobs") && refuses_logprobs(error) {
            let asked = sent["top_logprobs"].as_u64().unwrap_or(0);
            let is_many = asked > u64::from(FEW_TOP_LOGPROBS) && names_range(error);
            next.top_logprobs = is_many.then_some(FEW_TOP_LOGPROBS);
            return Some(next);
        }
        let complaint = Complaint::of(error)?;
        let Complaint { is_refusal, is_range, is_foreign, .. } = complaint;
        let is_blamed = is_refusal && complaint.says(&["temperature"])
            || is_foreign && complaint.is_about_only("temperature", sent);
        if is_ours("temperature") && is_blamed {
            // What is not known to be more is refused to this temperature.
            match sent["temperature"].as_f64().filter(|_| is_range || is_foreign) {
                Some(refused) => next.refused.push(refused),
                None => next.temperature = false,
            }
        }
        // A limit that is out of its range is the caller's to change.
        if let Some((limit, others)) = self.limits.split_first()
            && is_ours(limit)
            && complaint.says(&[limit])
            && is_refusal
            && !is_range
        {
            next.limits = others;
        }
        next.json_schema &= !(is_ours("response_format") && complaint.says(SCHEMA));
        (next != *self).then_some(next)
    }
}

/// Whether a service refuses to give log-probabilities, or so many. OpenAI does with the status 403:
/// "You are not allowed to request logprobs from this model."
fn refuses_logprobs(error: &Error) -> bool {
    let Error::Service { status, message, .. } = error else { return false };
    // Of the others, a key, a bill or a limit on requests is what the error is about.
    matches!(status, 400 | 403 | 404 | 422 | 500 | 501)
        && message.to_lowercase().contains("logprob")
}

/// Whether the error is about how many alternatives there may be.
fn names_range(error: &Error) -> bool {
    let complaint = Complaint::of(error);
    complaint.is_some_and(|complaint| complaint.is_range || complaint.says(&["max", "greater"]))
}

const SCHEMA: &[&str] =
    &["response_format", "response format", "schema", "structured output", "guided", "grammar"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is still sent after a refusal in these words: temperature at 0 and at 0.5, the limit, the
    /// schema. None where the words refuse nothing.
    fn left(status: u16, words: &str) -> Option<(bool, bool, Option<&'static str>, bool)> {
        let sent = json!({ "temperature": 0.0, "max_tokens": 64, "response_format": {} });
        let all = Parameters::new(true, false, true);
        let error = Error::service("m", status, words);
        let next = all.without_refused(&sent, &Map::new(), &error)?;
        Some((next.takes(0.0), next.takes(0.5), next.limit(), next.json_schema()))
    }

    #[test]
    fn refusals_of_every_service_are_understood() {
        let limit = Some("max_tokens");
        let no_temperature = Some((false, false, limit, true));
        let not_this_one = Some((false, true, limit, true));
        let other_limit = Some((true, true, Some("max_completion_tokens"), true));
        let no_schema = Some((true, true, limit, false));
        for (status, words, expected) in [
            // OpenAI, Azure
            (
                400,
                "Unsupported value: 'temperature' does not support 0 with this model. Only the \
                   default (1) value is supported.",
                no_temperature,
            ),
            (
                400,
                "Unsupported parameter: 'temperature' is not supported with this model.",
                no_temperature,
            ),
            (
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use \
                   'max_completion_tokens' instead.",
                other_limit,
            ),
            (
                400,
                "Invalid parameter: 'response_format' of type 'json_schema' is not supported with \
                   this model.",
                no_schema,
            ),
            (400, "Unrecognized request argument supplied: max_tokens", other_limit),
            (400, "Invalid parameter (parameter: temperature)", no_temperature),
            // Moonshot, Anthropic, GLM, TGI, pydantic (vLLM, LiteLLM)
            (400, "invalid temperature: only 1 is allowed for this model", no_temperature),
            (400, "temperature: range: 0..1", not_this_one),
            (422, "Bad value for temperature", no_temperature),
            (400, "`temperature` is deprecated for this model.", no_temperature),
            (
                400,
                "`temperature` and `top_p` cannot both be specified for this model.",
                no_temperature,
            ),
            (400, "temperature must be in (0, 1)", not_this_one),
            (422, "Input validation error: `temperature` must be strictly positive", not_this_one),
            (
                422,
                r#"[{"loc":["body","temperature"],"msg":"Extra inputs are not permitted"}]"#,
                no_temperature,
            ),
            (
                422,
                "unknown field `temperature`, expected one of `model`, `messages`",
                no_temperature,
            ),
            (
                500,
                "litellm.UnsupportedParamsError: O-series models don't support temperature=0.0.",
                no_temperature,
            ),
            // DeepSeek, Groq, llama.cpp, vLLM
            (400, "This response_format type is unavailable now", no_schema),
            (400, "This model does not support response format `json_schema`", no_schema),
            (500, "Failed to initialize samplers: failed to parse grammar", no_schema),
            (
                400,
                "The provided JSON schema contains features not supported by xgrammar.",
                no_schema,
            ),
            // GLM, DashScope, Baidu, and gateways in other languages.
            (400, "temperature 取值范围错误", not_this_one),
            (400, "参数 temperature 不合法", not_this_one),
            (422, "参数temperature错误", not_this_one),
            (400, "该模型不支持 temperature 参数", no_temperature),
            (400, "`temperature` には対応していません", not_this_one),
            (400, "La valeur de temperature n'est pas acceptée.", not_this_one),
            (400, "неверное значение temperature", not_this_one),
            (400, "该模型不支持 max_tokens 参数", other_limit),
            (400, "response_format 不合法", no_schema),
            // Both at once.
            (
                400,
                "Unsupported parameters: temperature, max_tokens",
                Some((false, false, Some("max_completion_tokens"), true)),
            ),
        ] {
            assert_eq!(left(status, words), expected, "{words}");
        }
    }

    #[test]
    fn log_probabilities_are_left_out_or_fewer_are_asked_for() {
        let sent = json!({ "logprobs": true, "top_logprobs": 20, "max_tokens": 1 });
        for (status, words, left) in [
            (403, "You are not allowed to request logprobs from this model.", Some(None)),
            (
                400,
                "Unsupported parameter: 'logprobs' is not supported with this model.",
                Some(None),
            ),
            (
                422,
                r#"[{"loc":["body","logprobs"],"msg":"Extra inputs are not permitted"}]"#,
                Some(None),
            ),
            (400, "Logprobs is not enabled for models/gemini-2.5-pro", Some(None)),
            (400, "该模型不支持 logprobs 参数", Some(None)),
            (
                400,
                "Requested sample logprobs of 20, which is greater than max allowed: 5",
                Some(Some(5)),
            ),
            (400, "top_logprobs must be between 0 and 5", Some(Some(5))),
            (429, "logprobs: too many requests", None),
            (401, "no key for logprobs", None),
            (400, "image is not supported", None),
        ] {
            let all = Parameters::new(true, false, true);
            let error = Error::service("m", status, words);
            let next = all.without_refused(&sent, &Map::new(), &error);
            assert_eq!(next.map(|next| next.logprobs(20)), left, "{words}");
            let fields = sent.as_object().unwrap();
            assert_eq!(all.without_refused(&sent, fields, &error), None, "{words}");
        }
        // A service that refuses few as well as many gives none.
        let mut few = Parameters::new(true, false, true);
        few.top_logprobs = Some(5);
        let error = Error::service("m", 400, "top_logprobs must be between 0 and 1");
        let sent = json!({ "logprobs": true, "top_logprobs": 5 });
        assert_eq!(few.without_refused(&sent, &Map::new(), &error).unwrap().logprobs(20), None);
        few.keep(Parameters { top_logprobs: None, ..few.clone() });
        assert_eq!(few.logprobs(3), None);
    }

    #[test]
    fn other_errors_refuse_nothing() {
        for (status, words) in [
            (401, "Invalid key; temperature is not supported"),
            (429, "temperature is not supported: slow down"),
            (400, "max_tokens is too large: 9000. This model supports at most 4096 tokens."),
            (400, "'max_tokens' must be at least 1"),
            (400, "This model's maximum context length is 4096 tokens."),
            (400, "image is not supported"),
            (400, "a temperature"),
            (400, "图片 temperature_map 不合法"),
            (400, "max_tokens 取值范围错误"),
            (400, "max_tokens 过大"),
            (400, "temperature 与 max_tokens 冲突"),
            (400, "温度参数不合法"),
            (500, "temperature 内部错误"),
            (500, "Internal Server Error"),
        ] {
            let found = left(status, words);
            assert_eq!(found, None, "{words}");
        }
        let sent = json!({ "temperature": 0.0 });
        let all = Parameters::new(true, false, true);
        let timeout = Error::timeout("temperature not supported", std::time::Duration::ZERO);
        assert_eq!(all.without_refused(&sent, &Map::new(), &timeout), None);
    }

    #[test]
    fn what_the_caller_set_or_was_not_sent_stays() {
        let all = Parameters::new(true, false, true);
        let refusal = Error::service("m", 400, "Unsupported parameter: 'temperature'");
        let sent = json!({ "temperature": 0.2 });
        let fields = sent.as_object().unwrap();
        assert_eq!(all.without_refused(&sent, fields, &refusal), None);
        assert_eq!(all.without_refused(&json!({}), &Map::new(), &refusal), None);
    }

    #[test]
    fn no_parameter_is_refused_for_ever() {
        let mut parameters = Parameters::new(true, true, true);
        let refusal = Error::service("m", 400, "Unsupported: max_tokens, max_completion_tokens");
        let mut names = Vec::new();
        while let Some(limit) = parameters.limit() {
            names.push(limit);
            let sent = Value::from_iter([(limit, 64)]);
            parameters = parameters.without_refused(&sent, &Map::new(), &refusal).unwrap();
        }
        assert_eq!(names, ["max_completion_tokens", "max_tokens"]);
    }
}
