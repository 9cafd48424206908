use crate::results::World;
use imagerag::evaluation::report::Report;

#[test]
fn smoke() {
    let folder = tempfile::tempdir().unwrap();
    let results = World::new(10).write(folder.path());
    let files = Report::of(&results).write(folder.path().join("report")).unwrap();
    for file in &files {
        eprintln!("{}", file.display());
    }
    if let Some(to) = std::env::var_os("KEEP") {
        let to = std::path::PathBuf::from(to);
        for suffix in ["", crate::results::HOSTILE] {
            let folder = to.join(if suffix.is_empty() { "plain" } else { "hostile" });
            let mut world = World::new(if suffix.is_empty() { 100 } else { 12 });
            world.suffix = suffix;
            let results = world.write(&folder);
            Report::of(&results)
                .with_title("Birds")
                .with_inline_pictures(1000)
                .write(folder.join("report"))
                .unwrap();
        }
    }
    eprintln!("{}", std::fs::read_to_string(&files[0]).unwrap());
    eprintln!("{}", std::fs::read_to_string(&files[1]).unwrap());
    eprintln!("{}", std::fs::read_to_string(&files[4]).unwrap());
}
