//! A base URL to what can be told from it alone: whether it is a place nearby, and what is probably
//! meant where nothing is there.

use std::net::IpAddr;

use reqwest::Url;

/// Whether `url` names this machine or one beside it: a loopback, private, link-local or unspecified
/// address, `localhost`, a name without a dot (a container, say), or one under `.local`,
/// `.localhost` or `.docker.internal`. A proxy of the environment is meant for what is further away.
pub(super) fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => is_near(address),
        Err(_) => {
            let near = [".local", ".localhost", ".docker.internal"];
            !host.contains('.') || near.iter().any(|end| host.ends_with(end))
        }
    }
}

/// Whether an address is this machine's or of one beside it: loopback, private, link-local or
/// unspecified.
fn is_near(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_unspecified()
        }
    }
}

/// What people give as a base URL that is a path below it, or another interface of the same service.
const ENDPOINTS: [&str; 11] = [
    "chat",
    "completions",
    "edits",
    "embeddings",
    "generate",
    "generations",
    "images",
    "messages",
    "models",
    "responses",
    "tags",
];

/// Advice where nothing is at `base`: the URLs that are probably meant. None where it looks right,
/// with a version such as `v1` as a part of its path.
pub(super) fn advice(base: &Url) -> Option<String> {
    let is_version = |part: &&str| {
        part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let given: Vec<&str> = base.path().split('/').filter(|part| !part.is_empty()).collect();
    let mut parts = given.clone();
    parts.dedup_by(|next, one| is_version(&&**one) && next == one);
    while parts.last().is_some_and(|last| ENDPOINTS.contains(last)) {
        parts.pop();
    }
    let origin = base.origin().ascii_serialization();
    let url = |parts: &[&str]| format!("{origin}/{}", parts.join("/"));
    if parts.iter().any(is_version) {
        return (parts != given).then(|| format!("is base_url right? try {}", url(&parts)));
    }
    let below = url(&[&parts, &["v1"][..]].concat());
    Some(match parts.is_empty() {
        true => format!("is base_url right? it usually ends in /v1: try {below}"),
        false => format!("is base_url right? it usually ends in /v1: try {below} or {origin}/v1"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn places_nearby_are_known() {
        for near in [
            "localhost",
            "LOCALHOST.",
            "ollama",
            "vlm.localhost",
            "box.local",
            "host.docker.internal",
            "127.0.0.1",
            "127.8.9.1",
            "0.0.0.0",
            "10.1.2.3",
            "192.168.0.7",
            "172.16.0.1",
            "172.31.255.255",
            "169.254.1.1",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[fd00::1]",
            "[fe80::1]",
        ] {
            assert!(is_local(&url(&format!("http://{near}:8000/v1"))), "{near}");
        }
        for far in [
            "api.openai.com",
            "localhost.example",
            "vlm.internal",
            "172.32.0.1",
            "8.8.8.8",
            "[2606:4700::1]",
        ] {
            assert!(!is_local(&url(&format!("https://{far}/v1"))), "{far}");
        }
    }

    #[test]
    fn what_is_meant_is_advised() {
        for (base, meant) in [
            ("http://h:8000", Some("it usually ends in /v1: try http://h:8000/v1")),
            ("http://h/", Some("it usually ends in /v1: try http://h/v1")),
            ("http://h/api", Some("it usually ends in /v1: try http://h/api/v1 or http://h/v1")),
            (
                "http://h/api/chat",
                Some("it usually ends in /v1: try http://h/api/v1 or http://h/v1"),
            ),
            ("http://h/chat", Some("it usually ends in /v1: try http://h/v1")),
            ("http://h/v1/v1", Some("try http://h/v1")),
            ("http://h/v1/models", Some("try http://h/v1")),
            ("http://h/v1/responses/", Some("try http://h/v1")),
            ("http://h/v1", None),
            ("http://h/v1/", None),
            ("http://h/v1beta/openai", None),
            ("http://h/api/paas/v4", None),
        ] {
            let expected = meant.map(|meant| format!("is base_url right? {meant}"));
            assert_eq!(advice(&url(base)), expected, "{base}");
        }
    }
}
