//! Turns the libtorch that `torch-sys` links into an rpath of our own examples, tests and benches.
//!
//! They then start without `LD_LIBRARY_PATH`. Crates that depend on this one get nothing from it.

fn main() {
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    let unix = std::env::var_os("CARGO_CFG_UNIX").is_some();
    if let (Ok(lib), true) = (std::env::var("DEP_TCH_LIBTORCH_LIB"), unix) {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
