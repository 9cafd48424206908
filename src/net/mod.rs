//! The network for every remote part: settings to a client, a request to a reply, tried again where
//! the fault may pass.

#[cfg(feature = "openai")]
pub(crate) mod client;
#[cfg(feature = "openai")]
pub(crate) mod config;
#[cfg(feature = "openai")]
pub(crate) mod pictures;
#[cfg(feature = "openai")]
pub(crate) mod reply;
pub(crate) mod retry;
#[cfg(any(feature = "hub", feature = "milvus", feature = "openai"))]
mod runtime;
#[cfg(any(feature = "hub", feature = "openai"))]
pub(crate) mod secrets;
#[cfg(feature = "openai")]
pub(crate) mod transport;

#[cfg(any(feature = "hub", feature = "milvus", feature = "openai"))]
pub(crate) use runtime::run;

/// An error's message and those of what lies below it, each once: `a: b: c`.
pub(crate) fn causes(
    message: impl ToString,
    source: Option<&(dyn std::error::Error + 'static)>,
) -> String {
    let mut text = message.to_string();
    for cause in std::iter::successors(source, |cause| cause.source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
