//! [`Metadata`]: what is known of an image besides its pixels.

/// What is known of an image besides its pixels. A [`Filter`](crate::reference::Filter) compares
/// it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Metadata {
    /// Its license, such as `CC-BY-4.0`.
    pub license: Option<String>,
    /// Whom to credit.
    pub author: Option<String>,
    /// Where it was first published.
    pub origin: Option<String>,
    /// What it shows, in the words of a person or a VLM.
    pub caption: Option<String>,
    /// Width in pixels, at least 1.
    pub width: Option<u32>,
    /// Height in pixels, at least 1.
    pub height: Option<u32>,
    /// Anything else: the text of a JSON object, such as `{"lang": "en", "nsfw": false}`.
    pub json: Option<String>,
}
