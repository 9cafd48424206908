//! Files that SciPy writes, and what is left of them when they are damaged.

use super::*;
use crate::evaluation::dataset::tests::fixture;

fn read(bytes: &[u8]) -> Result<Mat> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mat");
    std::fs::write(&path, bytes).unwrap();
    Mat::read(&path)
}

#[test]
fn numbers_of_either_order_of_bytes_are_read() {
    let labels = |file| Mat::read(&fixture(file)).unwrap().numbers("labels").unwrap();
    assert_eq!(labels("flowers/imagelabels.mat"), [1, 1, 1, 2, 2, 2, 3, 3, 3]);
    assert_eq!(labels("big_endian.mat"), [3, 1, 2]);
    let ids = Mat::read(&fixture("flowers/setid.mat")).unwrap();
    assert_eq!(ids.numbers("tstid").unwrap(), [3, 6, 9]);
}

#[test]
fn cells_and_structs_are_read() {
    let names = Mat::read(&fixture("cars-devkit/devkit/cars_meta.mat")).unwrap();
    let names = names.texts("class_names").unwrap();
    assert_eq!(names[1], "Ram C/V Cargo Van Minivan 2012");
    let mat = Mat::read(&fixture("cars-devkit/devkit/cars_train_annos.mat")).unwrap();
    let records = mat.records("annotations").unwrap();
    assert_eq!(records.len(), 6);
    let last = &records[5];
    assert_eq!(
        (mat.text(last, "fname").unwrap(), mat.number(last, "class").unwrap()),
        ("00006.jpg".into(), 3)
    );
    let error = mat.number(last, "label").unwrap_err().to_string();
    assert!(
        error.ends_with(
            "fields: expected label, found bbox_x1, bbox_y1, bbox_x2, bbox_y2, class, fname"
        ),
        "{error}"
    );
}

#[test]
fn what_is_asked_for_and_not_there_is_told() {
    let mat = Mat::read(&fixture("flowers/setid.mat")).unwrap();
    let error = mat.numbers("testid").unwrap_err().to_string();
    assert!(error.ends_with("variables: expected testid, found trnid, valid, tstid"), "{error}");
    let error = mat.texts("trnid").unwrap_err().to_string();
    assert!(error.ends_with("trnid: expected cells with texts, found numbers"), "{error}");
}

#[test]
fn other_versions_are_named() {
    let mut hdf5 = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".to_vec();
    hdf5.resize(124, b' ');
    hdf5.extend(b"\0\x02IM");
    for (bytes, found) in [
        (&hdf5[..], "version 7.3, which is HDF5"),
        (b"<html>", "6 bytes"),
        (&[0; 200], "another header"),
    ] {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.contains("version 5") && error.ends_with(found), "{error}");
    }
}

#[test]
fn damaged_files_are_errors_or_other_numbers_and_never_a_panic() {
    let files = [
        "flowers/setid.mat",
        "big_endian.mat",
        "dogs/train_list.mat",
        "cars-devkit/devkit/cars_train_annos.mat",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    let mut refused = 0;
    for path in files.map(fixture) {
        let whole = std::fs::read(&path).unwrap();
        let plain = inflated(&whole, &path);
        for bytes in [&whole, &plain] {
            for _ in 0..400 {
                let mut damaged = bytes[..random.usize(..=bytes.len())].to_vec();
                refused += usize::from(read(&damaged).is_err());
                damaged.clone_from(bytes);
                for _ in 0..random.usize(1..8) {
                    let at = random.usize(..damaged.len());
                    damaged[at] = random.u8(..);
                }
                refused += usize::from(read(&damaged).is_err());
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}

/// The same file with its elements as they are without compression.
fn inflated(bytes: &[u8], path: &Path) -> Vec<u8> {
    use std::io::Read;
    let (mut plain, mut rest) = (bytes[..128].to_vec(), &bytes[128..]);
    while let [15, 0, 0, 0, a, b, c, d, data @ ..] = rest {
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        flate2::read::ZlibDecoder::new(&data[..length]).read_to_end(&mut plain).unwrap();
        rest = &data[length..];
    }
    plain.extend(rest);
    assert_eq!(Mat::read(path).unwrap().variables, read(&plain).unwrap().variables);
    plain
}
