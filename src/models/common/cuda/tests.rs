//! The order of loading, proven without a GPU: libraries that are not there are stubs, which define
//! every symbol that libtorch's CUDA half wants of them and do nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::models::Device;

/// Set in the process that a test starts to try one thing in a libtorch that nobody has asked yet.
const ROLE: &str = "IMAGERAG_CUDA_TEST_ROLE";

/// Libraries of which symbols are wanted without a version, by how those begin.
const UNVERSIONED: [(&str, &str); 4] = [
    ("cuFile", "libcufile.so.0"),
    ("nccl", "libnccl.so.2"),
    ("pnccl", "libnccl.so.2"),
    ("cusparseLt", "libcusparseLt.so.0"),
];

#[test]
fn libtorch_knows_of_cuda_after_work_on_the_cpu() {
    match std::env::var(ROLE).as_deref() {
        Err(_) => in_a_new_process("libtorch_knows_of_cuda_after_work_on_the_cpu", "loads first"),
        Ok("loads first") => {
            let sum = tch::Tensor::ones([2, 2], tch::kind::FLOAT_CPU).sum(None);
            assert_eq!(sum.double_value(&[]), 4.0);
            // A stub of a library is no driver: what is said of the machine's GPUs is not the question.
            drop(Device::Cuda(0).open());
            assert!(
                has_cudart(),
                "libtorch was asked about CUDA before its CUDA half was loaded: it finds no GPU, ever"
            );
            assert_eq!(load().err(), None);
        }
        Ok(role) => panic!("no role {role}"),
    }
}

#[test]
fn a_question_that_came_too_early_is_told() {
    match std::env::var(ROLE).as_deref() {
        Err(_) => in_a_new_process("a_question_that_came_too_early_is_told", "asks first"),
        Ok("asks first") => {
            assert!(!has_cudart());
            let error = Device::Cuda(0).open().unwrap_err().to_string();
            assert!(error.contains("asked about CUDA before its CUDA half was loaded"), "{error}");
        }
        Ok(role) => panic!("no role {role}"),
    }
}

#[test]
fn reasons_differ() {
    let absent = "cannot open shared object file: No such file or directory";
    let cudnn = missing(&format!("libcudnn.so.9: {absent}"));
    assert_eq!(cudnn.as_deref(), Some("libcudnn.so.9"));
    assert_eq!(missing(&format!("/x/libtorch_cuda.so: {absent}")), None);
    assert_eq!(missing("/x/libtorch_cuda.so: undefined symbol: cublasCreate_v2"), None);

    let library = LoadError::MissingLibrary("libcudnn.so.9".to_owned());
    assert!(library.to_string().contains("needs libcudnn.so.9, which is not there"), "{library}");
    assert_eq!(explain(library.clone(), true), library);
    assert_eq!(explain(library, false), LoadError::NoDriver);
    let cpu = LoadError::CpuOnly("/x/libtorch_cuda.so".into());
    assert_eq!(explain(cpu.clone(), false), cpu);
    assert_eq!(explain(LoadError::AskedTooEarly, false), LoadError::AskedTooEarly);
}

#[test]
fn what_is_loaded_by_name_is_found_beside_torch() {
    let site = tempfile::tempdir().unwrap();
    let libtorch = site.path().join("torch/lib");
    fs::create_dir_all(&libtorch).unwrap();
    for file in
        ["cu13/lib/libnvrtc.so.13", "cu13/lib/libnvrtc-builtins.so.13.0", "cudnn/lib/libcudnn.so.9"]
    {
        let path = site.path().join("nvidia").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let folders = nvidia_folders(&libtorch);
    let found = |name| folders.iter().find_map(|folder| library_in(folder, name));
    let named = |path: &str| Some(site.path().join("nvidia").join(path));
    assert_eq!(found("nvrtc"), named("cu13/lib/libnvrtc.so.13"));
    assert_eq!(found("nvrtc-builtins"), named("cu13/lib/libnvrtc-builtins.so.13.0"));
    assert_eq!(found("cudnn"), named("cudnn/lib/libcudnn.so.9"));
    assert_eq!(found("nvJitLink"), None);
}

#[allow(clippy::disallowed_methods, reason = "in a process of its own")]
fn has_cudart() -> bool {
    tch::utils::has_cudart()
}

/// Runs the test `name` of this file again, in a process where stubs stand for what CUDA lacks here.
fn in_a_new_process(name: &str, role: &str) {
    let Some(libtorch) = libtorch_folder().filter(|folder| cuda_half(folder).exists()) else {
        return eprintln!(
            "skipped: this libtorch computes on the CPU alone; LIBTORCH can name another"
        );
    };
    let stubs = tempfile::tempdir().unwrap();
    make_stubs(&libtorch, stubs.path());
    let mut paths = vec![stubs.path().to_owned()];
    let present = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    paths.extend(std::env::split_paths(&present));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("models::common::cuda::tests::{name}"), "--nocapture"])
        .env(ROLE, role)
        .env("LD_LIBRARY_PATH", std::env::join_paths(paths).unwrap())
        .output()
        .unwrap();
    let [out, err] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

fn cuda_half(libtorch: &Path) -> PathBuf {
    libtorch.join("libtorch_cuda.so")
}

/// Libraries in `folder` for those that libtorch's CUDA half needs and the system does not have.
fn make_stubs(libtorch: &Path, folder: &Path) {
    let mut halves = ["libc10_cuda.so", "libtorch_cuda.so", "libtorch_nvshmem.so"]
        .map(|name| libtorch.join(name))
        .to_vec();
    halves.retain(|half| half.exists());
    let needed: Vec<_> = halves.iter().map(|half| tool("ldd", &[half.as_os_str()])).collect();
    let missing: BTreeSet<String> =
        needed.iter().flat_map(|text| text.lines()).filter_map(not_found).collect();
    let mut wanted: BTreeMap<String, (String, BTreeSet<String>)> =
        missing.iter().map(|library| (library.clone(), Default::default())).collect();
    for half in &halves {
        let symbols = tool("nm", &["-D".as_ref(), "--undefined-only".as_ref(), half.as_os_str()]);
        for symbol in symbols.lines().filter_map(|line| line.split_whitespace().last()) {
            let (name, version) = symbol.split_once('@').unwrap_or((symbol, ""));
            let library = library_of(name, version, &missing);
            if let Some((node, names)) = library.and_then(|library| wanted.get_mut(&library)) {
                version.clone_into(node);
                names.insert(name.to_owned());
            }
        }
    }
    for (library, (version, names)) in &wanted {
        make_stub(folder, library, version, names);
    }
}

/// The library that is `not found` in a line of ldd.
fn not_found(line: &str) -> Option<String> {
    Some(line.trim().strip_suffix("=> not found")?.trim().to_owned())
}

/// The missing library that must define a symbol.
fn library_of(symbol: &str, version: &str, missing: &BTreeSet<String>) -> Option<String> {
    if version.is_empty() {
        let (_, library) = UNVERSIONED.iter().find(|(start, _)| symbol.starts_with(start))?;
        return Some((*library).to_owned());
    }
    // A version is named like the library, only NVSHMEM's is not.
    let named = if version == "NVSHMEM" { "libnvshmem_host" } else { version };
    missing.iter().find(|library| library.starts_with(named)).cloned()
}

fn make_stub(folder: &Path, library: &str, version: &str, names: &BTreeSet<String>) {
    let source = folder.join(format!("{library}.c"));
    let script = folder.join(format!("{library}.map"));
    let text = names.iter().fold(String::new(), |mut text, name| {
        writeln!(text, "void {name}(void) {{}}").unwrap();
        text
    });
    fs::write(&source, text).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-w", "-fno-builtin"]);
    compiler.arg(format!("-Wl,-soname,{library}"));
    compiler.arg("-o").arg(folder.join(library)).arg(&source);
    if !version.is_empty() {
        fs::write(&script, format!("{version} {{ global: *; }};\n")).unwrap();
        compiler.arg(format!("-Wl,--version-script={}", script.display()));
    }
    let output = compiler.output().expect("`cc`, with which torch-sys was compiled");
    assert!(output.status.success(), "{library}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What a tool prints.
fn tool(name: &str, arguments: &[&std::ffi::OsStr]) -> String {
    let output = Command::new(name).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("`{name}`: {error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
