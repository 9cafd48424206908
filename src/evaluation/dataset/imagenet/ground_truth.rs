//! The files that say what ImageNet's validation pictures show to classes by the stem of the file.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::files::{self, text_lines, without_gaps};
use super::super::lists::Once;
use super::{VALIDATION, is_wnid, names};
use crate::{Error, Result, lenient};

const KAGGLE: &str = "LOC_val_solution.csv";
const DEVKIT: &str = "ILSVRC2012_validation_ground_truth.txt";

/// Classes by the stem of the picture's file.
pub(super) type Truth = Once<String>;

/// The classes of validation pictures, such as `ILSVRC2012_val_00000001`.
pub(super) fn read(root: &Path, listed: Option<&names::Listed>) -> Result<Truth> {
    if let Some(file) = names::find(root, KAGGLE) {
        return kaggle(&file);
    }
    let Some(folder) = names::devkit(root, DEVKIT) else {
        let expected = "folders of classes in val/, LOC_val_solution.csv, or the devkit's \
             ILSVRC2012_validation_ground_truth.txt with meta.mat";
        return Err(Error::invalid_file(root, "classes of val/", expected, "none of them"));
    };
    let read;
    let numbers = match listed {
        Some(listed) if !listed.by_number.is_empty() => &listed.by_number,
        _ => {
            read = names::meta(&folder.join("meta.mat"))?.by_number;
            &read
        }
    };
    devkit(&folder.join(DEVKIT), numbers)
}

/// Rows as `ILSVRC2012_val_00048981,n03995372 85 1 499 272`.
fn kaggle(file: &Path) -> Result<Truth> {
    let bytes = files::required(file)?;
    let mut classes = Truth::each("picture");
    for line in text_lines(&lenient::text(&bytes)) {
        let mut columns = line.text.split(',').map(|column| column.trim().trim_matches('"'));
        let (image, prediction) = (columns.next().unwrap_or_default(), columns.next());
        let class = prediction.and_then(|words| words.split_whitespace().next());
        match class {
            Some(class) if is_wnid(class) => {
                classes.insert(line.at(file), image, class.to_owned())?;
            }
            _ if line.number == 1 => {} // ImageId,PredictionString
            _ => return Err(line.invalid(file, "an image and n01440764 with boxes")),
        }
    }
    Ok(classes)
}

/// One number on each line, of the pictures in the order of their names. The numbers are the devkit's own,
/// from 1, and in another order than the identifiers.
fn devkit(file: &Path, numbers: &BTreeMap<u64, String>) -> Result<Truth> {
    let mut classes = Truth::each("picture");
    for (at, line) in without_gaps(file, files::lines(file)?)?.iter().enumerate() {
        let class = line.text.parse().ok().and_then(|number: u64| numbers.get(&number));
        let class = class.ok_or_else(|| line.invalid(file, "an ILSVRC2012_ID of meta.mat"))?;
        classes.insert(line.at(file), &format!("{VALIDATION}{:08}", at + 1), class.clone())?;
    }
    Ok(classes)
}
