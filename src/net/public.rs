//! An address to whether it is on the public internet: what a stranger's URL may make us connect to.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures::future::BoxFuture;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_local;

/// Whether `address` is one of the public internet, and none of a network nearby, of this machine, or
/// of what a cloud answers its own machines at.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// By IANA's registry of special-purpose IPv4 addresses (RFC 6890 and its updates).
fn is_public_v4(v4: Ipv4Addr) -> bool {
    /// Where Azure answers its own machines (Microsoft's "What is IP address 168.63.129.16?"). What the
    /// other clouds have for it is link-local, shared or private.
    const AZURE: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);
    let special = match v4.octets() {
        [0 | 10 | 127, ..] => true, // "this network", private, loopback
        [100, second, ..] => second >> 6 == 1, // shared by the customers of a provider (RFC 6598)
        [169, 254, ..] => true,     // link-local; 169.254.169.254 is the clouds' metadata
        [172, second, ..] => second >> 4 == 1, // private
        [192, 0, 0 | 2, _] => true, // protocols of IETF; documentation
        [192, 88, 99, _] => true,   // relays of 6to4, given up (RFC 7526)
        [192, 168, ..] => true,     // private
        [198, 18 | 19, ..] => true, // measurements (RFC 2544)
        [198, 51, 100, _] | [203, 0, 113, _] => true, // documentation (RFC 5737)
        [first, ..] => first >= 224, // multicast, reserved, broadcast
    };
    !special && v4 != AZURE
}

/// By IANA's registry of special-purpose IPv6 addresses: what is not global unicast is not public, nor
/// is what stands for an IPv4 address, but for NAT64's public ones, which is how names are resolved
/// where there is no IPv4 (RFC 6147).
fn is_public_v6(v6: Ipv6Addr) -> bool {
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            let [.., a, b, c, d] = v6.octets();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        [0x2001, second, ..] if second < 0x200 => false, // protocols of IETF, Teredo among them
        [0x2001, 0xdb8, ..] => false,                    // documentation
        [0x2002, ..] => false,                           // 6to4, given up
        [0x3fff, second, ..] if second < 0x1000 => false, // documentation (RFC 9637)
        [first, ..] => first >> 13 == 1,                 // 2000::/3, global unicast
    }
}

/// An address that is not public, and so is not connected to.
#[derive(Debug)]
pub(super) struct NotPublic(String);

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no address of the public internet", self.0)
    }
}

impl std::error::Error for NotPublic {}

/// Refuses a URL whose host is an address that is not public, or a name of something nearby. What other
/// names stand for is known when they are [resolved](PublicOnly).
pub(super) fn check_host(url: &Url) -> Result<(), NotPublic> {
    let host = url.host_str().unwrap_or_default();
    let is_fine = match host.trim_matches(['[', ']']).parse() {
        Ok(address) => is_public(address),
        Err(_) => !is_local(url),
    };
    if is_fine { Ok(()) } else { Err(NotPublic(host.to_owned())) }
}

type Lookup = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// Resolves names to their public addresses only. What it gives is what is connected to, so that a name
/// that stands for another address a moment later gains nothing.
#[derive(Clone)]
pub(super) struct PublicOnly(Arc<Lookup>);

impl PublicOnly {
    /// Asks the system's resolver.
    pub(super) fn system() -> Self {
        Self::new(|name| {
            Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
        })
    }

    /// Asks `lookup`.
    pub(super) fn new(
        lookup: impl Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(lookup))
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let found = (self.0)(name.clone());
        Box::pin(async move {
            let (public, other): (Vec<SocketAddr>, Vec<_>) =
                found.await?.into_iter().partition(|address| is_public(address.ip()));
            match other.first() {
                Some(other) if public.is_empty() => {
                    Err(NotPublic(format!("{name}, which is at {},", other.ip())).into())
                }
                _ => Ok(Box::new(public.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::executor::block_on;

    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:200::1",
            "2a00::1",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:0:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::808:808",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }

    #[test]
    fn hosts_in_every_spelling_are_checked() {
        for special in [
            "http://127.0.0.1/x",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1:8080/",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://printer/",
            "http://nas.local/",
            "http://169.254.169.254/latest/meta-data/",
            "http://１２７.0.0.1/",
        ] {
            assert!(check_host(&special.parse().unwrap()).is_err(), "{special}");
        }
        for public in ["https://example.org/a.jpg", "http://8.8.8.8/", "http://[2606:4700::1]/"] {
            assert!(check_host(&public.parse().unwrap()).is_ok(), "{public}");
        }
    }

    fn resolver(answers: &'static [&'static [&'static str]]) -> PublicOnly {
        let asked = AtomicUsize::new(0);
        PublicOnly::new(move |_| {
            let answer = answers[asked.fetch_add(1, Ordering::Relaxed)];
            let address = |text: &&str| SocketAddr::new(text.parse().unwrap(), 0);
            let addresses: Vec<_> = answer.iter().map(address).collect();
            Box::pin(async move { Ok(addresses) })
        })
    }

    /// What a name resolves to now.
    fn resolved(resolver: &PublicOnly) -> Result<Vec<String>, String> {
        let found = block_on(resolver.resolve("pictures.example".parse().unwrap()));
        found.map(|all| all.map(|one| one.ip().to_string()).collect()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_name_gives_what_is_public_of_it() {
        let mixed = resolver(&[&["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1"], &[]]);
        assert_eq!(resolved(&mixed).unwrap(), ["8.8.8.8", "2606:4700::1"]);
        assert!(resolved(&mixed).unwrap().is_empty());
    }

    #[test]
    fn a_name_that_is_rebound_is_refused_when_it_is_resolved_again() {
        let rebound = resolver(&[&["8.8.8.8"], &["127.0.0.1"]]);
        assert_eq!(resolved(&rebound).unwrap(), ["8.8.8.8"]);
        let said = "pictures.example, which is at 127.0.0.1, is no address of the public internet";
        assert_eq!(resolved(&rebound).unwrap_err(), said);
    }
}
