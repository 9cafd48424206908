//! The server against clients: requests as they are on the wire, and the official client.

mod chained;
mod client;
mod edits;
mod embeddings;
mod errors;
mod generations;
mod life;
mod own_clients;
#[cfg(feature = "tch")]
mod remote_rag;
mod server;
mod streams;
#[cfg(feature = "tch")]
mod tinyworld;
mod traces;
