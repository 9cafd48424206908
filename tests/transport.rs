//! Proxies and certificates, against servers of this process. `tests/fixtures/tls/make.sh` made the
//! certificates.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::executor::block_on;
use imagerag::vlm::{ChatReply, Message, OpenAiVlm, OpenAiVlmBuilder, Vlm};
use imagerag::{Error, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use support::{answer, raw_server};

const CA: &[u8] = include_bytes!("fixtures/tls/ca.pem");
const SERVER: &[u8] = include_bytes!("fixtures/tls/server.pem");
const SERVER_KEY: &[u8] = include_bytes!("fixtures/tls/server.key");
const CLIENT: &[u8] = include_bytes!("fixtures/tls/client.pem");

const YES: &str = r#"{"choices":[{"message":{"content":"yes"}}]}"#;

fn model(base_url: &str) -> OpenAiVlmBuilder {
    let timeout = Duration::from_secs(20);
    OpenAiVlm::builder("m").base_url(base_url).api_key("").timeout(timeout).max_retries(0)
}

fn ask(builder: OpenAiVlmBuilder) -> Result<ChatReply> {
    block_on(builder.build()?.chat(&Message::user("Is this a cradle?").into()))
}

#[test]
fn every_request_goes_through_the_proxy_with_its_login() {
    let (origin, heads) = raw_server(|_, _, stream| answer(stream, "200 OK", "", YES));
    let proxy = origin.replace("http://", "http://user:p%40ssword@");
    let reply = ask(model("http://vlm.invalid/v1").proxy(proxy)).unwrap();
    assert_eq!(reply.text, "yes");
    let head = heads.recv().unwrap();
    assert!(head.starts_with("POST http://vlm.invalid/v1/chat/completions HTTP/1.1\r\n"), "{head}");
    let login = format!("proxy-authorization: Basic {}", STANDARD.encode("user:p@ssword"));
    assert!(head.contains(&login), "{head}");
}

#[test]
fn a_proxy_that_refuses_tells_no_secret() {
    let refuse = |_: usize, request: &support::Request, stream: std::net::TcpStream| {
        answer(stream, "407 Proxy Authentication Required", "", &request.head);
    };
    let (origin, _heads) = raw_server(refuse);
    let proxy = origin.replace("http://", "http://user:p%40ssword@");
    for service in ["http://vlm.invalid/v1", "https://vlm.invalid/v1"] {
        let vlm = model(service).proxy(&proxy).build().unwrap();
        let error = block_on(vlm.chat(&Message::user("?").into())).unwrap_err();
        let seen = format!("{vlm:?} {error} {error:?}");
        for secret in ["ssword".to_owned(), STANDARD.encode("user:p@ssword")] {
            assert!(!seen.contains(&secret), "{secret} in {seen}");
        }
    }
}

#[test]
fn the_last_word_on_proxies_counts() {
    let (origin, _heads) = raw_server(|_, _, stream| answer(stream, "200 OK", "", YES));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = ask(model(&origin).proxy(&nobody)).unwrap_err();
    assert!(matches!(error, Error::Connection { .. }), "{error:?}");
    assert_eq!(ask(model(&origin).proxy(nobody).no_proxy()).unwrap().text, "yes");
}

#[test]
fn what_is_no_proxy_or_certificate_is_refused() {
    let message = |builder: OpenAiVlmBuilder| builder.build().unwrap_err().to_string();
    let model = || model("https://127.0.0.1/v1");
    assert_eq!(
        message(model().proxy("socks5://user:secret@h")),
        "proxy: expected an http(s) URL, found the scheme \"socks5\""
    );
    assert_eq!(
        message(model().proxy("h:3128 secret")),
        "proxy: expected an http(s) URL, found the scheme \"h\""
    );
    let expected = "root certificate: expected one or more certificates in PEM, found";
    assert_eq!(message(model().root_certificate("nothing")), format!("{expected} none"));
    assert!(
        message(model().root_certificate("-----BEGIN CERTIFICATE-----\n")).starts_with(expected)
    );
    let expected = "identity: expected a certificate and its private key in PEM, found";
    let error = message(model().identity(SERVER));
    assert!(error.starts_with(expected), "{error}");
}

/// Answers every TLS connection once; asks for the client's certificate where it `authenticates`.
/// Gives the origin and whether each client showed one.
fn tls_server(authenticates: bool) -> (String, Receiver<bool>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = match authenticates {
        false => config.with_no_client_auth(),
        true => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(CA).unwrap()).unwrap();
            let roots = Arc::new(roots);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            config.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let certificate = CertificateDer::from_pem_slice(SERVER).unwrap();
    let key = PrivateKeyDer::from_pem_slice(SERVER_KEY).unwrap();
    let config = Arc::new(config.with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("https://{}", listener.local_addr().unwrap());
    let (sender, shown) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            let (mut request, mut piece) = (Vec::new(), [0; 4096]);
            while !request.ends_with(b"}") {
                match stream.read(&mut piece) {
                    Ok(read @ 1..) => request.extend_from_slice(&piece[..read]),
                    _ => break,
                }
            }
            let _ = sender.send(stream.conn.peer_certificates().is_some());
            let length = YES.len();
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{YES}");
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (origin, shown)
}

#[test]
fn a_certificate_of_ones_own_authority_is_trusted_where_it_is_named() {
    let (origin, _shown) = tls_server(false);
    let error = ask(model(&origin)).unwrap_err();
    let source = std::error::Error::source(&error).expect("the reason").to_string();
    assert!(source.contains("certificate"), "{source}");
    assert_eq!(ask(model(&origin).root_certificate(CA)).unwrap().text, "yes");
}

#[test]
fn a_client_shows_its_certificate() {
    let (origin, shown) = tls_server(true);
    assert!(ask(model(&origin).root_certificate(CA)).is_err());
    assert!(!shown.recv().unwrap());
    let reply = ask(model(&origin).root_certificate(CA).identity(CLIENT)).unwrap();
    assert_eq!((reply.text.as_str(), shown.recv().unwrap()), ("yes", true));
}

/// Asks the service at `ASKED`; the tests below run this in an environment with proxies in it.
#[test]
#[ignore = "the tests below run it, in an environment of their own"]
fn ask_in_this_environment() {
    match ask(model(&std::env::var("ASKED").unwrap())) {
        Ok(reply) => println!("answer: {}", reply.text),
        Err(error) => println!("answer: {}", error.chain()),
    }
}

/// What comes of asking `base_url` where all of the environment's proxies are `proxy`.
fn asked_through(proxy: &str, base_url: &str) -> String {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "ask_in_this_environment", "--ignored", "--nocapture"]);
    for name in ["NO_PROXY", "no_proxy", "REQUEST_METHOD"] {
        child.env_remove(name);
    }
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        child.env(name, proxy).env(name.to_lowercase(), proxy);
    }
    let output = child.env("ASKED", base_url).output().unwrap();
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, answer) = output.split_once("answer: ").expect(&output);
    answer.lines().next().unwrap().to_owned()
}

#[test]
fn a_proxy_of_the_environment_is_not_for_services_nearby() {
    let (service, _heads) = raw_server(|_, _, stream| answer(stream, "200 OK", "", YES));
    let (proxy, heads) = raw_server(|_, _, stream| answer(stream, "502 Bad Gateway", "", "no"));
    for base in [service.clone(), service.replace("127.0.0.1", "localhost")] {
        assert_eq!(asked_through(&proxy, &format!("{base}/v1")), "yes");
    }
    assert_eq!(heads.try_iter().count(), 0, "nothing went through the proxy");
}

#[test]
fn a_proxy_that_fails_is_named_without_its_login() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let echo = |_: usize, request: &support::Request, stream: std::net::TcpStream| {
        answer(stream, "502 Bad Gateway", "", &request.head);
    };
    let (refuses, heads) = raw_server(echo);
    for (proxy, told) in [(&nobody, "could not be reached"), (&refuses, "answered 502: ")] {
        let with_login = proxy.replace("http://", "http://user:p%40ssword@");
        let service = "http://vlm.example/v1";
        let named = format!("m at {service} through the proxy {proxy} {told}");
        let from_environment = asked_through(&with_login, service);
        let asked_for = ask(model(service).proxy(&with_login)).unwrap_err().chain().to_string();
        for error in [from_environment, asked_for] {
            assert!(error.starts_with(&named), "{error}");
            for secret in ["ssword".to_owned(), STANDARD.encode("user:p@ssword")] {
                assert!(!error.contains(&secret), "{secret} in {error}");
            }
        }
    }
    assert_eq!(heads.try_iter().count(), 2);
    // Where the proxy is to make a tunnel, its refusal is a broken connection.
    let error = asked_through(&refuses, "https://vlm.example/v1");
    let named = format!("m at https://vlm.example/v1 through the proxy {refuses} could not be");
    assert!(error.starts_with(&named), "{error}");
}
