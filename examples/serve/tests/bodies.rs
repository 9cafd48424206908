//! Bodies that are too large, too many or too slow, and connections that say nothing.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::server::{Server, error};

const PATH: &str = "/images/generations";

/// The head of a request with a body of `length` bytes, none of which is sent.
fn head(path: &str, length: usize) -> String {
    format!(
        "POST /v1{path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

/// The status of the reply on a connection.
fn status(stream: &TcpStream) -> u16 {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("{line}"))
}

#[test]
fn a_body_that_says_it_is_too_large_is_refused_unread() {
    let server = Server::fake(&["--max-body", "1"]);
    for path in [PATH, "/images/edits", "/embeddings"] {
        assert_eq!(status(&server.raw(&head(path, (1 << 20) + 1))), 413, "{path}");
    }
    // Without a length it is refused once it is.
    let mut stream = server.raw(
        "POST /v1/embeddings HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n110000\r\n",
    );
    stream.write_all(&vec![b' '; 0x11_0000]).unwrap();
    assert_eq!(status(&stream), 413);
}

#[tokio::test]
async fn all_bodies_together_have_a_bound_beside_which_words_have_room() {
    let server = Server::fake(&["--max-body", "2", "--max-bodies", "3"]);
    let held = server.raw(&head("/images/edits", 2 << 20));
    let large = json!({ "prompt": "a", "user": "x".repeat(3 << 19) });
    let words = json!({ "prompt": "a quetzal" });
    // The server may not have seen the first yet.
    let reply = loop {
        let reply = server.post(PATH, &large).send().await.unwrap();
        if reply.status() != 200 {
            break reply;
        }
    };
    assert!(reply.headers().contains_key("retry-after"));
    let (status, error) = error(reply).await;
    assert_eq!((status, &error["code"]), (429, &json!("rate_limit_exceeded")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("no room"), "{error}");
    server.ask(PATH, &words).await;
    // A client that leaves gives its room back.
    drop(held);
    while server.post(PATH, &large).send().await.unwrap().status() != 200 {}
}

#[test]
fn a_client_that_stops_sending_is_not_waited_for() {
    let server = Server::fake(&["--read-timeout", "1"]);
    let mut stream = server.raw(&head(PATH, 20));
    stream.write_all(b"{\"prompt\"").unwrap();
    assert_eq!(status(&stream), 408);
    for part in ["", "GET /v1/models HT"] {
        let mut reply = String::new();
        server.raw(part).read_to_string(&mut reply).unwrap();
        assert!(!reply.contains("200"), "{reply}");
    }
}

#[test]
fn connections_have_a_bound_and_further_ones_wait() {
    let server = Server::fake(&["--connections", "1"]);
    let get = "GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n";
    let first = server.raw(get);
    assert_eq!(status(&first), 200);
    let mut second = server.raw(get);
    second.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let error = second.read(&mut [0]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    drop(first);
    second.set_read_timeout(None).unwrap();
    assert_eq!(status(&second), 200);
}
