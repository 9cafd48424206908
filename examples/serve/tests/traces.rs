//! Traces by the links in replies.

use imagerag::pipeline::{RagTrace, StopReason};
use serde_json::json;

use super::server::Server;

const PATH: &str = "/images/generations";

#[tokio::test]
async fn a_trace_is_json_and_for_browsers_a_page() {
    let server = Server::fake(&[]);
    let prompt = "a <script>alert('quetzal')</script> & \"more\"";
    let reply = server.post(PATH, &json!({ "prompt": prompt, "seed": 7 })).send().await.unwrap();
    let header = reply.headers()["x-imagerag-trace"].to_str().unwrap().to_owned();
    let body: serde_json::Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap();
    let link = body["trace"].as_str().unwrap();
    assert_eq!(link, header);
    let ask = |url: String, accept: &str| server.http.get(url).header("accept", accept).send();
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    for (url, accept) in [(link.to_owned(), "*/*"), (format!("{link}.json"), browser)] {
        let reply = ask(url, accept).await.unwrap();
        assert_eq!(reply.headers()["content-type"], "application/json");
        let trace: RagTrace = serde_json::from_str(&reply.text().await.unwrap()).unwrap();
        assert_eq!((trace.prompt.as_str(), trace.seed), (prompt, 7));
        assert_eq!(trace.stop, Some(StopReason::RoundLimit));
    }
    for (url, accept) in [(link.to_owned(), browser), (format!("{link}.html"), "*/*")] {
        let reply = ask(url, accept).await.unwrap();
        assert_eq!(reply.headers()["content-type"], "text/html; charset=utf-8");
        let policy = reply.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'"));
        let page = reply.text().await.unwrap();
        for title in ["Draft", "Reference", "Result"] {
            assert!(page.contains(&format!("<img alt=\"{title}\" src=\"data:image/jpeg;base64,")));
        }
        assert!(page.contains("license: CC0-1.0") && page.contains("author: A. &lt;Painter&gt;"));
        assert!(page.contains(
            "&lt;script&gt;alert(&#39;quetzal&#39;)&lt;/script&gt; &amp; &quot;more&quot;"
        ));
        // Nothing of the prompt is markup, and nothing is loaded from elsewhere.
        for markup in ["<script", "<Painter", "http://", "https://", "href"] {
            assert!(!page.contains(markup), "{markup}: {page}");
        }
    }
}

#[tokio::test]
async fn a_page_shows_small_pictures_large_and_one_picture_once_and_turns_no_text() {
    let server = Server::fake(&[]);
    let page = async |body: serde_json::Value| {
        let reply = server.ask(PATH, &body).await;
        let url = format!("{}.html", reply["trace"].as_str().unwrap());
        server.http.get(url).send().await.unwrap().text().await.unwrap()
    };
    // It turns what follows it, and is shown instead.
    let turned = page(json!({ "prompt": "a \u{202e}quetzal", "size": "32x16" })).await;
    assert!(!turned.contains('\u{202e}') && turned.contains("a \\u{202e}quetzal"), "{turned}");
    assert!(turned.contains("<h1 dir=\"auto\">") && turned.contains("name=\"viewport\""));
    assert!(turned.contains("class=\"small\" width=\"256\""), "{turned}");
    assert!(
        !page(json!({ "prompt": "a quetzal", "size": "256x256" })).await.contains("width=\"256\"")
    );
    // What is known already is drawn once.
    let known = page(json!({ "prompt": "a known bird" })).await;
    assert_eq!(known.matches("<img").count(), 1, "{known}");
    assert!(known.contains("<b>Draft and result</b>"));
}

#[tokio::test]
async fn only_the_latest_traces_are_kept() {
    let server = Server::fake(&["--keep", "2"]);
    let mut links = Vec::new();
    for n in 0..3 {
        let reply = server.ask(PATH, &json!({ "prompt": format!("quetzal {n}") })).await;
        links.push(reply["trace"].as_str().unwrap().to_owned());
    }
    let mut statuses = Vec::new();
    for link in links {
        statuses.push(server.http.get(link).send().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [404, 200, 200]);
    // A reply names none that is gone.
    let reply = server.ask(PATH, &json!({ "prompt": "a quetzal", "n": 3 })).await;
    let data = reply["data"].as_array().unwrap();
    let links: Vec<_> = data.iter().filter_map(|one| one["trace"].as_str()).collect();
    assert_eq!((links.len(), reply["trace"].is_string()), (2, true));
    for link in links {
        assert_eq!(server.http.get(link).send().await.unwrap().status(), 200);
    }
}
