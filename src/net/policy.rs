//! The object of an error to what its codes say: that the same request will never be answered.

use serde_json::Value;

/// Codes of a content policy: OpenAI's for chats and pictures, Azure's (whose `innererror`, or
/// `inner_error` for pictures, has the third), Moonshot's (as the type), and Alibaba's, from their
/// references of errors.
const POLICY: [&str; 7] = [
    "content_filter",
    "contentFilter",
    "ResponsibleAIPolicyViolation",
    "content_policy_violation",
    "moderation_blocked",
    "data_inspection_failed",
    "DataInspectionFailed",
];
/// What stands in the message instead: DeepSeek's, the exception of LiteLLM, which hands on errors of
/// others, and OpenAI's about pictures, which gateways hand on without the code.
const POLICY_WORDS: [&str; 5] = [
    "Content Exists Risk",
    "ContentPolicyViolationError",
    "safety_violations=[",
    "rejected by the safety system",
    "result of our safety system",
];
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
    has_code(error, &POLICY)
        || error["moderation_details"].is_object()
        || POLICY_WORDS.iter().any(|words| message.contains(words))
}

/// Whether the account is out of credit, so that asking again later does not help.
pub(super) fn is_unpaid(error: &Value) -> bool {
    has_code(error, &UNPAID)
}

fn has_code(error: &Value, codes: &[&str]) -> bool {
    let inner = ["innererror", "inner_error"].map(|name| &error[name]["code"]);
    let places = [&error["code"], &error["type"], inner[0], inner[1]];
    let mut found = places.into_iter().filter_map(Value::as_str);
    found.any(|code| codes.iter().any(|known| code.eq_ignore_ascii_case(known)))
}
