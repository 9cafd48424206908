//! Turns "this machine" into one where FAISS can be built: cmake, make, a C++ compiler, BLAS and LAPACK.

use crate::native;
use crate::shell::{self, Result};
use crate::{apt, cuda};
use std::fs;
use std::process::Command;

/// The feature that builds FAISS, and the one that builds it with CUDA.
pub const FEATURES: [&str; 2] = ["faiss", cuda::FEATURE];
/// What `faiss-sys` links statically built FAISS with.
const LIBRARIES: [&str; 3] = ["-lblas", "-llapack", "-lgomp"];

/// Looks for the programs and libraries with which FAISS is built; installs what is missing.
///
/// # Errors
/// Says what to install.
pub fn provide() -> Result<()> {
    native::compiler()?;
    if !["cmake", "make"].iter().all(|program| shell::is_program(program)) {
        apt::install("cmake or make, with which FAISS is built,", &["cmake", "make"])?;
    }
    if !links() {
        apt::install(
            "A BLAS with LAPACK, or GCC's OpenMP, with which FAISS is linked,",
            &["libopenblas-dev", "g++"],
        )?;
        if !links() {
            let flags = LIBRARIES.join(" ");
            return Err(format!("`cc` still cannot link with `{flags}`, as FAISS needs"));
        }
    }
    Ok(())
}

/// Whether cargo, called with `words`, builds FAISS.
pub fn is_asked(words: &[String]) -> bool {
    let ours = words.iter().take_while(|word| *word != "--");
    let mut lists = false;
    for word in ours {
        if word == "--all-features" || lists && names_faiss(word) {
            return true;
        }
        let list = ["--features=", "-F"].iter().find_map(|flag| word.strip_prefix(flag));
        if list.is_some_and(names_faiss) {
            return true;
        }
        lists = word == "--features" || word == "-F";
    }
    false
}

/// Whether `faiss` stands in a list of features such as `tch,imagerag/faiss`.
fn names_faiss(list: &str) -> bool {
    list.split([',', ' ', '='])
        .filter_map(|name| name.rsplit('/').next())
        .any(|name| FEATURES.contains(&name))
}

/// Whether the linker that rustc calls finds [`LIBRARIES`].
fn links() -> bool {
    let output = native::folder().join(format!("links-{}.so", std::process::id()));
    let _ = fs::create_dir_all(native::folder());
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-x", "c", "/dev/null", "-o"]).arg(&output);
    let linked = shell::output(cc.args(LIBRARIES)).is_some();
    let _ = fs::remove_file(output);
    linked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faiss_is_asked_for_in_every_spelling() {
        let asked = |text: &str| is_asked(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for line in [
            "build --features faiss",
            "run --release --features tch,gallery,faiss --example gallery -- build",
            "test --features=tch,faiss-gpu",
            "check -F faiss",
            "check -Fimagerag/faiss",
            "clippy --all-features",
        ] {
            assert!(asked(line), "{line}");
        }
        for line in [
            "build",
            "build --features tch,gallery",
            "test --features tch -- faiss",
            "run --example gallery -- --features faiss",
            "test --features tch --lib faiss",
        ] {
            assert!(!asked(line), "{line}");
        }
    }
}
