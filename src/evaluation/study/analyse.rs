//! [`analyse`]: the key and files of answers to an [`Analysis`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::analysis::{Analysis, Dropped, LeftOut};
use super::answers::{self, Sheet};
use super::count::Choices;
use super::key;
use super::valid::Key;
use crate::Result;
use crate::evaluation::statistics::Resampling;

/// Reads the key that [`Study::write`](super::Study::write) wrote, and the answers: files, or folders of
/// them. A file is what participants downloaded (JSON or CSV), the code that they copied, or what the
/// address of [`Study::post_to`](super::Study::post_to) received, also many behind each other.
///
/// A participant counts once: where several files are theirs, the one with most answers. Who fails more
/// attention checks than the study states is dropped; a check that is not answered where all the rest is
/// counts as failed. An answer is left out where the study does not have it (its page, question, image or
/// side), and where no image was shown before it; of several to one question the last counts. What is left
/// out for any reason is named. Where nothing is usable, the analysis has 0 participants.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) and [`Error::InvalidFile`](crate::Error::InvalidFile) for the key, and
/// for paths that are not there. A file of answers that makes no sense is left out.
pub fn analyse(
    key: impl AsRef<Path>,
    answers: &[PathBuf],
    resampling: Resampling,
) -> Result<Analysis> {
    let key = Key::new(key::read(key.as_ref())?);
    let (mut analysis, mut sheets) =
        (Analysis::default(), BTreeMap::<String, (String, Sheet)>::new());
    analysis.study.clone_from(&key.rows[0].study);
    analysis.version.clone_from(&key.rows[0].version);
    for path in answers::files(answers)? {
        let file = answers::name(&path);
        let (found, wrong) = answers::read(&path);
        for mut sheet in found {
            let why = key.check(&mut sheet).into_iter();
            analysis.left_out.extend(why.map(|reason| LeftOut { file: file.clone(), reason }));
            if !sheet.answers.is_empty() {
                take(&mut sheets, &mut analysis.left_out, &file, sheet);
            }
        }
        analysis.left_out.extend(wrong.map(|reason| LeftOut { file: file.clone(), reason }));
    }
    let mut kept: Vec<Sheet> = Vec::new();
    for (_, sheet) in sheets.into_values() {
        let (failed, checks, open) = key.checks(&sheet);
        if failed > key.rows[0].max_failed_checks {
            analysis.dropped.push(Dropped { participant: sheet.participant, failed, checks });
        } else {
            analysis.unchecked += usize::from(open > 0);
            kept.push(sheet);
        }
    }
    analysis.participants = kept.len();
    let choices = Choices::new(&key, &kept);
    let all = key.rows[0].answers_per_participant;
    analysis.partial = kept.iter().filter(|sheet| sheet.answers.len() < all).count();
    analysis.answers = choices.len();
    analysis.left = choices.left();
    analysis.preferences = choices.preferences(resampling);
    analysis.strengths = choices.strengths(resampling);
    analysis.contains = choices.contains(resampling);
    analysis.paired = choices.paired();
    Ok(analysis)
}

/// Keeps the sheet with more answers of the two that name the same participant.
fn take(
    sheets: &mut BTreeMap<String, (String, Sheet)>,
    left_out: &mut Vec<LeftOut>,
    file: &str,
    sheet: Sheet,
) {
    let participant = sheet.participant.clone();
    let Some((other_file, other)) = sheets.remove(&participant) else {
        sheets.insert(participant, (file.into(), sheet));
        return;
    };
    let new = (file.to_owned(), sheet);
    let old = (other_file, other);
    let rank = |sheet: &Sheet| (sheet.answers.len(), sheet.finished.clone());
    let (kept, lost) = if rank(&new.1) >= rank(&old.1) { (new, old) } else { (old, new) };
    let sessions = match kept.1.started.as_ref().zip(lost.1.started.as_ref()) {
        Some((a, b)) if a != b => ", begun at another time: perhaps two people had the same name",
        _ => "",
    };
    left_out.push(LeftOut {
        file: lost.0,
        reason: format!(
            "{} has as many answers or more of participant {participant}{sessions}",
            kept.0
        ),
    });
    sheets.insert(participant, kept);
}
