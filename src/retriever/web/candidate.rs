//! [`Candidate`]: a picture that a service names, before anything of it is downloaded.

use std::iter;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::html;
use crate::folder::fields::Fields;
use crate::reference::Metadata;

/// A picture that a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Candidate {
    /// Where the picture is.
    pub(super) url: String,
    /// What is downloaded: the picture, or a copy of it that the service has scaled down.
    pub(super) download: String,
    pub(super) metadata: Metadata,
    /// Whether the service marks it as not fit for everybody.
    pub(super) is_sensitive: bool,
    /// Why there is no license, where several are said.
    #[serde(skip)]
    pub(super) note: Option<String>,
}

impl Candidate {
    /// This picture where the same is also at each of `copies`: it has no license if they are under
    /// different ones. A copy without a license contradicts none.
    pub(super) fn with_copies<'a>(&'a self, copies: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut said: Vec<(String, String)> = Vec::new();
        let mut note = self.note.clone();
        for one in iter::once(self).chain(copies) {
            if let Some(license) = &one.metadata.license
                && said.iter().all(|(known, _)| known != license)
            {
                said.push((license.clone(), one.url.clone()));
            }
            note = note.or_else(|| one.note.clone());
        }
        if said.len() > 1 {
            let all = said.iter().map(|(license, url)| format!("{license} at {url}"));
            let all = all.collect::<Vec<_>>().join(", ");
            note = Some(format!("it has no license, because several are said: {all}"));
        }
        let mut settled = self.clone();
        if note.is_some() {
            settled.metadata.license = None;
        }
        settled.note = note;
        settled
    }
}

/// What a service says of one picture, by the names that [`Metadata`] has for it and some that go into
/// its JSON.
pub(super) struct Said<'a> {
    base: &'a Url,
    fields: Fields,
}

impl<'a> Said<'a> {
    /// Nothing yet, of a picture that the service at `base` names.
    pub(super) fn new(service: &str, base: &'a Url) -> Self {
        let mut fields = Fields::default();
        fields.set("service", service);
        Self { base, fields }
    }

    /// Keeps the text of `value` as the field `name`, if it is one that says something.
    pub(super) fn text(&mut self, name: &str, value: &Value) {
        if let Some(text) = value.as_str().map(str::trim).filter(|text| !text.is_empty()) {
            self.fields.set(name, text);
        }
    }

    /// The same of what is HTML.
    pub(super) fn html(&mut self, name: &str, value: &Value) {
        let text = html::text(value.as_str().unwrap_or_default());
        self.text(name, &Value::from(text));
    }

    /// The same of an address, which may be relative to the service's.
    pub(super) fn address(&mut self, name: &str, value: &Value) {
        if let Some(address) = address(self.base, value) {
            self.fields.set(name, address);
        }
    }

    /// Keeps a side in pixels as the field `name`; 0 says nothing.
    pub(super) fn pixels(&mut self, name: &str, value: &Value) {
        let side = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
        if let Some(side) = side.filter(|side| *side > 0) {
            self.fields.set(name, side);
        }
    }

    /// Keeps the license, if it is known.
    pub(super) fn license(&mut self, license: Option<String>) {
        if let Some(license) = license {
            self.fields.set("license", license);
        }
    }

    /// The candidate at the address `url`, of which `scaled` is a smaller copy if that is an address;
    /// `None` where `url` is none.
    pub(super) fn at(self, url: &Value, scaled: &Value, is_sensitive: bool) -> Option<Candidate> {
        let url = address(self.base, url)?;
        let download = address(self.base, scaled).unwrap_or_else(|| url.clone());
        let (metadata, _) = self.fields.metadata();
        Some(Candidate { url, download, metadata, is_sensitive, note: None })
    }
}

/// The http(s) address that `value` is, by itself or as seen from `base`, with no login in it.
fn address(base: &Url, value: &Value) -> Option<String> {
    let text = value.as_str().map(str::trim).filter(|text| !text.is_empty())?;
    let mut url = base.join(text).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    // Neither can fail: the URL has a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    Some(url.into())
}
