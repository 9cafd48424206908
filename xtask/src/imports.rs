//! Turns the sources into their imports, and fails on one that no line of the tables below allows.
//!
//! The design gives the directions: pipeline → generator, critic, retriever, gallery → conditioner, index,
//! embedder → vlm, models, reference → image, net, error. So no part imports `pipeline`. An import that is
//! not in the tables is a decision: the line that allows it is written by hand.

use crate::root;
use crate::shell::Result;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What every room may import: they stand below all others, and import each other alone.
const FREE: [&str; 13] = [
    "atomic_file",
    "error",
    "forward",
    "lenient",
    "license",
    "named",
    "path_text",
    "pool",
    "regular_file",
    "seconds",
    "text",
    "usage",
    "weight_name",
];

/// The rooms of `src/`, from top to bottom, and what each may import beside [`FREE`] and itself.
const ROOMS: &[(&str, &str)] = &[
    (
        "evaluation",
        "pipeline generator critic retriever conditioner gallery embedder vlm folder page reference image models",
    ),
    ("middleware", "generator critic retriever conditioner index embedder vlm reference image net"),
    ("pipeline", "generator critic retriever conditioner embedder vlm page reference image"),
    ("generator", "conditioner models image net"),
    ("critic", "embedder vlm reference image"),
    ("gallery", "retriever embedder index folder reference image"),
    ("retriever", "index embedder vlm folder reference image net"),
    ("conditioner", "models reference image"),
    ("index", "embedder"),
    ("embedder", "models image net"),
    ("vlm", "image net"),
    ("models", "image"),
    ("folder", "reference image"),
    ("reference", "image"),
    ("hub", "net"),
    ("net", "image"),
    ("page", "image"),
    ("image", ""),
];

/// The same inside `src/models/`: families of networks, and what they share.
const FAMILIES: &[(&str, &str)] = &[
    ("ip_adapter", "sdxl common"),
    ("clip", "common"),
    ("dino", "common"),
    ("flux", "common"),
    ("omnigen", "tokenizers common"),
    ("pixart", "common"),
    ("sdxl", "common"),
    ("siglip", "common"),
    ("t5", "common"),
    ("vae", "common"),
    ("schedule", "common"),
    ("tokenizers", "common"),
    ("model_index", "common"),
    ("common", ""),
];

/// Checks every file under `src/`.
///
/// # Errors
/// Lists each import that is not allowed, by file.
pub fn check() -> Result<()> {
    let src = root().join("src");
    let mut wrong = breaches(&src, ROOMS, &FREE, &["lib", "testing", "fuzzing"])?;
    wrong.extend(breaches(&src.join("models"), FAMILIES, &[], &["mod", "inventory"])?);
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("imports against the directions in xtask/src/imports.rs:\n{}", wrong.join("\n")))
}

/// The imports in `folder` that `table` does not allow, each as a line of text. `any` may import all.
fn breaches(
    folder: &Path,
    table: &[(&str, &str)],
    free: &[&str],
    any: &[&str],
) -> Result<Vec<String>> {
    let mut allowed: BTreeMap<&str, Vec<&str>> =
        table.iter().map(|(room, to)| (*room, to.split_whitespace().collect())).collect();
    free.iter().for_each(|room| drop(allowed.insert(room, Vec::new())));
    let inner = folder.file_name().is_some_and(|name| name == "models");
    let modules = if inner { vec!["models".to_owned()] } else { Vec::new() };
    let names = reexports(&read(&folder.join(if inner { "mod.rs" } else { "lib.rs" }))?);
    let mut wrong = Vec::new();
    for (file, text) in sources(folder)? {
        let parts = module_of(&file, folder, &modules);
        let Some(room) = parts.get(modules.len()).filter(|room| !any.contains(&room.as_str()))
        else {
            continue;
        };
        let Some(to) = allowed.get(room.as_str()) else {
            wrong.push(format!("{room} has no line of its own"));
            continue;
        };
        for path in paths(&text, &parts) {
            let Some(name) = path.strip_prefix(&modules[..]).and_then(<[String]>::first) else {
                continue;
            };
            let target = names.get(name).unwrap_or(name);
            let known = allowed.contains_key(target.as_str()) || any.contains(&target.as_str());
            if known
                && target != room
                && !free.contains(&target.as_str())
                && !to.contains(&target.as_str())
            {
                wrong.push(format!("{}: {room} imports {target}", file.display()));
            }
        }
    }
    wrong.dedup();
    Ok(wrong)
}

/// Every file of Rust under `folder` that is not of tests alone, with its code.
fn sources(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let (mut found, mut tests) = (Vec::new(), Vec::new());
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let (text, modules) = without_tests(&code(&read(&path)?));
                tests.extend(modules.iter().map(|name| folder.join(name)));
                found.push((path, text));
            }
        }
    }
    found.retain(|(path, _)| {
        let module = path.with_extension("");
        let is_test =
            module.file_name().is_some_and(|name| name.to_string_lossy().ends_with("tests"));
        !is_test && !tests.iter().any(|test| module.starts_with(test))
    });
    found.sort();
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// `retriever::rerank::bm25` of `src/retriever/rerank/bm25.rs`.
fn module_of(file: &Path, folder: &Path, outer: &[String]) -> Vec<String> {
    let inner = file.strip_prefix(folder).unwrap_or(file).with_extension("");
    let names = inner.iter().map(|name| name.to_string_lossy().into_owned());
    let mut parts: Vec<String> = outer.iter().cloned().chain(names).collect();
    if parts.len() > outer.len() + 1 && parts.last().is_some_and(|name| name == "mod") {
        parts.pop();
    }
    parts
}

/// `text` without comments and what stands in quotation marks.
fn code(text: &str) -> String {
    let (mut code, mut rest) = (String::new(), text);
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            'r' if rest.starts_with("r#\"") => rest.find("\"#").map_or(rest.len(), |end| end + 2),
            '"' => quoted(rest),
            '\'' if rest.starts_with("'\"'") => 3,
            '\'' if rest.starts_with("'\\") => rest[2..].find('\'').map_or(2, |end| end + 3),
            _ => 0,
        };
        if skipped == 0 {
            code.push(c);
        }
        rest = &rest[skipped.max(if skipped == 0 { c.len_utf8() } else { 0 })..];
    }
    code
}

/// How long the string literal is that `text` begins with.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().enumerate().skip(1).find(|(_, byte)| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(end, _)| end + 1)
}

/// `code` without what `#[cfg(test)]` stands before, and the names of the modules in files of their own
/// that it stands before.
fn without_tests(code: &str) -> (String, Vec<String>) {
    let (mut kept, mut modules) = (String::new(), Vec::new());
    // What is left of `#[cfg(all(test, feature = "…"))]` without the quotation.
    let code = code.replace("#[cfg(all(test, feature = ))]", "#[cfg(test)]");
    let mut pieces = code.split("#[cfg(test)]");
    kept.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        // A field ends with its comma, an item with a semicolon or a block.
        let is_field =
            piece.find([',', '{', ';', '(']).is_some_and(|at| piece[at..].starts_with(','));
        let ends: &[char] = if is_field { &[','] } else { &['{', ';'] };
        let end = piece.find(ends).unwrap_or(piece.len());
        let mut depth = 0;
        let after = match piece.as_bytes().get(end) {
            Some(b'{') => piece[end..].char_indices().find(|(_, c)| {
                depth += i32::from(*c == '{') - i32::from(*c == '}');
                depth == 0
            }),
            _ => {
                let item = piece[..end].trim();
                modules.extend(item.rsplit_once("mod ").map(|(_, name)| name.to_owned()));
                None
            }
        };
        kept.push_str(&piece[(end + after.map_or(0, |(at, _)| at) + 1).min(piece.len())..]);
    }
    (kept, modules)
}

/// The paths from the crate's root that `code` names in the module `parts`, by `crate::` or by `super::`.
fn paths(code: &str, parts: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(['$', '_']) || code[..at].ends_with(char::is_alphanumeric) {
            continue;
        }
        expand(&code[at + "crate::".len()..], Vec::new(), &mut found);
    }
    let mut rest = code;
    while let Some(at) = rest.find("super::") {
        let mut after = &rest[at..];
        let mut base = parts.to_vec();
        while let Some(inner) = after.strip_prefix("super::") {
            base.pop();
            after = inner;
        }
        expand(after, base, &mut found);
        rest = after;
    }
    found
}

/// Adds the paths of the tree that `text` begins with, such as `a::{b, c::d}`. Returns how long it is.
fn expand(text: &str, mut base: Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        if rest.starts_with('{') {
            at += 1;
            while let Some(c) = text[at..].chars().next().filter(|c| *c != '}') {
                let is_name = c.is_alphanumeric() || c == '_' || c == '{';
                at += if is_name { expand(&text[at..], base.clone(), found) } else { c.len_utf8() };
            }
            return (at + 1).min(text.len());
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        base.push(rest[..end].to_owned());
        at += end;
        if !text[at..].starts_with("::") {
            found.push(base);
            return at.max(1);
        }
        at += 2;
    }
}

/// The room of each name that `pub use room::{Name, …}` puts at the root.
fn reexports(root: &str) -> BTreeMap<String, String> {
    let code = code(root);
    let mut found = Vec::new();
    for (at, word) in code.match_indices("pub use ") {
        expand(&code[at + word.len()..], Vec::new(), &mut found);
    }
    found
        .into_iter()
        .filter_map(|path| Some((path.last()?.clone(), path.first()?.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imported(code: &str, module: &str) -> Vec<String> {
        let parts: Vec<String> = module.split("::").map(str::to_owned).collect();
        paths(code, &parts).iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn every_way_to_name_a_room_is_seen() {
        assert_eq!(imported("use crate::image::Image;", "vlm"), ["image::Image"]);
        let trees = "use crate::{\n    net::{self, Client},\n    pipeline::run::*, Error,\n};";
        let flat = ["net::self", "net::Client", "pipeline::run", "Error"];
        assert!(
            flat.iter()
                .all(|path| imported(trees, "vlm").iter().any(|found| found.starts_with(path)))
        );
        assert_eq!(imported("fn f() -> crate::pipeline::Stage {}", "vlm"), ["pipeline::Stage"]);
        assert_eq!(
            imported("use super::super::pipeline::Stage;", "vlm::chat"),
            ["pipeline::Stage"]
        );
        assert_eq!(imported("use super::chat::Chat;", "vlm::parse"), ["vlm::chat::Chat"]);
        assert!(imported("use some_crate::pipeline; $crate::pipeline", "vlm").is_empty());
    }

    #[test]
    fn words_and_tests_import_nothing() {
        let text = "//! [`crate::pipeline`]\nlet a = \"crate::\\\"pipeline\"; let b = '\"'; /* crate::x */ let c: &'a str;";
        assert!(!code(text).contains("crate::"), "{}", code(text));
        let tests = "use a;\n#[cfg(test)]\nmod tests { fn f() { crate::testing::x() } }\nuse b;\n#[cfg(test)]\nmod golden;\n#[cfg(test)]\npub(crate) use crate::testing::Y;";
        let (kept, modules) = without_tests(tests);
        assert_eq!(kept.split_whitespace().collect::<String>(), "usea;useb;");
        assert_eq!(modules, ["golden"]);
    }

    #[test]
    fn a_reexported_name_belongs_to_its_room() {
        let names = reexports("pub use error::{Error, Result};\npub use image::Image;");
        assert_eq!(names["Result"], "error");
        assert_eq!(names["Image"], "image");
    }

    #[test]
    fn a_part_that_imports_the_pipeline_is_named() {
        let folder = std::env::temp_dir().join(format!("imagerag-imports-{}", std::process::id()));
        fs::create_dir_all(folder.join("retriever")).unwrap();
        fs::write(folder.join("lib.rs"), "pub use pipeline::RagRequest;").unwrap();
        fs::write(folder.join("pipeline.rs"), "use crate::retriever::Retriever;").unwrap();
        fs::write(folder.join("retriever/mod.rs"), "use crate::RagRequest;").unwrap();
        let wrong =
            breaches(&folder, &[("pipeline", "retriever"), ("retriever", "")], &[], &["lib"]);
        fs::remove_dir_all(&folder).unwrap();
        let wrong = wrong.unwrap();
        assert!(wrong.len() == 1 && wrong[0].ends_with("retriever imports pipeline"), "{wrong:?}");
    }

    #[test]
    fn our_own_sources_keep_the_directions() {
        check().unwrap();
    }
}
