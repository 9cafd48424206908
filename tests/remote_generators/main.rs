//! Remote generators against local servers: recorded exchanges of every dialect, and servers that
//! misbehave.

#[path = "../support/cassette.rs"]
mod cassette;
mod gemini;
mod openai_images;
mod painter;
mod sd_server;
#[path = "../support/mod.rs"]
mod support;
