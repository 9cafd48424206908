//! A gallery whose process is killed, whose disk is full or whose files are damaged: everything
//! that was acknowledged is there, or what is wrong is named.

use futures::executor::block_on;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use imagerag::Error;
use imagerag::embedder::Embedding;
use imagerag::gallery::{Added, Depth, Gallery, SearchOptions};

use crate::support::{empty, filled, record, vector};

/// The folder of the gallery that this process, a child of the test's, is to fill.
const FOLDER: &str = "IMAGERAG_TEST_GALLERY";
/// Steps of the child, each of which adds images, and some of which remove one or compact.
const STEPS: u64 = 400;
const IMAGES_PER_STEP: u64 = 10;

/// Starts this program again, to run the test `name` alone.
fn child(name: &str, folder: &Path, shell: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell} exec \"$@\""), "sh"]);
    command.arg(env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
    command.env(FOLDER, folder).stdout(Stdio::piped()).spawn().unwrap()
}

/// Goes through all steps; those that are done already change nothing. Says when one is
/// acknowledged.
fn build(folder: &Path) {
    let gallery = Gallery::open(folder).unwrap();
    let mut writer = gallery.writer().unwrap();
    for step in 0..STEPS {
        let ids = step * IMAGES_PER_STEP..(step + 1) * IMAGES_PER_STEP;
        if writer.by_hash(&record(ids.end - 1).hash).unwrap().is_none() {
            let batch: Vec<_> = ids.clone().map(|n| (record(n), vector(n))).collect();
            writer.add(&batch).unwrap();
        }
        if step % 4 == 3 {
            let first = writer.by_hash(&record(ids.start).hash).unwrap();
            writer.remove(&first.map(|entry| entry.id).into_iter().collect::<Vec<_>>()).unwrap();
        }
        if step % 16 == 15 {
            writer.compact().unwrap();
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nstep {step}").unwrap();
        out.flush().unwrap();
    }
}

/// Whether image `n` is there after all steps.
fn stays(n: u64) -> bool {
    !n.is_multiple_of(IMAGES_PER_STEP) || (n / IMAGES_PER_STEP) % 4 != 3
}

/// Every image of the first `steps` steps is there, is found by its own vector, and is intact.
fn holds(folder: &Path, steps: u64) {
    let gallery = Gallery::open(folder).unwrap();
    let numbers: Vec<u64> = (0..steps * IMAGES_PER_STEP).filter(|&n| stays(n)).collect();
    for numbers in numbers.chunks(250) {
        let queries: Vec<Embedding> = numbers.iter().map(|&n| vector(n)).collect();
        let found = block_on(gallery.search(&queries, &SearchOptions::new(1))).unwrap();
        for (n, found) in numbers.iter().zip(found) {
            assert_eq!(found[0].entry.record, record(*n));
        }
    }
    assert!(gallery.count().unwrap() >= numbers.len());
}

/// A number below `end` that differs from run to run.
fn random(end: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::from(now.subsec_nanos() / 7) % end
}

fn steps_in(line: &str) -> Option<u64> {
    line.strip_prefix("step ")?.parse::<u64>().ok().map(|step| step + 1)
}

#[cfg(unix)]
#[test]
fn killed_at_20_moments_it_keeps_what_it_acknowledged_and_goes_on() {
    const NAME: &str = "faults::killed_at_20_moments_it_keeps_what_it_acknowledged_and_goes_on";
    if let Some(folder) = env::var_os(FOLDER) {
        return build(folder.as_ref());
    }
    let (_folder, gallery) = empty();
    let mut most = 0;
    for _ in 0..20 {
        let mut child = child(NAME, gallery.folder(), "");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // Beyond what the last one did, so that all of the build is met; then at any moment.
        let until = most + 1 + random(16);
        let mut steps = lines.by_ref().filter_map(|line| steps_in(&line));
        let seen = steps.by_ref().find(|&step| step >= until).unwrap();
        let second = gallery.writer().unwrap_err();
        assert!(matches!(second, Error::Unavailable { .. }), "{second}");
        thread::sleep(Duration::from_micros(random(8_000)));
        child.kill().unwrap();
        let acknowledged = steps.last().unwrap_or(seen);
        assert!(!child.wait().unwrap().success(), "it was over before it was killed");
        holds(gallery.folder(), acknowledged);
        most = acknowledged;
    }
    let mut child = child(NAME, gallery.folder(), "");
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(lines.filter_map(|line| steps_in(&line)).last(), Some(STEPS));
    assert!(child.wait().unwrap().success());
    holds(gallery.folder(), STEPS);
    let all = (0..STEPS * IMAGES_PER_STEP).filter(|&n| stays(n)).count();
    assert_eq!(gallery.count().unwrap(), all);
    let problems = Gallery::verify(gallery.folder(), Depth::Gallery).problems;
    // The pictures are nowhere; all else is in order.
    let of_gallery = |e: &&Error| !e.to_string().starts_with("cannot access nowhere");
    assert_eq!(problems.iter().filter(of_gallery).count(), 0, "{problems:?}");
}

/// No file may become longer than the limit: to the writer, the disk is full.
#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_and_loses_nothing() {
    const NAME: &str = "faults::a_full_disk_is_an_error_and_loses_nothing";
    if let Some(folder) = env::var_os(FOLDER) {
        let gallery = Gallery::open(&folder).unwrap();
        let mut writer = gallery.writer().unwrap();
        let failed = (0..).find_map(|step| {
            let ids = step * IMAGES_PER_STEP..(step + 1) * IMAGES_PER_STEP;
            let batch: Vec<_> = ids.map(|n| (record(n), vector(n))).collect();
            let error = writer.add(&batch).err();
            if error.is_none() {
                println!("\nstep {step}");
            }
            error
        });
        println!("\nfailed {}", failed.unwrap());
        // It is full for the next one too, whose failure is as clear.
        let next: Vec<_> = (9_000..9_900).map(|n| (record(n), vector(n))).collect();
        println!("\nfailed {}", writer.add(&next).unwrap_err());
        return;
    }
    // In blocks of 512 or 1024 bytes. The log of the catalog grows faster than the vectors.
    for blocks in [150, 400] {
        let (_folder, gallery) = empty();
        let shell = format!("trap '' XFSZ; ulimit -f {blocks};");
        let mut child = child(NAME, gallery.folder(), &shell);
        let lines: Vec<String> =
            BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).collect();
        assert!(child.wait().unwrap().success(), "{lines:?}");
        let failed = lines.iter().filter(|line| line.starts_with("failed ")).collect::<Vec<_>>();
        assert_eq!(failed.len(), 2);
        assert!(failed[0].contains(&gallery.folder().display().to_string()), "{failed:?}");
        let acknowledged = lines.iter().rev().find_map(|line| steps_in(line)).unwrap();
        let reopened = Gallery::open(gallery.folder()).unwrap();
        assert_eq!(reopened.count().unwrap() as u64, acknowledged * IMAGES_PER_STEP);
        for n in 0..acknowledged * IMAGES_PER_STEP {
            assert_eq!(reopened.entry(n).unwrap().unwrap().record, record(n));
        }
        let mut writer = reopened.writer().unwrap();
        let next = acknowledged * IMAGES_PER_STEP;
        assert_eq!(writer.add(&[(record(next), vector(next))]).unwrap(), [Added::New(next)]);
    }
}

/// All that a gallery answers: every image and its score, best first, and every record.
fn answers(folder: &Path) -> imagerag::Result<Vec<String>> {
    let gallery = Gallery::open(folder)?;
    let found = block_on(gallery.search(&[vector(1), vector(2)], &SearchOptions::new(1_000)))?;
    let mut answers: Vec<String> = found.iter().flatten().map(|f| format!("{f:?}")).collect();
    for image in gallery.iter()? {
        answers.push(format!("{:?}", image?));
    }
    // A writer looks images up in other ways.
    let writer = gallery.writer()?;
    for n in 0..40 {
        answers.push(format!("{:?}", writer.by_hash(&record(n).hash)?));
        answers.push(format!("{:?}", writer.by_source(&record(n).source)?));
    }
    Ok(answers)
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Damages `file` of the gallery in many ways: each is an error that names the file or its
/// neighbor, or changes no answer.
fn damage(folder: &Path, file: &str, damaged: impl Iterator<Item = Vec<u8>>) -> usize {
    let work = tempfile::tempdir().unwrap();
    let copied = work.path().join("gallery");
    copy(folder, &copied);
    let expected = answers(&copied).unwrap();
    let mut found_out = 0;
    for bytes in damaged {
        copy(folder, &copied);
        fs::write(copied.join(file), &bytes).unwrap();
        let verified = Gallery::verify(&copied, Depth::Gallery);
        let is_pictures = |error: &Error| error.chain().to_string().starts_with("nowhere");
        let listed = verified.problems.iter().any(|error| !is_pictures(error));
        match answers(&copied) {
            Ok(found) => assert!(found == expected, "{file}: a wrong answer"),
            Err(error) => {
                found_out += 1;
                let said = error.chain().to_string();
                let stem = file.split('-').next().unwrap();
                assert!(said.contains(stem) || said.contains("vectors-0.f32"), "{file}: {said}");
                assert!(listed, "verify does not list: {said}");
            }
        }
    }
    found_out
}

/// `bytes` with one bit flipped, at about `places` places.
fn flipped(bytes: &[u8], places: usize) -> impl Iterator<Item = Vec<u8>> {
    let step = (bytes.len() / places).max(1);
    (0..bytes.len()).step_by(step).map(move |at| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1 << (at / step % 8);
        bytes
    })
}

fn truncated(bytes: &[u8], places: usize) -> impl Iterator<Item = Vec<u8>> {
    let step = (bytes.len() / places).max(1);
    (0..bytes.len()).step_by(step).map(move |length| bytes[..length].to_vec())
}

#[test]
fn a_damaged_file_is_named() {
    let (_folder, gallery) = filled(40, 16);
    gallery.writer().unwrap().remove(&[5]).unwrap();
    let folder = gallery.folder().to_owned();
    drop(gallery);
    for (file, all) in [
        ("gallery.json", true),
        ("vectors-0.f32", true),
        ("acknowledged", false),
        ("catalog.sqlite", false),
    ] {
        let bytes = fs::read(folder.join(file)).unwrap();
        let flips = damage(&folder, file, flipped(&bytes, 300));
        let cuts = damage(&folder, file, truncated(&bytes, 40));
        assert!(flips > 0 && cuts > 0, "{file}: {flips} flips and {cuts} cuts were found out");
        if all {
            let places = flipped(&bytes, 300).count();
            assert_eq!(flips, places, "{file}");
        }
    }
}

/// What has not yet gone from SQLite's log into the catalog.
#[test]
fn a_damaged_log_is_found_out() {
    let (_folder, gallery) = filled(40, 16);
    // While a writer lives, so does the log.
    let mut writer = gallery.writer().unwrap();
    writer.remove(&[5]).unwrap();
    writer.set_captions(&[(6, "changed")]).unwrap();
    let kept = tempfile::tempdir().unwrap();
    copy(gallery.folder(), kept.path());
    fs::remove_file(kept.path().join("catalog.sqlite-shm")).unwrap();
    let file = "catalog.sqlite-wal";
    let bytes = fs::read(kept.path().join(file)).unwrap();
    let flips = damage(kept.path(), file, flipped(&bytes, 200));
    let cuts = damage(kept.path(), file, truncated(&bytes, 30));
    assert!(flips > 100 && cuts > 20, "{flips} flips and {cuts} cuts were found out");
}

#[test]
fn a_missing_file_is_named() {
    for file in ["gallery.json", "catalog.sqlite", "vectors-0.f32", "acknowledged"] {
        let (_folder, gallery) = filled(10, 10);
        fs::remove_file(gallery.folder().join(file)).unwrap();
        let error = Gallery::open(gallery.folder()).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        assert!(error.chain().to_string().contains(file), "{error}");
        let verified = Gallery::verify(gallery.folder(), Depth::Gallery);
        assert!(verified.problems.iter().any(|e| e.to_string().contains(file)));
    }
}

/// Vectors behind those that the catalog knows of were never acknowledged.
#[test]
fn a_torn_tail_is_cut_off() {
    let (_folder, gallery) = filled(10, 10);
    let path = gallery.folder().join("vectors-0.f32");
    let whole = fs::read(&path).unwrap();
    let mut torn = whole.clone();
    torn.extend([7; 55]);
    fs::write(&path, torn).unwrap();
    assert_eq!(Gallery::open(gallery.folder()).unwrap().count().unwrap(), 10);
    let mut writer = gallery.writer().unwrap();
    assert_eq!(fs::read(&path).unwrap(), whole);
    writer.add(&[(record(10), vector(10))]).unwrap();
    let found = block_on(gallery.search(&[vector(10)], &SearchOptions::new(1))).unwrap();
    assert_eq!(found[0][0].entry.id, 10);
}

#[test]
fn a_folder_that_is_no_gallery_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Gallery::open(folder.path()), Err(Error::Io { .. })));
    fs::write(folder.path().join("mine.txt"), "kept").unwrap();
    let fingerprint = imagerag::gallery::Fingerprint::named("a test", 3).unwrap();
    let error = Gallery::create(folder.path(), &fingerprint).unwrap_err();
    assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
    assert_eq!(fs::read(folder.path().join("mine.txt")).unwrap(), b"kept");
}

/// Readers see each batch whole or not at all, while images come, go, and are numbered anew.
#[test]
fn readers_are_right_at_every_moment_of_a_writer() {
    const BATCHES: u64 = 60;
    let (_folder, gallery) = filled(50, 50);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|shared| {
                let (gallery, over) = (&gallery, &over);
                scope.spawn(move || {
                    // One shares the writer's process' gallery, the other opens its own.
                    let own = Gallery::open(gallery.folder()).unwrap();
                    let gallery = if shared == 0 { gallery } else { &own };
                    let mut searches = 0;
                    while !over.load(Ordering::Relaxed) {
                        let all = SearchOptions::new(100_000);
                        let found = block_on(gallery.search(&[vector(1)], &all)).unwrap().remove(0);
                        assert_eq!(found[0].entry.record, record(1));
                        for found in &found {
                            let n = number(&found.entry.record);
                            let score = vector(1).similarity(&vector(n));
                            assert!((found.score - score).abs() < 1e-5);
                        }
                        let numbers: BTreeSet<u64> =
                            found.iter().map(|found| number(&found.entry.record)).collect();
                        assert_eq!(numbers.len(), found.len());
                        assert_eq!(numbers.iter().filter(|n| **n >= 50).count() % 10, 0);
                        searches += 1;
                    }
                    searches
                })
            })
            .collect();
        let mut writer = gallery.writer().unwrap();
        for batch in 5..5 + BATCHES {
            let images: Vec<_> =
                (10 * batch..10 * batch + 10).map(|n| (record(n), vector(n))).collect();
            let added = writer.add(&images).unwrap();
            if batch % 3 == 0 {
                let ids: Vec<u64> = added.iter().map(|added| added.id()).collect();
                writer.remove(&ids).unwrap();
            }
            if batch % 10 == 0 {
                writer.compact().unwrap();
            }
        }
        over.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
    assert_eq!(gallery.count().unwrap() as u64, 50 + 10 * BATCHES - 10 * (BATCHES / 3));
}

/// The number from which `record` was made.
fn number(record: &imagerag::gallery::ImageRecord) -> u64 {
    record.source.trim_start_matches("nowhere/").trim_end_matches(".png").parse().unwrap()
}

/// A medium that cannot be written, such as a disc, where SQLite cannot make its log's index. To
/// the superuser every folder can.
#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_can_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, gallery) = filled(10, 10);
    let folder = gallery.folder().to_owned();
    drop(gallery);
    for name in ["catalog.sqlite-wal", "catalog.sqlite-shm"] {
        let _ = fs::remove_file(folder.join(name));
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    let gallery = Gallery::open(&folder).unwrap();
    let found = block_on(gallery.search(&[vector(3)], &SearchOptions::new(1))).unwrap();
    assert_eq!(found[0][0].entry.record, record(3));
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
}
