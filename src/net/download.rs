//! A URL in a reply to the bytes that are there, without the key, and not from where only this machine
//! can look.

use reqwest::header::USER_AGENT;
use reqwest::{Client as Http, Url};

use super::address::is_local;
use super::client::Client;
use super::public::{PublicOnly, check_host};
use super::redirect::{MAX_REDIRECTS, place, target};
use super::secrets::Secrets;
use super::transport::unavailable;
use crate::{Error, Result};

/// What is there, in errors.
const EXPECTED: &str = "a URL of a picture";

impl Client {
    /// The bytes at `link`, a URL in a reply, which may be relative to the base URL, of at most as many
    /// bytes as a reply. It is asked for again while its error is [transient](Error::is_transient) and
    /// the settings allow. Redirects are followed, each as if it were the link.
    ///
    /// Only what has the origin of the service gets its key and its headers, as long as the redirects
    /// stay there. A service that is not on this machine or beside it has nothing there: its link to
    /// such an address is not followed.
    pub(crate) async fn download(&self, link: &str) -> Result<Vec<u8>> {
        let mut base = self.address();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let url = target(&base, link).map_err(|found| self.no_link(&found))?;
        self.retry.run(Error::is_transient, || self.followed(url.clone())).await
    }

    /// One attempt at the bytes where `url` leads to.
    async fn followed(&self, mut url: Url) -> Result<Vec<u8>> {
        let mut is_own = true;
        for _ in 0..=MAX_REDIRECTS {
            // Who was elsewhere, and is sent back from there, is a stranger.
            is_own &= url.origin() == self.base.origin();
            let http = self.way(&url, is_own)?;
            let request = match (is_own, self.headers.get(USER_AGENT)) {
                (true, _) => http.get(url.clone()).headers(self.headers.clone()),
                (false, Some(name)) => http.get(url.clone()).header(USER_AGENT, name),
                (false, None) => http.get(url.clone()),
            };
            let reply = self.send(request, None).await?;
            let Some(location) = reply.redirection() else {
                return reply.bytes(&self.service, &format!("the picture at {}", place(&url)));
            };
            url = target(&url, location).map_err(|found| {
                self.no_link(&format!("{found}, to which {} redirects", place(&url)))
            })?;
        }
        let last = place(&url);
        Err(self.no_link(&format!("more than {MAX_REDIRECTS} redirections, the last to {last}")))
    }

    /// What goes to `url`, where that may be gone to.
    fn way(&self, url: &Url, is_own: bool) -> Result<Http> {
        if is_own {
            return Ok(self.http.clone());
        }
        let is_stranger = url.origin() != self.base.origin() && !is_local(&self.base);
        if is_stranger && check_host(url).is_err() {
            let found = format!("{}, which is this machine or beside it", place(url));
            return Err(self.no_link(&found));
        }
        let mut none = Secrets::default();
        let way = self.transport.builder(Some(url), self.connect_timeout, &mut none)?;
        match way {
            // A proxy resolves names itself, and perhaps it alone can.
            (http, Some(_proxy)) => http,
            (http, None) if is_stranger => http.dns_resolver(PublicOnly::system()),
            (http, None) => http,
        }
        .build()
        .map_err(unavailable)
    }

    fn no_link(&self, found: &str) -> Error {
        self.service.invalid_reply(EXPECTED, found)
    }
}
