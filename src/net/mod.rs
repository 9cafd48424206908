//! The network for every remote part: settings to a client, a request to a reply, tried again where
//! the fault may pass.

#[cfg(feature = "openai")]
mod address;
#[cfg(feature = "openai")]
pub(crate) mod client;
#[cfg(feature = "openai")]
pub(crate) mod complaint;
#[cfg(feature = "openai")]
pub(crate) mod config;
#[cfg(feature = "openai")]
mod download;
#[cfg(feature = "openai")]
mod encoding;
#[cfg(feature = "openai")]
mod error_body;
#[cfg(feature = "openai")]
pub(crate) mod events;
#[cfg(feature = "openai")]
mod get;
#[cfg(feature = "openai")]
pub(crate) mod guarded_download;
#[cfg(feature = "openai")]
pub(crate) mod pictures;
#[cfg(feature = "openai")]
mod policy;
#[cfg(feature = "openai")]
mod public;
#[cfg(feature = "openai")]
mod quoted_pictures;
#[cfg(feature = "openai")]
mod redirect;
#[cfg(feature = "openai")]
pub(crate) mod reply;
pub(crate) mod retry;
#[cfg(any(feature = "hub", feature = "milvus", feature = "openai"))]
mod runtime;
#[cfg(any(feature = "hub", feature = "openai"))]
pub(crate) mod secrets;
#[cfg(feature = "openai")]
pub(crate) mod settings;
#[cfg(feature = "openai")]
pub(crate) mod stream;
#[cfg(feature = "openai")]
pub(crate) mod tokens;
#[cfg(feature = "openai")]
pub(crate) mod transport;

#[cfg(any(feature = "hub", feature = "milvus", feature = "openai"))]
pub(crate) use runtime::run;
#[cfg(feature = "openai")]
pub(crate) use runtime::spawn;
