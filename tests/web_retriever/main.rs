//! References from the web, against a server of this process that plays the services and whoever has the
//! pictures. `answers/` has those of the services, in the shape of the real ones.

mod bounds;
mod cache;
mod order;
mod server;
mod services;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use futures::executor::block_on;
use imagerag::Result;
use imagerag::reference::{Caption, Reference};
use imagerag::retriever::{RetrieveRequest, Retriever, WebRetriever, WebRetrieverBuilder};

use server::Server;

/// A retriever that plays with `server` what it would with Openverse.
fn openverse(server: &Server) -> WebRetrieverBuilder {
    near(WebRetriever::openverse().base_url(format!("{}/v1", server.origin)))
}

/// What tests need of every retriever: this machine, and no waiting.
fn near(builder: WebRetrieverBuilder) -> WebRetrieverBuilder {
    builder
        .allow_private_addresses(true)
        .timeout(Duration::from_secs(20))
        .first_wait(Duration::from_millis(2))
}

fn find(retriever: &WebRetriever, caption: &str, limit: usize) -> Result<Vec<Reference>> {
    let request = RetrieveRequest::new([Caption::concept(caption)], limit);
    Ok(block_on(retriever.retrieve(&request))?.remove(0))
}

/// The end of each source's address, behind the last slash.
fn names(list: &[Reference]) -> Vec<String> {
    let source = |one: &Reference| one.provenance.source.to_string();
    list.iter().map(|one| source(one).rsplit('/').next().unwrap_or_default().to_owned()).collect()
}

/// What reading the picture of the only reference says.
fn problem(retriever: &WebRetriever) -> String {
    let list = find(retriever, "a quetzal", 1).unwrap();
    block_on(list[0].image()).unwrap_err().chain().to_string()
}
