//! Images from folders, shards, embeddings and iterators into a gallery: every reader on good and
//! on damaged input, and the pipeline behind them.

mod again;
mod damage;
mod found;
mod pipeline;
mod random_shards;
mod readers;
mod rejected;
mod relative;
mod support;
mod upright;
