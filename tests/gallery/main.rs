//! A gallery keeps every image it acknowledged, finds it, and says what is wrong where it cannot.

mod contract;
mod faults;
#[cfg(feature = "faiss")]
mod index;
mod proposals;
mod relocate;
mod search;
mod store;
mod support;
