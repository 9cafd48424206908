//! Finds or provides the native libraries, then runs cargo with them.

fn main() {}
