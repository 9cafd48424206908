//! The object of an error to what its codes and words say: that the same request will never be answered.

use serde_json::Value;

/// Codes of a content policy, in small letters and without what divides their words: OpenAI's for
/// chats and pictures, Azure's (whose `innererror`, or `inner_error` for pictures, has the third),
/// fal's, Moonshot's (as the type), Stability's (as the name), Alibaba's, and GLM's number, from their
/// references of errors.
const POLICY: [&str; 9] = [
    "contentfilter",
    "contentmoderation",
    "responsibleaipolicyviolation",
    "contentpolicyviolation",
    "moderationblocked",
    "datainspectionfailed",
    "contentmoderated",
    "requestmoderated",
    "1301",
];
/// What is in the codes of ByteDance's services, such as `OutputImageSensitiveContentDetected` and
/// `InputTextRiskDetection`.
const SENSITIVE: [&str; 2] = ["sensitivecontentdetected", "riskdetection"];
/// What stands in the message instead: DeepSeek's, the exception of LiteLLM, which hands on errors of
/// others, and OpenAI's about pictures, which gateways hand on without the code.
const POLICY_WORDS: [&str; 5] = [
    "Content Exists Risk",
    "ContentPolicyViolationError",
    "safety_violations=[",
    "rejected by the safety system",
    "result of our safety system",
];
/// GLM's words and those of others that write Chinese.
const CHINESE: [&str; 5] = ["敏感内容", "敏感词", "敏感信息", "违规内容", "内容违规"];

/// Words that are a refusal by themselves: those of Black Forest Labs.
const MODERATED: [&str; 2] = ["request moderated", "content moderated"];
/// What guards a service's policy, and what is told of it where it refuses.
const GUARDS: [&str; 16] = [
    "moderation",
    "safety checker",
    "safety filter",
    "safety filters",
    "safety system",
    "safety policy",
    "safety policies",
    "safety guidelines",
    "content policy",
    "content policies",
    "content checker",
    "content filter",
    "content guidelines",
    "usage policy",
    "usage policies",
    "responsible ai",
];
const REFUSES: [&str; 12] = [
    "rejected",
    "rejects",
    "blocked",
    "blocks",
    "flagged",
    "violates",
    "violate",
    "violated",
    "violation",
    "refused",
    "declined",
    "prohibited",
];
/// What a policy forbids, and what is told of it in a prompt or an image.
const CONTENTS: [&str; 8] = [
    "nsfw",
    "unsafe content",
    "sensitive content",
    "inappropriate content",
    "prohibited content",
    "harmful content",
    "explicit content",
    "sexual content",
];
const FOUND: [&str; 7] =
    ["contain", "contains", "contained", "containing", "detected", "found", "not allowed"];
/// Words of a guard that does not work, and of a parameter that is called like one.
const OTHERWISE: [&str; 12] = [
    "failed to",
    "unavailable",
    "not available",
    "not loaded",
    "not installed",
    "not found",
    "timed out",
    "timeout",
    "disabled",
    "parameter",
    "unknown",
    "argument",
];

/// Codes of an account without credit, from the references of OpenAI, Moonshot and others that have
/// its interface. They come with the status 429, as a limit on the rate does.
const UNPAID: [&str; 6] = [
    "insufficientquota",
    "billinghardlimitreached",
    "billingnotactive",
    "exceededcurrentquotaerror",
    "insufficientbalance",
    "insufficientcredits",
];

/// Codes and reasons of a key, an account or a model that the service does not know, which come with the
/// status of a bad request: OpenAI's and those of services with its interface, Gemini's (as the reason of
/// a detail), and Alibaba's, from their references of errors.
const NO_ACCESS: [&str; 10] = [
    "invalidapikey",
    "apikeyinvalid",
    "apikeyexpired",
    "invalidauthenticationerror",
    "authenticationerror",
    "permissionerror",
    "accountdeactivated",
    "arrearage",
    "modelnotfound",
    "modelnotexist",
];

/// Whether the service declines the request on grounds of its policy: by `status`, by a code of
/// `error` or of the `body` around it, or by the words of `message`.
pub(super) fn declines(status: u16, body: &Value, error: &Value, message: &str) -> bool {
    /// "Unavailable For Legal Reasons" (RFC 7725).
    const LEGAL: u16 = 451;
    let codes = || codes(error).into_iter().chain(codes(body));
    status == LEGAL
        || codes().any(|code| {
            POLICY.contains(&&*code) || SENSITIVE.iter().any(|part| code.contains(part))
        })
        || error["moderation_details"].is_object()
        || error["metadata"]["flagged_input"].is_string() // OpenRouter's.
        || POLICY_WORDS.iter().chain(&CHINESE).any(|words| message.contains(words))
        // A fault of the service's own is none of the request, and neither is a limit.
        || matches!(status, 200..300 | 400 | 403 | 406 | 409 | 422) && says_so(message)
}

/// Whether plain words of `message` say that a policy forbids the request.
fn says_so(message: &str) -> bool {
    let is_divider = |c: char| !(c.is_alphanumeric() || c == '_');
    let words: Vec<&str> = message.split(is_divider).filter(|word| !word.is_empty()).collect();
    let words = format!(" {} ", words.join(" ").to_lowercase());
    let says = |any: &[&str]| any.iter().any(|one| words.contains(&format!(" {one} ")));
    says(&MODERATED)
        || !says(&OTHERWISE)
            && (says(&REFUSES) && (says(&GUARDS) || says(&CONTENTS))
                || says(&FOUND) && says(&CONTENTS))
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
    codes(error).iter().any(|code| UNPAID.contains(&&**code))
}

/// Whether the service does not know the key, the account or the model, whatever is asked.
pub(super) fn denies_access(error: &Value) -> bool {
    let details = error["details"].as_array().into_iter().flatten();
    let reasons = details.map(|detail| letters_of(&detail["reason"]));
    codes(error).into_iter().chain(reasons).any(|code| NO_ACCESS.contains(&&*code))
}

/// The codes of an error and of what is in it, in small letters and without what divides their words.
fn codes(error: &Value) -> Vec<String> {
    let inner = ["innererror", "inner_error", "detail", "error"].map(|name| &error[name]);
    let fields = error["detail"].as_array().into_iter().flatten(); // FastAPI's.
    let places = std::iter::once(error).chain(inner).chain(fields);
    let codes = places.flat_map(|place| ["code", "type", "name"].map(|name| &place[name]));
    codes.filter(|code| code.is_string() || code.is_number()).map(letters_of).collect()
}

/// A code in small letters and without what divides its words.
fn letters_of(code: &Value) -> String {
    code.to_string().to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn declined(status: u16, body: &Value) -> bool {
        let error = super::super::error_body::error_object(body).unwrap_or(body);
        declines(status, body, error, &super::super::error_body::error_message(body))
    }

    #[test]
    fn refusals_of_every_service_are_known() {
        let glm =
            "系统检测到输入或生成内容可能包含不安全或敏感内容，请您避免输入易产生敏感内容的提示语";
        for (status, body) in [
            (451, json!({})),
            (451, json!({ "error": { "message": "m" } })),
            (400, json!({ "errors": [{ "message": "AiError: prompt contains NSFW content." }] })),
            (400, json!({ "success": false, "errors": ["NSFW content was detected"] })),
            (400, json!({ "detail": "Prompt rejected by the safety checker (NSFW)" })),
            (422, json!({ "detail": [{ "msg": "m", "type": "content_policy_violation" }] })),
            (422, json!({ "detail": { "code": "content_policy_violation", "message": "m" } })),
            (403, json!({ "error": { "message": "m", "code": "content_moderation" } })),
            (403, json!({ "code": "content_moderation", "message": "m" })),
            (403, json!({ "name": "content_moderation", "errors": ["m"] })),
            (400, json!({ "error": { "type": "InputImageSensitiveContentDetected" } })),
            (400, json!({ "error": { "code": "OutputImageSensitiveContentDetected" } })),
            (400, json!({ "error": { "code": "InputTextSensitiveContentDetected.Violence" } })),
            (400, json!({ "error": { "code": "InputTextRiskDetection", "message": "m" } })),
            (400, json!({ "error": { "code": "1301", "message": "m" } })),
            (400, json!({ "error": { "code": 1301, "message": glm } })),
            (400, json!({ "error": { "message": glm } })),
            (200, json!({ "type": "error", "code": "moderation_blocked", "message": "m" })),
            (400, json!({ "status": "Request Moderated" })),
            (422, json!({ "detail": "Content Moderated" })),
            (403, json!({ "error": { "code": 403, "metadata": { "flagged_input": "p" } } })),
            (403, json!({ "error": { "message": "Your input was flagged by moderation." } })),
            (400, json!({ "error": "This prompt violates our content policy." })),
        ] {
            assert!(declined(status, &body), "{status} {body}");
        }
    }

    #[test]
    fn other_errors_are_no_refusals() {
        for (status, words) in [
            (500, "safety checker failed to load"),
            (500, "NSFW content detector crashed: found no weights"),
            (400, "the safety checker is not available, so that the request was rejected"),
            (400, "unknown field content_filter"),
            (400, "Unknown parameter: 'moderation' was rejected"),
            (400, "nsfw_filter is not allowed"),
            (400, "moderation must be low or auto"),
            (429, "moderation requests were blocked: slow down"),
            (404, "content policy not found"),
            (400, "the image was rejected: it is too large"),
            (400, "Invalid content type detected"),
        ] {
            assert!(!declined(status, &json!({ "error": { "message": words } })), "{words}");
        }
    }
}
