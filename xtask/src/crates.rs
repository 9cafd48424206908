//! Turns what cargo knows of other people's crates into an answer: may we use them, and with which Rust.

use crate::commands::without_libtorch;
use crate::root;
use crate::shell::{self, Result};
use std::fs;

/// Crates that want a newer Rust than ours, with the one feature that brings them. Its row in the
/// README's table says so.
const NEWER: [(&str, &str); 1] = [("sysinfo", "hub")];
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What `cargo metadata` says of a crate.
#[derive(Debug, PartialEq)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    rust_version: Option<String>,
}

/// Checks licenses, sources and Rust versions of every crate that any feature brings.
///
/// # Errors
/// Lists every crate that is not allowed, and why.
pub fn check() -> Result<()> {
    let mut metadata =
        without_libtorch(&["metadata", "--format-version", "1", "--all-features", "--locked"]);
    let packages = packages(&shell::printed(metadata.current_dir(root()))?);
    let ours = packages.iter().find(|package| package.name == "imagerag");
    let ours = ours.and_then(|package| package.rust_version.as_deref()).unwrap_or_default();
    let rules = root().join(".cargo/deny.toml");
    let rules =
        fs::read_to_string(&rules).map_err(|error| format!("{}: {error}", rules.display()))?;
    let (allowed, clarified) =
        (quoted_in(&rules, "allow = ["), quoted_in(&rules, "[[licenses.clarify]]"));
    let wrong: Vec<String> = packages
        .iter()
        .filter(|package| package.source.is_some() && !clarified.contains(&package.name.as_str()))
        .filter_map(|package| {
            Some(format!(
                "{} {}: {}",
                package.name,
                package.version,
                fault(package, &allowed, ours)?
            ))
        })
        .collect();
    if packages.is_empty() || !wrong.is_empty() {
        return Err(format!("{} crates that may not be used:\n{}", wrong.len(), wrong.join("\n")));
    }
    shell::say(&format!(
        "{} crates: their licenses, sources and Rust versions are allowed",
        packages.len()
    ));
    Ok(())
}

/// Why `package` may not be used with Rust `ours`, if so.
fn fault(package: &Package, allowed: &[&str], ours: &str) -> Option<String> {
    let license = package.license.as_deref().unwrap_or("none");
    if !permits(license, allowed) {
        return Some(format!("its license is {license}, which .cargo/deny.toml does not allow"));
    }
    if let Some(source) = package.source.as_deref().filter(|source| *source != CRATES_IO) {
        return Some(format!("it comes from {source}"));
    }
    let rust = package.rust_version.as_deref().unwrap_or("1");
    let is_newer =
        numbers(rust) > numbers(ours) && !NEWER.iter().any(|(name, _)| *name == package.name);
    is_newer.then(|| format!("it wants Rust {rust}, and `rust-version` is {ours}"))
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').take(2).filter_map(|number| number.parse().ok()).collect()
}

/// Whether an SPDX expression lets us choose licenses that are all in `allowed`.
fn permits(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let spaced = spaced.replace(" WITH ", "-WITH-");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    any_of(&mut rest, allowed) && rest.is_empty()
}

fn any_of(rest: &mut &[&str], allowed: &[&str]) -> bool {
    let mut permitted = all_of(rest, allowed);
    while let ["OR", after @ ..] = *rest {
        *rest = after;
        permitted |= all_of(rest, allowed);
    }
    permitted
}

fn all_of(rest: &mut &[&str], allowed: &[&str]) -> bool {
    let mut permitted = one_of(rest, allowed);
    while let ["AND", after @ ..] = *rest {
        *rest = after;
        permitted &= one_of(rest, allowed);
    }
    permitted
}

fn one_of(rest: &mut &[&str], allowed: &[&str]) -> bool {
    let Some((first, after)) = rest.split_first() else { return false };
    *rest = after;
    if *first != "(" {
        return allowed.contains(&first.replace("-WITH-", " WITH ").as_str());
    }
    let permitted = any_of(rest, allowed);
    *rest = rest.get(1..).unwrap_or_default();
    permitted
}

/// What stands in quotation marks between `head` and the end of its list or table.
fn quoted_in<'a>(toml: &'a str, head: &str) -> Vec<&'a str> {
    let lines = toml.lines().skip_while(|line| line.trim() != head).skip(1);
    let lines = lines.take_while(|line| !line.trim().is_empty() && line.trim() != "]");
    lines.filter_map(|line| line.split('"').nth(1)).collect()
}

/// The packages in the output of `cargo metadata`, which writes a package's fields in a fixed order.
fn packages(metadata: &str) -> Vec<Package> {
    let starts = metadata.match_indices(r#"{"name":""#).map(|(at, _)| at);
    let starts: Vec<usize> = starts
        .filter(|at| {
            metadata[at + 9..]
                .split_once('"')
                .is_some_and(|(_, rest)| rest.starts_with(r#","version":"#))
        })
        .collect();
    let ends = starts.iter().skip(1).copied().chain([metadata.len()]);
    let field = |text: &str, name: &str| {
        let value = text.split_once(&format!("\"{name}\":"))?.1.strip_prefix('"')?;
        Some(value.split_once('"')?.0.to_owned())
    };
    let package = |text: &str| {
        Some(Package {
            name: field(text, "name")?,
            version: field(text, "version")?,
            license: field(text, "license"),
            source: field(text, "source"),
            rust_version: field(text, "rust_version"),
        })
    };
    starts.iter().zip(ends).filter_map(|(start, end)| package(&metadata[*start..end])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_licenses() {
        let permits = |expression| {
            permits(expression, &["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"])
        };
        assert!(permits("MIT") && permits("GPL-3.0 OR MIT") && permits("GPL-3.0/MIT"));
        assert!(
            permits("(MIT OR GPL-3.0) AND Apache-2.0") && permits("Apache-2.0 WITH LLVM-exception")
        );
        assert!(
            !permits("MIT AND GPL-3.0") && !permits("none") && !permits("") && !permits("MIT MIT")
        );
        assert!(!permits("(MIT OR Apache-2.0) AND GPL-3.0"));
    }

    #[test]
    fn packages_of_metadata() {
        let metadata = format!(
            r#"{{"packages":[{{"name":"a","version":"1.0.0","id":"x","license":"MIT","description":"is \"it\"","source":"{CRATES_IO}","dependencies":[{{"name":"b","source":"{CRATES_IO}","req":"^1"}}],"rust_version":"1.95"}},{{"name":"b","version":"0.1.0","id":"y","license":null,"source":"git+https://x","dependencies":[],"rust_version":null}}]}}"#
        );
        let [a, b] = &packages(&metadata)[..] else { panic!("two packages") };
        assert_eq!((a.name.as_str(), a.license.as_deref()), ("a", Some("MIT")));
        let newer = fault(a, &["MIT"], "1.89").unwrap();
        assert_eq!(newer, "it wants Rust 1.95, and `rust-version` is 1.89");
        assert_eq!(fault(a, &["MIT"], "1.95"), None);
        assert!(fault(b, &["MIT"], "1.89").unwrap().starts_with("its license is none"));
        assert!(fault(b, &["none"], "1.89").unwrap().starts_with("it comes from git"));
    }

    #[test]
    fn lists_of_the_rules() {
        let rules = "[licenses]\nallow = [\n    \"MIT\", # so\n    \"ISC\",\n]\n\n[[licenses.clarify]]\ncrate = \"x\"\n";
        assert_eq!(quoted_in(rules, "allow = ["), ["MIT", "ISC"]);
        assert_eq!(quoted_in(rules, "[[licenses.clarify]]"), ["x"]);
    }
}
