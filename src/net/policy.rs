//! The object of an error to what its codes say: that the same request will never be answered.

use serde_json::Value;

/// Codes of a content policy: OpenAI's for chats and pictures, Azure's (whose `innererror` has the
/// second), Moonshot's (as the type), and Alibaba's, from their references of errors.
const POLICY: [&str; 6] = [
    "content_filter",
    "ResponsibleAIPolicyViolation",
    "content_policy_violation",
    "moderation_blocked",
    "data_inspection_failed",
    "DataInspectionFailed",
];
/// What stands in the message instead: DeepSeek's, and the exception of LiteLLM, which hands on
/// errors of others.
const POLICY_WORDS: [&str; 2] = ["Content Exists Risk", "ContentPolicyViolationError"];
/// Codes of an account without credit, from the references of OpenAI, Moonshot and others that have
/// its interface. They come with the status 429, as a limit on the rate does.
const UNPAID: [&str; 6] = [
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "exceeded_current_quota_error",
    "insufficient_balance",
    "insufficient_credits",
];

/// Whether the service declines the request on grounds of its policy.
pub(super) fn declines(error: &Value, message: &str) -> bool {
    has_code(error, &POLICY) || POLICY_WORDS.iter().any(|words| message.contains(words))
}

/// Whether the account is out of credit, so that asking again later does not help.
pub(super) fn is_unpaid(error: &Value) -> bool {
    has_code(error, &UNPAID)
}

fn has_code(error: &Value, codes: &[&str]) -> bool {
    let places = [&error["code"], &error["type"], &error["innererror"]["code"]];
    let mut found = places.into_iter().filter_map(Value::as_str);
    found.any(|code| codes.iter().any(|known| code.eq_ignore_ascii_case(known)))
}
