//! Turns the checkout into a folder that checks and measures imagerag on another machine's GPU, or on this one's.

use crate::python::Python;
use crate::shell::{self, Result};
use crate::{faiss, manifest, native, peers, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// What the kit carries of the checkout: what its programs read, and the peers' programs.
const CHECKOUT: [&str; 5] = [
    "tests/fixtures",
    "examples/tinyworld/models",
    "examples/tinyworld/gallery",
    "examples/tinyworld/world.json",
    "benches/peers",
];
/// What starts and reads its parts.
const SCRIPTS: [&str; 4] = ["run.sh", "kit.py", "parts.py", "table.py"];
/// Headers and the library of CUPTI, which lists kernels, in the versions that torch 2.11.0 comes with.
const CUPTI: [&str; 3] =
    ["nvidia-cuda-cupti==13.0.85", "nvidia-cuda-runtime==13.0.96", "nvidia-cuda-crt==13.0.88"];

/// How the kit's programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Build {
    /// Optimised, as they are measured.
    Release,
    /// As `cargo xtask test` has just built them: what CI tries the kit with.
    Dev,
}

/// What the command line asks for.
struct Options {
    folder: PathBuf,
    build: Build,
    /// Whether the search on a GPU is carried, which takes an hour to build.
    faiss: bool,
    /// Whether fixtures and the tiny world are carried.
    checkout: bool,
}

pub fn run(arguments: &[String]) -> Result<()> {
    make(&options(arguments)?)
}

/// Makes the kit of this checkout in its target folder, and runs it.
pub fn check(arguments: &[String]) -> Result<()> {
    let cpu = arguments.iter().any(|word| word == "--cpu");
    if !cpu && !has_gpu() {
        return Err(
            "there is no NVIDIA GPU here, or its driver does not answer (`nvidia-smi -L`).\n\
                    `cargo xtask device-check --cpu` runs every part at toy size on the CPU."
                .into(),
        );
    }
    let folder = native::target().join("kit");
    make(&Options { folder: folder.clone(), build: Build::Release, faiss: false, checkout: true })?;
    let mut kit = Command::new(folder.join("run.sh"));
    match peers::found() {
        Some((python, packages)) => {
            kit.env("PYTHON", python);
            packages.map(|packages| kit.env("PYTHONPATH", packages));
        }
        None => shell::say(
            "no Python here has what the peers need: ours runs alone. \
             `cargo xtask peers omnigen` installs it",
        ),
    }
    start(&mut kit, &folder, arguments)
}

/// Makes the kit from what the tests were built with, and runs every part on the CPU, without peers.
pub fn try_out() -> Result<()> {
    let folder = native::target().join("kit-dev");
    make(&Options { folder: folder.clone(), build: Build::Dev, faiss: false, checkout: true })?;
    start(&mut Command::new(folder.join("run.sh")), &folder, &["--cpu".into()])
}

/// Runs the kit in `folder`.
fn start(kit: &mut Command, folder: &Path, arguments: &[String]) -> Result<()> {
    native::provide()?.apply(kit);
    shell::run(kit.args(arguments).env("OUT", folder.with_extension("out")))
}

fn has_gpu() -> bool {
    shell::output(Command::new("nvidia-smi").arg("-L")).is_some_and(|list| !list.is_empty())
}

fn options(arguments: &[String]) -> Result<Options> {
    let (flags, folders): (Vec<_>, Vec<_>) =
        arguments.iter().partition(|word| word.starts_with("--"));
    let [folder] = folders[..] else {
        return Err("device-kit takes one folder, in which the kit is made: cargo xtask device-kit target/kit".into());
    };
    let known = ["--faiss", "--no-checkout", "--dev"];
    if let Some(other) = flags.iter().find(|flag| !known.contains(&flag.as_str())) {
        return Err(format!("device-kit knows {}, and not {other}", known.join(", ")));
    }
    let has = |name: &str| flags.iter().any(|flag| *flag == name);
    Ok(Options {
        folder: folder.into(),
        build: if has("--dev") { Build::Dev } else { Build::Release },
        faiss: has("--faiss"),
        checkout: !has("--no-checkout"),
    })
}

/// Builds the programs, and puts them with all that they need into a folder that replaces the kit that
/// is there.
fn make(options: &Options) -> Result<()> {
    let partial = partial(&options.folder)?;
    let made = fill(&partial, options).and_then(|()| {
        let _ = fs::remove_dir_all(&options.folder);
        io(&options.folder, fs::rename(&partial, &options.folder))
    });
    let _ = fs::remove_dir_all(&partial);
    made?;
    shell::say(&format!(
        "made {}, {:.0} MB; {}/run.sh runs it, with --cpu on a CPU",
        options.folder.display(),
        size(&options.folder) as f64 / 1e6,
        options.folder.display()
    ));
    Ok(())
}

/// Where a kit that is to be `folder` is made first: a folder beside it. Only a kit is ever replaced.
fn partial(folder: &Path) -> Result<PathBuf> {
    let shown = folder.display();
    let name = folder.file_name().ok_or_else(|| format!("{shown} is no name of a new folder"))?;
    let is_free = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none() || folder.join("manifest.json").is_file(),
        Err(_) => !folder.exists(),
    };
    if !is_free {
        return Err(format!("{shown} holds something that is no kit: name another folder"));
    }
    let name = format!("{}.partial-{}", name.to_string_lossy(), std::process::id());
    Ok(folder.with_file_name(name))
}

fn fill(kit: &Path, options: &Options) -> Result<()> {
    let programs = kit.join("programs");
    io(&programs, fs::create_dir_all(&programs))?;
    let mut left_out = Vec::new();
    let mut without = |what: &str, why: String| {
        shell::say(&format!("the kit is made without {what}: {why}"));
        left_out.push((what.to_owned(), why));
    };
    // 1. programs
    let (tests, device_kit) = built(options.build)?;
    strip(&tests, &programs.join("tests"))?;
    strip(&device_kit, &programs.join("device_kit"))?;
    if options.faiss {
        let program = searcher()?;
        strip(&program, &programs.join("device_faiss"))?;
        algebra_of(&program)?.iter().try_for_each(|library| copy_file(library, &programs))?;
    } else {
        without(
            "device_faiss",
            "`--faiss` was not asked for; FAISS for the GPU takes an hour to build".into(),
        );
    }
    if let Err(why) = lister_of_kernels(&programs.join("libkernels.so")) {
        without("libkernels.so", why);
    }
    // 2. what the peers need beside torch and transformers
    match omini_control() {
        Ok(source) => copy(&source, "omini", &programs.join("OminiControl"))?,
        Err(why) => without("OminiControl", why),
    }
    let wheels = kit.join("wheels");
    io(&wheels, fs::create_dir_all(&wheels))?;
    if let Err(why) = wheel_of_diffusers(&wheels) {
        without("diffusers", why);
    }
    // 3. packed, with what is read
    let level = if options.build == Build::Release { "-9" } else { "-0" };
    let names: Vec<String> = files(&programs)?;
    pack(&programs, &names, &kit.join("programs.tar.xz"), level)?;
    io(&programs, fs::remove_dir_all(&programs))?;
    if options.checkout {
        let names = CHECKOUT.map(str::to_owned);
        pack(root(), &names, &kit.join("checkout.tar.xz"), level)?;
    }
    for name in SCRIPTS {
        copy_file(&root().join("benches/device").join(name), kit)?;
    }
    let manifest = kit.join("manifest.json");
    io(&manifest, fs::write(&manifest, manifest_of(&left_out)))
}

/// The library's tests, and the program of the kit's parts.
fn built(build: Build) -> Result<(PathBuf, PathBuf)> {
    let backends;
    let (profile, features) = match build {
        Build::Release => (&["--release"][..], "tch,testing"),
        Build::Dev => {
            faiss::provide()?;
            backends = manifest::backends()?;
            (&[][..], backends.as_str())
        }
    };
    let cargo = |words: &[&str], name: &str| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(words).args(profile).args(["--features", features]);
        cargo.args(["--message-format", "json-render-diagnostics"]).current_dir(root());
        if build == Build::Dev {
            faiss::apply(&mut cargo)?;
        }
        native::provide()?.apply(&mut cargo);
        executable(&mut cargo, name)
    };
    let tests = cargo(&["test", "--no-run", "--package", "imagerag", "--lib"], "imagerag")?;
    let device_kit =
        cargo(&["build", "--package", "imagerag", "--example", "device_kit"], "device_kit")?;
    Ok((tests, device_kit))
}

/// The program that searches on a GPU.
fn searcher() -> Result<PathBuf> {
    let xtask = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut cargo = Command::new(xtask);
    cargo.args([
        "cargo",
        "--",
        "build",
        "--release",
        "--features",
        "faiss-gpu",
        "--example",
        "device_faiss",
    ]);
    cargo.args(["--message-format", "json-render-diagnostics"]).current_dir(root());
    // For the machine that it travels to, not for this one's processor.
    if std::env::var_os("CXXFLAGS").is_none() && cfg!(target_arch = "x86_64") {
        cargo.env("CXXFLAGS", "-march=x86-64-v3");
    }
    executable(&mut cargo, "device_faiss")
}

/// The program called `name` that `cargo` says it has built.
fn executable(cargo: &mut Command, name: &str) -> Result<PathBuf> {
    let messages = shell::printed(cargo)?;
    messages
        .lines()
        .find_map(|line| executable_in(line, name))
        .map(PathBuf::from)
        .ok_or_else(|| format!("cargo built no program called {name}"))
}

/// The path of the program `name` in one of cargo's messages.
fn executable_in(message: &str, name: &str) -> Option<String> {
    message.contains(&format!("\"name\":\"{name}\"")).then_some(())?;
    let path = message.split_once("\"executable\":\"")?.1;
    Some(path.split_once('"')?.0.to_owned())
}

/// A program without its symbols, which are half of it.
fn strip(program: &Path, to: &Path) -> Result<()> {
    shell::set_up(Command::new("strip").arg("-o").arg(to).arg(program))
}

/// The library that lists what runs on a GPU, for any program.
fn lister_of_kernels(library: &Path) -> Result<()> {
    let folder = native::folder().join("cupti");
    if !folder.is_dir() {
        let python = Python::with_pip(&native::folder())?;
        let partial = folder.with_extension(format!("partial-{}", std::process::id()));
        python.pip_install(&partial, &[&["--no-deps"][..], &CUPTI].concat())?;
        io(&folder, fs::rename(&partial, &folder))?;
    }
    let cuda = folder.join("nvidia/cu13");
    let compiler = std::env::var_os("CXX").unwrap_or("c++".into());
    let mut cxx = Command::new(compiler);
    cxx.args(["-O2", "-std=c++17", "-shared", "-fPIC", "-I"]).arg(cuda.join("include"));
    cxx.arg(root().join("benches/device/kernels.cpp")).arg("-o").arg(library);
    shell::set_up(cxx.arg("-L").arg(cuda.join("lib")).arg("-l:libcupti.so.13"))
}

/// The folder of OminiControl's program, which is cloned once.
fn omini_control() -> Result<PathBuf> {
    let at = [
        std::env::var_os("OMINI_CONTROL").map(PathBuf::from),
        Some(root().join("target/native/OminiControl")),
        Some(native::folder().join("OminiControl")),
    ];
    if let Some(found) = at.iter().flatten().find(|folder| folder.join("omini").is_dir()) {
        return Ok(found.clone());
    }
    let path = root().join("tests/fixtures/omini_reference.py");
    let script = io(&path, fs::read_to_string(&path))?;
    let constant = |name: &str| {
        let value = script.lines().find_map(|line| line.strip_prefix(name)?.split('"').nth(1));
        value.ok_or_else(|| format!("{} has no {name}", path.display()))
    };
    let folder = native::folder().join("OminiControl");
    let partial = folder.with_extension(format!("partial-{}", std::process::id()));
    let mut git = Command::new("git");
    git.args(["clone", "--quiet", constant("REPOSITORY")?]).arg(&partial);
    shell::set_up(&mut git)?;
    let mut git = Command::new("git");
    git.arg("-C").arg(&partial).args(["checkout", "--quiet", constant("COMMIT")?]);
    shell::set_up(&mut git)?;
    io(&folder, fs::rename(&partial, &folder))?;
    Ok(folder)
}

/// The wheel of diffusers, of the version that the peers' requirements name; the rest of them is where torch is.
fn wheel_of_diffusers(folder: &Path) -> Result<()> {
    let path = root().join("benches/peers/requirements.txt");
    let list = io(&path, fs::read_to_string(&path))?;
    let version = list.lines().find(|line| line.starts_with("diffusers==")).ok_or("no version")?;
    let kept = native::folder().join(format!("wheel-{version}"));
    if !kept.is_dir() {
        let partial = kept.with_extension(format!("partial-{}", std::process::id()));
        let mut pip = Python::with_pip(&native::folder())?.command();
        pip.args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--dest",
        ]);
        shell::set_up(pip.arg(&partial).arg(version).env("PIP_DISABLE_PIP_VERSION_CHECK", "1"))?;
        io(&kept, fs::rename(&partial, &kept))?;
    }
    copy(&kept, ".", folder)
}

/// The libraries of linear algebra that `program` loads, which a machine that only computes on a GPU may lack.
fn algebra_of(program: &Path) -> Result<Vec<PathBuf>> {
    let list = shell::printed(Command::new("ldd").arg(program))?;
    let names = ["libopenblas", "libblas", "liblapack", "libgfortran", "libquadmath", "libgomp"];
    let ours = |line: &&str| names.iter().any(|name| line.trim_start().starts_with(name));
    let path = |line: &str| Some(PathBuf::from(line.split_whitespace().nth(2)?));
    Ok(list.lines().filter(ours).filter_map(path).collect())
}

/// Copies a file into a folder under its own name.
fn copy_file(file: &Path, to: &Path) -> Result<()> {
    let name = file.file_name().unwrap_or_default();
    io(file, fs::copy(file, to.join(name)).map(drop))
}

/// Copies `name` of the folder `from` into the folder `to`.
fn copy(from: &Path, name: &str, to: &Path) -> Result<()> {
    io(to, fs::create_dir_all(to))?;
    shell::set_up(Command::new("cp").arg("-R").arg(from.join(name)).arg(to))
}

/// Packs `names` of `folder`.
fn pack(folder: &Path, names: &[String], archive: &Path, level: &str) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(archive).args(["--use-compress-program"]);
    tar.arg(format!("xz {level} --threads=1")).args(["--exclude", "__pycache__"]);
    shell::set_up(tar.arg("--directory").arg(folder).args(names))
}

/// What the kit's own programs read of it, as JSON.
fn manifest_of(left_out: &[(String, String)]) -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let commit = shell::output(
        Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(root()),
    );
    let left_out: Vec<String> =
        left_out.iter().map(|(what, why)| format!("{what:?}: {why:?}")).collect();
    format!(
        "{{\"made\": \"{}\", \"built_in\": {:?}, \"commit\": {:?}, \"left_out\": {{{}}}}}\n",
        since.as_millis(),
        root().display().to_string(),
        commit.unwrap_or("unknown".into()),
        left_out.join(", ")
    )
}

fn files(folder: &Path) -> Result<Vec<String>> {
    let entries = io(folder, fs::read_dir(folder))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

/// Bytes of all files under `folder`.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => size(&entry.path()),
            Ok(about) => about.len(),
            Err(_) => 0,
        })
        .sum()
}

/// A result of the file system, with the path in its error.
fn io<T>(path: &Path, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kit_is_replaced() {
        let folder = std::env::temp_dir().join(format!("imagerag-kit-test-{}", std::process::id()));
        let new = folder.join("new");
        assert_eq!(partial(&new).unwrap().parent(), Some(folder.as_path()));
        fs::create_dir_all(&new).unwrap();
        assert_ne!(partial(&new).unwrap(), new, "an empty folder");
        fs::write(new.join("letters.txt"), "dear").unwrap();
        assert!(partial(&new).unwrap_err().contains("holds something that is no kit"));
        fs::write(new.join("manifest.json"), "{}").unwrap();
        assert!(partial(&new).is_ok());
        fs::remove_dir_all(&folder).unwrap();
        for name in [".", "..", "/", "target/.."] {
            assert!(partial(name.as_ref()).is_err(), "{name}");
        }
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_of_the_kit() {
        let plain = options(&words("target/kit")).unwrap();
        assert_eq!((plain.build, plain.faiss, plain.checkout), (Build::Release, false, true));
        let all = options(&words("--faiss k --no-checkout --dev")).unwrap();
        assert_eq!((all.build, all.faiss, all.checkout), (Build::Dev, true, false));
        assert!(options(&[]).is_err());
        let error = options(&words("k --fais")).err().unwrap();
        assert!(error.ends_with("and not --fais"), "{error}");
    }

    #[test]
    fn the_program_is_found_in_what_cargo_says() {
        let message = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"imagerag"},"executable":"/t/deps/imagerag-1f"}"#;
        assert_eq!(executable_in(message, "imagerag").as_deref(), Some("/t/deps/imagerag-1f"));
        assert_eq!(executable_in(message, "device_kit"), None);
        let library = r#"{"target":{"name":"imagerag"},"executable":null}"#;
        assert_eq!(executable_in(library, "imagerag"), None);
    }

    #[test]
    fn all_that_is_carried_is_in_the_checkout() {
        for name in CHECKOUT {
            assert!(root().join(name).exists(), "{name}");
        }
        for name in SCRIPTS {
            assert!(root().join("benches/device").join(name).is_file(), "{name}");
        }
    }
}
