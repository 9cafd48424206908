//! A URL in a reply to the bytes that are there, without the key, and not from where only this machine
//! can look.

use reqwest::header::USER_AGENT;

use super::address::is_local;
use super::client::Client;
use super::public::{PublicOnly, check_host};
use super::secrets::Secrets;
use super::transport::unavailable;
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
        let is_stranger = !is_own && !is_local(&self.base);
        if is_stranger && check_host(&url).is_err() {
            return Err(invalid(&format!("{place}, which is this machine or beside it")));
        }
        let http = match is_own {
            true => self.http.clone(),
            false => {
                let mut none = Secrets::default();
                let way = self.transport.builder(Some(&url), self.connect_timeout, &mut none)?;
                match way {
                    // A proxy resolves names itself, and perhaps it alone can.
                    (http, Some(_proxy)) => http,
                    (http, None) if is_stranger => http.dns_resolver(PublicOnly::system()),
                    (http, None) => http,
                }
                .build()
                .map_err(unavailable)?
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
