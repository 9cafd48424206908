//! The JSON of a failed request to the error in it: its object, words, status and wait.

use std::time::Duration;

use serde_json::Value;

/// The error in a body: `{"error": …}`, the same in a list (Gemini), the body itself where it calls
/// itself one (`"object": "error"` of vLLM, `"type": "error"` of an event of OpenAI's), or the first
/// of `errors` where the body says that it is no success (Cloudflare). A gateway may write an error
/// without content beside a good result: it is none.
pub(super) fn error_object(body: &Value) -> Option<&Value> {
    let body = body.get(0).unwrap_or(body);
    if !is_empty(&body["error"]) {
        return Some(&body["error"]);
    }
    if body["object"] == "error" || body["type"] == "error" {
        return Some(body);
    }
    (body["success"] == false).then(|| first_error(body)).flatten()
}

/// The first of the `errors` of a body.
pub(super) fn first_error(body: &Value) -> Option<&Value> {
    body["errors"].as_array()?.iter().find(|error| !is_empty(error))
}

/// Whether there is neither a word nor a code in `value`.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.trim().is_empty(),
        Value::Array(all) => all.iter().all(is_empty),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}

/// The HTTP status that an error in a body carries as its code.
pub(super) fn code(error: &Value) -> Option<u16> {
    let code = &error["code"];
    let code = code.as_u64().or_else(|| code.as_str()?.parse().ok())?;
    u16::try_from(code).ok().filter(|code| (400..600).contains(code))
}

/// What a JSON body says went wrong.
pub(super) fn error_message(body: &Value) -> String {
    let error = error_object(body).or_else(|| first_error(body)).unwrap_or(body);
    let said = [
        error,
        &error["message"],
        &error["detail"],
        &error["detail"]["message"],
        &error["error"],
        &error["info"], // MediaWiki's.
    ];
    let mut said = said.iter().filter_map(|value| value.as_str());
    let Some(message) = said.find(|text| !text.trim().is_empty()) else {
        return invalid_fields(&error["detail"]).unwrap_or_else(|| error.to_string());
    };
    match error["param"].as_str() {
        Some(param) if !message.contains(param) => format!("{message} (parameter: {param})"),
        _ => message.to_owned(),
    }
}

/// What FastAPI says of fields that are wrong, each with its place in the request:
/// `{"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}`.
fn invalid_fields(detail: &Value) -> Option<String> {
    let one = |field: &Value| {
        let message = field["msg"].as_str()?;
        let place = field["loc"].as_array().into_iter().flatten().skip(1);
        let place: Vec<String> = place
            .map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned))
            .collect();
        Some(match place.is_empty() {
            true => message.to_owned(),
            false => format!("{}: {message}", place.join(".")),
        })
    };
    let fields: Vec<String> = detail.as_array()?.iter().filter_map(one).collect();
    (!fields.is_empty()).then(|| fields.join("; "))
}

/// Gemini's wait, which is in the body: `{"@type": "…RetryInfo", "retryDelay": "34s"}`.
pub(super) fn retry_delay(error: &Value) -> Option<Duration> {
    let details = error["details"].as_array()?;
    let delay = details.iter().find_map(|detail| detail["retryDelay"].as_str())?;
    Duration::try_from_secs_f64(delay.strip_suffix('s')?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_without_content_is_none() {
        for empty in [
            json!({ "message": "", "type": "", "param": "", "code": null }),
            json!({ "message": " ", "code": 0 }),
            json!({ "message": null, "details": [], "inner": { "code": "" } }),
            json!([]),
            json!([null]),
            json!(""),
            json!(0),
            json!(false),
        ] {
            assert_eq!(error_object(&json!({ "error": empty, "data": [] })), None, "{empty}");
        }
        for told in [json!({ "message": "", "code": "overloaded" }), json!("m"), json!(true)] {
            assert_eq!(error_object(&json!({ "error": told })), Some(&told), "{told}");
            assert!(!error_message(&json!({ "error": told })).is_empty(), "{told}");
        }
        let many = json!({ "success": true, "errors": [{ "message": "m" }] });
        assert_eq!(error_object(&many), None);
    }

    #[test]
    fn an_error_is_found_wherever_it_is() {
        for body in [
            json!({ "error": { "message": "m" } }),
            json!([{ "error": { "message": "m" } }]),
            json!({ "object": "error", "message": "m" }),
            json!({ "type": "error", "message": "m", "code": "moderation_blocked" }),
            json!({ "success": false, "errors": [{ "message": "m", "code": 3030 }] }),
            json!({ "success": false, "errors": ["m"] }),
        ] {
            assert!(error_object(&body).is_some(), "{body}");
            assert_eq!(error_message(&body), "m", "{body}");
        }
        for body in [json!({ "errors": [{ "message": "m" }] }), json!({ "detail": "m" })] {
            assert_eq!(error_message(&body), "m", "{body}");
        }
    }
}
