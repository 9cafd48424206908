//! A URL in a reply to the bytes that are there, without the key, and not from where only this machine
//! can look.

use reqwest::Url;
use reqwest::header::USER_AGENT;

use super::address::{is_local, is_near};
use super::client::Client;
use super::secrets::Secrets;
use crate::{Error, Result};

/// What is there, in errors.
const EXPECTED: &str = "a URL of a picture";

impl Client {
    /// The bytes at `link`, a URL in a reply, which may be relative to the base URL, of at most as many
    /// bytes as a reply. It is asked for again while its error is [transient](Error::is_transient) and
    /// the settings allow.
    ///
    /// Only what has the origin of the service gets its key and its headers. A service that is not on
    /// this machine or beside it has nothing there: its link to such an address is not followed.
    pub(crate) async fn download(&self, link: &str) -> Result<Vec<u8>> {
        let invalid = |found: &str| self.service.invalid_reply(EXPECTED, found);
        let mut base = self.base.clone();
        base.set_query(None);
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let url = base.join(link.trim()).map_err(|error| invalid(&format!("{error}")))?;
        // Queries hold signatures.
        let place = format!("{}{}", url.origin().ascii_serialization(), url.path());
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid(&format!("the scheme {:?}", url.scheme())));
        }
        let is_own = url.origin() == self.base.origin();
        if !is_own && !is_local(&self.base) && is_inside(&url).await {
            return Err(invalid(&format!("{place}, which is this machine or beside it")));
        }
        let http = match is_own {
            true => self.http.clone(),
            false => {
                let mut none = Secrets::default();
                self.transport.client(&url, self.connect_timeout, &mut none)?.0
            }
        };
        let attempt = || async {
            let request = http.get(url.clone());
            let request = match is_own {
                true => request.headers(self.headers.clone()),
                false => match self.headers.get(USER_AGENT) {
                    Some(name) => request.header(USER_AGENT, name),
                    None => request,
                },
            };
            let reply = self.send(request, None).await?;
            reply.bytes(&self.service, &format!("the picture at {place}"))
        };
        self.retry.run(Error::is_transient, attempt).await
    }
}

/// Whether `url` is on this machine or beside it, by its name or by the addresses that it has.
async fn is_inside(url: &Url) -> bool {
    if is_local(url) {
        return true;
    }
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default());
    // Where a proxy resolves names, none may be known here.
    let found = tokio::net::lookup_host((host, port.unwrap_or(443))).await;
    found.is_ok_and(|mut addresses| addresses.any(|one| is_near(one.ip())))
}
