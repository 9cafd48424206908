//! Errors to their words, and to whether they pass.

use super::words::MAX_WORDS;
use super::*;

#[test]
fn names_the_thing_the_expected_and_the_found() {
    let error = Error::invalid_input("steps", "at least 1", 0);
    assert_eq!(error.to_string(), "steps: expected at least 1, found 0");
}

#[test]
fn of_several_failures_all_must_ask_for_a_wait_and_one_may_pass() {
    let second = Duration::from_secs(1);
    let asks = |wait| Error::service("a", 429, "").with_retry_after(wait);
    let all = |errors| Error::AllFailed { what: "a".into(), errors };
    assert_eq!(all(vec![asks(3 * second), asks(Duration::MAX)]).asked_wait(), Some(3 * second));
    assert_eq!(all(vec![asks(second), Error::timeout("b", second)]).asked_wait(), None);
    assert!(all(vec![asks(second), Error::unavailable("b", "no GPU")]).is_transient());
    assert!(!all(vec![asks(Duration::MAX), Error::unavailable("b", "no GPU")]).is_transient());
}

#[test]
fn long_words_of_a_service_are_cut() {
    let Error::Service { message, .. } = Error::service("s", 500, "ä".repeat(3_000)) else {
        panic!("a service's error")
    };
    assert_eq!(message.chars().count(), MAX_WORDS + 1);
}

#[test]
fn only_passing_faults_are_transient() {
    let status = |status| Error::service("vlm", status, "");
    assert!(status(429).is_transient() && status(503).is_transient());
    assert!(status(200).is_transient());
    assert!(!status(401).is_transient() && !Error::Cancelled.is_transient());
    assert!(!Error::refused("a", "policy").is_transient());
    assert!(!status(429).with_retry_after(Duration::MAX).is_transient());
}

#[test]
fn a_wait_is_told_and_a_reply_that_broke_off_is_told_apart() {
    let busy = |wait| Error::service("vlm", 429, "busy").with_retry_after(wait).to_string();
    assert_eq!(busy(Duration::from_secs(3600)), "vlm answered 429: busy (asks to wait 3600 s)");
    assert_eq!(busy(Duration::from_millis(500)), "vlm answered 429: busy (asks to wait 0.5 s)");
    let far = Duration::from_secs_f64(2_300_386_046.338_512_4);
    assert_eq!(busy(far), "vlm answered 429: busy (asks to wait 26625 days)");
    let date = Duration::from_secs_f64(89.338_512_4);
    assert_eq!(busy(date), "vlm answered 429: busy (asks to wait 89.4 s)");
    assert_eq!(busy(Duration::ZERO), "vlm answered 429: busy");
    assert_eq!(busy(Duration::MAX), "vlm answered 429: busy");
    let broken =
        |kind: std::io::ErrorKind| Error::connection("vlm", std::io::Error::from(kind)).to_string();
    let broke_off = "vlm was reached, but its reply broke off";
    assert_eq!(broken(std::io::ErrorKind::UnexpectedEof), broke_off);
    assert_eq!(broken(std::io::ErrorKind::TimedOut), "vlm could not be reached");
}
