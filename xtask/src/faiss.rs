//! Turns "this machine" into one where FAISS can be built: cmake, make, a C++ compiler, BLAS and LAPACK.

use crate::shell::{self, Result};
use crate::{apt, native};
use std::process::Command;
use std::{env, fs};

/// The name under which `faiss-sys` tells cargo what it links.
const LINKS: &str = "faiss_c";
/// The name by which only `faiss-sys`' way to call cmake looks for a file of settings; other crates
/// would be built anew where it changes.
const TOOLCHAIN: &str = "HOST_CMAKE_TOOLCHAIN_FILE";
/// FAISS writes 128 files of CUDA whenever cmake starts, and what is compiled of them would be compiled
/// again: as they are always the same, they are made old.
const KEEP_GENERATED: &str = r#"
function(keep_generated)
  file(GLOB generated "${CMAKE_BINARY_DIR}/faiss/gpu/template_*.cu")
  if(generated)
    execute_process(COMMAND touch -d 2000-01-01 ${generated})
  endif()
endfunction()
cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL keep_generated)
"#;
/// What FAISS, built as a static library, is linked with.
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
    if links() {
        return Ok(());
    }
    let what = "A BLAS with LAPACK, or GCC's OpenMP, with which FAISS is linked,";
    apt::install(what, &["libopenblas-openmp-dev", "gcc"])?;
    let flags = LIBRARIES.join(" ");
    links().then_some(()).ok_or(format!("`cc` still cannot link with `{flags}`, as FAISS needs"))
}

/// Lets `command` build FAISS for this machine and run it as fast as it can.
///
/// # Errors
/// Says which file could not be written.
pub fn apply(command: &mut Command) -> Result<()> {
    wait_passively(command);
    set_cmake_up(command)
}

/// Lets OpenMP's threads sleep while they wait, unless the caller says how they wait: FAISS' own would
/// otherwise keep the cores from OpenBLAS' threads, and batches of queries take several times as long.
fn wait_passively(command: &mut Command) {
    if env::var_os("OMP_WAIT_POLICY").is_none() {
        command.env("OMP_WAIT_POLICY", "passive");
    }
}

/// Hands cmake a file of settings, unless the caller has one. It is not done by `CXXFLAGS`, which
/// would compile the C++ of other crates anew.
fn set_cmake_up(command: &mut Command) -> Result<()> {
    if ["CMAKE_TOOLCHAIN_FILE", TOOLCHAIN].iter().any(|name| env::var_os(name).is_some()) {
        return Ok(());
    }
    // Flags of the caller's own are enough.
    let level = match env::var_os("CXXFLAGS") {
        Some(_) => None,
        None => levels().into_iter().find(|level| is_known(level)),
    };
    let file = native::folder().join(format!("faiss-{}.cmake", level.unwrap_or("as-told")));
    let written =
        fs::create_dir_all(native::folder()).and_then(|()| fs::write(&file, settings(level)));
    written.map_err(|error| format!("{}: {error}", file.display()))?;
    command.env(TOOLCHAIN, file);
    Ok(())
}

/// What cmake is to do: compile for a level of instructions, and go on where it was interrupted.
fn settings(level: Option<&str>) -> String {
    let option = level
        .map(|level| format!("add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-march={level}>)\n"));
    option.unwrap_or_default() + KEEP_GENERATED
}

/// The levels of the x86-64 ABI that this machine's processor has, best first.
fn levels() -> Vec<&'static str> {
    let mut levels = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! has {
            ($($feature:tt)*) => { true $(&& is_x86_feature_detected!($feature))* };
        }
        if has!("avx2" "bmi1" "bmi2" "f16c" "fma" "lzcnt" "movbe") {
            if has!("avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl") {
                levels.push("x86-64-v4");
            }
            levels.push("x86-64-v3");
        }
    }
    levels
}

/// Whether the C++ compiler knows the level: GCC does since 11, Clang since 12.
fn is_known(level: &str) -> bool {
    let compiler = env::var_os("CXX").unwrap_or("c++".into());
    let mut command = Command::new(compiler);
    shell::output(command.arg(format!("-march={level}")).args(["-x", "c++", "-E", "/dev/null"]))
        .is_some()
}

/// The cargo setting with which FAISS is not built, with CUDA or without: it stands in for what the
/// build script says, which is enough where no program is linked.
pub fn not_built() -> Result<String> {
    let about = shell::output(Command::new("rustc").arg("-vV")).ok_or("`rustc -vV` failed")?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("`rustc -vV` names no host")?;
    Ok(format!("target.{host}.{LINKS}.rustc-link-lib=[]"))
}

/// Whether cargo, called with `words`, builds with the feature `name`.
pub fn is_asked(words: &[String], name: &str) -> bool {
    let mut list_follows = false;
    for word in words.iter().take_while(|word| *word != "--") {
        let attached = ["--features=", "-F"].iter().find_map(|flag| word.strip_prefix(flag));
        let list = if list_follows { Some(word.as_str()) } else { attached };
        if word == "--all-features" || list.is_some_and(|list| names(list, name)) {
            return true;
        }
        list_follows = word == "--features" || word == "-F";
    }
    false
}

/// Whether `name` stands in a list of features such as `tch,imagerag/faiss`.
fn names(list: &str, name: &str) -> bool {
    list.split([',', ' ', '=']).any(|feature| feature.rsplit('/').next() == Some(name))
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
    fn the_setting_names_this_machine() {
        let setting = not_built().unwrap();
        assert!(setting.starts_with("target.") && setting.contains(std::env::consts::ARCH));
        assert!(setting.ends_with(".faiss_c.rustc-link-lib=[]"), "{setting}");
    }

    #[test]
    fn the_level_is_one_that_the_compiler_takes() {
        for level in levels() {
            assert!(level.starts_with("x86-64-v"), "{level}");
        }
        assert!(!is_known("no-such-level"));
        assert!(
            settings(Some("x86-64-v3"))
                .starts_with("add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-march=x86-64-v3>)\n")
        );
        assert_eq!(settings(None), KEEP_GENERATED);
    }

    #[test]
    fn faiss_is_asked_for_in_every_spelling() {
        let is_asked =
            |text: &str| is_asked(&text.split(' ').map(str::to_owned).collect::<Vec<_>>(), "faiss");
        for line in [
            "build --features faiss",
            "run --release --features tch,gallery,faiss --example gallery -- build",
            "test --features=tch,faiss",
            "check -F faiss",
            "check -Fimagerag/faiss",
            "clippy --all-features",
        ] {
            assert!(is_asked(line), "{line}");
        }
        for line in [
            "build",
            "build --features tch,gallery",
            "build --features faiss-gpu",
            "test --features tch -- faiss",
            "run --example gallery -- --features faiss",
            "test --features tch --lib faiss",
        ] {
            assert!(!is_asked(line), "{line}");
        }
    }
}
