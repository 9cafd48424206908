//! [`analyse`]: the key and files of answers to an [`Analysis`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::analysis::{Analysis, Dropped, LeftOut};
use super::answers::{self, Answer, Sheet};
use super::count::Choices;
use super::key::{self, KeyRow, Role};
use crate::Result;
use crate::evaluation::statistics::Resampling;

/// Reads the key that [`Study::write`](super::Study::write) wrote, and the answers: files, or folders of
/// them. A file is what participants downloaded (JSON or CSV), the code that they copied, or what the
/// address of [`Study::post_to`](super::Study::post_to) received, also many behind each other.
///
/// A participant counts once: where several files are theirs, the one with most answers. Who fails more
/// attention checks than the study states is dropped. What is left out for any reason is named.
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
            let why = key.check(&mut sheet);
            analysis
                .left_out
                .extend(why.into_iter().map(|reason| LeftOut { file: file.clone(), reason }));
            if !sheet.answers.is_empty() {
                take(&mut sheets, &mut analysis.left_out, &file, sheet);
            }
        }
        analysis.left_out.extend(wrong.map(|reason| LeftOut { file: file.clone(), reason }));
    }
    let mut kept: Vec<Sheet> = Vec::new();
    for (_, sheet) in sheets.into_values() {
        let (failed, checks) = key.checks(&sheet);
        if failed > key.rows[0].max_failed_checks {
            analysis.dropped.push(Dropped { participant: sheet.participant, failed, checks });
        } else {
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

/// The key by the screens that it is about.
pub(super) struct Key {
    pub rows: Vec<KeyRow>,
    /// The rows of each screen.
    screens: BTreeMap<String, Vec<usize>>,
}

impl Key {
    fn new(rows: Vec<KeyRow>) -> Self {
        let mut screens = BTreeMap::<String, Vec<usize>>::new();
        for (i, row) in rows.iter().enumerate() {
            screens.entry(row.screen.clone()).or_default().push(i);
        }
        Self { rows, screens }
    }

    pub(super) fn rows_of<'a>(
        &'a self,
        screen: &str,
    ) -> impl Iterator<Item = &'a KeyRow> + use<'a> {
        self.screens.get(screen).into_iter().flatten().map(|&i| &self.rows[i])
    }

    /// The row of the picture that an answer chose, where the study has such an answer: of a rating, that
    /// of its only picture.
    pub(super) fn row(&self, answer: &Answer) -> Option<&KeyRow> {
        let is_rated = matches!(answer.chosen.as_str(), "yes" | "no");
        match self.screens.get(&answer.item)?.as_slice() {
            [only] if is_rated => Some(&self.rows[*only]),
            [_] => None,
            _ => self.rows_of(&answer.item).find(|row| row.picture == answer.chosen),
        }
    }

    /// Removes what is not of this study, and of several answers to one question all but the last; says
    /// what was removed.
    fn check(&self, sheet: &mut Sheet) -> Option<String> {
        let (study, version) = (&self.rows[0].study, &self.rows[0].version);
        let of =
            |sheet: &Sheet, why: String| Some(format!("participant {}: {why}", sheet.participant));
        if (&sheet.study, &sheet.version) != (study, version) {
            sheet.answers.clear();
            let expected = format!("expected answers to {study} {version}");
            return of(
                sheet,
                format!("{expected}, found some to {} {}", sheet.study, sheet.version),
            );
        }
        if sheet.participant.is_empty() {
            sheet.answers.clear();
            return Some("the participant is not named".into());
        }
        let before = sheet.answers.len();
        let mut last = BTreeMap::new();
        let mut unknown = 0;
        for answer in sheet.answers.drain(..) {
            match self.row(&answer).is_some() && !answer.question.is_empty() {
                true => drop(last.insert((answer.item.clone(), answer.question.clone()), answer)),
                false => unknown += 1,
            }
        }
        sheet.answers.extend(last.into_values());
        match (before, unknown) {
            (0, _) => of(sheet, "there are no answers".into()),
            (_, 0) => None,
            _ => of(sheet, format!("{unknown} answers that the study does not have")),
        }
    }

    /// How many checks a participant failed, and answered.
    fn checks(&self, sheet: &Sheet) -> (usize, usize) {
        let (mut failed, mut seen) = (0, 0);
        for answer in &sheet.answers {
            let Some(row) = self.row(answer).filter(|row| row.role.is_check()) else { continue };
            if row.question != answer.question {
                continue;
            }
            let is_right = match answer.chosen.as_str() {
                "no" => row.role == Role::Wrong,
                _ => row.role == Role::Right,
            };
            seen += 1;
            failed += usize::from(!is_right);
        }
        (failed, seen)
    }
}
