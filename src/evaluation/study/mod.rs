//! Pictures to a user study that opens in a browser, and its answers to win rates.
