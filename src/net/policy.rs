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
/// What is in the codes of ByteDance's services: `OutputImageSensitiveContentDetected`.
const SENSITIVE: &str = "SensitiveContentDetected";
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

/// Codes and reasons of a key, an account or a model that the service does not know, which come with the
/// status of a bad request: OpenAI's and those of services with its interface, Gemini's (as the reason of
/// a detail), and Alibaba's, from their references of errors.
const NO_ACCESS: [&str; 12] = [
    "invalid_api_key",
    "InvalidApiKey",
    "API_KEY_INVALID",
    "API_KEY_EXPIRED",
    "invalid_authentication_error",
    "authentication_error",
    "permission_error",
    "account_deactivated",
    "Arrearage",
    "model_not_found",
    "ModelNotFound",
    "model_not_exist",
];

/// Whether the service declines the request on grounds of its policy.
pub(super) fn declines(error: &Value, message: &str) -> bool {
    has_code(error, &POLICY)
        || error["moderation_details"].is_object()
        || error["code"].as_str().is_some_and(|code| code.contains(SENSITIVE))
        || POLICY_WORDS.iter().any(|words| message.contains(words))
}

/// What a refusal tells beside its message, if it does: when it was found out, and of which kind it is.
/// OpenAI's, for pictures: `{"moderation_stage": "output", "categories": ["violence"]}`.
pub(super) fn details(error: &Value) -> Option<String> {
    let details = &error["moderation_details"];
    let stage = details["moderation_stage"].as_str();
    let kinds = details["categories"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let told: Vec<&str> = stage.into_iter().chain(kinds).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// Whether the account is out of credit, so that asking again later does not help.
pub(super) fn is_unpaid(error: &Value) -> bool {
    has_code(error, &UNPAID)
}

/// Whether the service does not know the key, the account or the model, whatever is asked.
pub(super) fn denies_access(error: &Value) -> bool {
    let details = error["details"].as_array().into_iter().flatten();
    let mut reasons = details.filter_map(|detail| detail["reason"].as_str());
    has_code(error, &NO_ACCESS) || reasons.any(|reason| NO_ACCESS.contains(&reason))
}

fn has_code(error: &Value, codes: &[&str]) -> bool {
    let inner = ["innererror", "inner_error"].map(|name| &error[name]["code"]);
    let places = [&error["code"], &error["type"], inner[0], inner[1]];
    let mut found = places.into_iter().filter_map(Value::as_str);
    found.any(|code| codes.iter().any(|known| code.eq_ignore_ascii_case(known)))
}
