//! Remote generators against local servers: recorded exchanges of every dialect, and servers that
//! misbehave.

#[path = "../support/cassette.rs"]
mod cassette;
mod openai_images;
#[path = "../support/mod.rs"]
mod support;
