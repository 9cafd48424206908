//! A participant's answers to those that count, and to why the others do not.

use std::collections::{BTreeMap, BTreeSet};

use super::answers::{Answer, Sheet};
use super::key::{KeyRow, Role};

/// The key by the screens that it is about.
pub(super) struct Key {
    pub rows: Vec<KeyRow>,
    /// The rows of each screen.
    screens: BTreeMap<String, Vec<usize>>,
    /// All questions; none where a former version wrote the key.
    questions: BTreeSet<String>,
    /// How many lists there are; 0 where a former version wrote the key.
    lists: usize,
    /// How many checks a list has.
    checks: usize,
}

impl Key {
    pub(super) fn new(rows: Vec<KeyRow>) -> Self {
        let mut screens = BTreeMap::<String, Vec<usize>>::new();
        let mut checks = BTreeMap::<usize, BTreeSet<&str>>::new();
        for (i, row) in rows.iter().enumerate() {
            screens.entry(row.screen.clone()).or_default().push(i);
            for (list, _) in row.lists() {
                let of_list = checks.entry(list).or_default();
                of_list.extend(row.role.is_check().then_some(row.screen.as_str()));
            }
        }
        let lists = checks.keys().next_back().copied().unwrap_or(0);
        let checks = checks.values().map(BTreeSet::len).max().unwrap_or(0);
        let questions = rows.iter().filter(|row| !row.role.is_check());
        let questions = questions.flat_map(KeyRow::questions).map(str::to_owned).collect();
        Self { rows, screens, questions, lists, checks }
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

    /// Removes answers that do not count, and of several to one question all but the last; says what was
    /// removed and why.
    pub(super) fn check(&self, sheet: &mut Sheet) -> Vec<String> {
        let (study, version) = (&self.rows[0].study, &self.rows[0].version);
        if sheet.participant.is_empty() {
            sheet.answers.clear();
            return vec!["the participant is not named".into()];
        }
        let named = |why: String| format!("participant {}: {why}", sheet.participant);
        if (&sheet.study, &sheet.version) != (study, version) {
            sheet.answers.clear();
            return vec![named(format!(
                "expected answers to {study} {version}, found some to {} {}",
                sheet.study, sheet.version
            ))];
        }
        if sheet.answers.is_empty() {
            return vec![named("there are no answers".into())];
        }
        let list = (1..=self.lists).find(|&list| sheet.list == Some(list as f64));
        let mut last = BTreeMap::<_, Answer>::new();
        let mut faults = BTreeMap::<&str, usize>::new();
        for answer in sheet.answers.drain(..) {
            let fault = self.fault(&answer, list).or_else(|| {
                let question = (answer.item.clone(), answer.question.clone());
                let chosen = answer.chosen.clone();
                let former = last.insert(question, answer)?;
                Some(match former.chosen == chosen {
                    true => "that are there again",
                    false => "that a later one to the same question contradicts",
                })
            });
            fault.into_iter().for_each(|fault| *faults.entry(fault).or_default() += 1);
        }
        sheet.answers.extend(last.into_values());
        faults.into_iter().map(|(fault, n)| named(format!("{n} answers {fault}"))).collect()
    }

    /// Why an answer from a list, by its number where it is known, does not count.
    fn fault(&self, answer: &Answer, list: Option<usize>) -> Option<&'static str> {
        let Some(row) = self.row(answer) else { return Some("that the study does not have") };
        let question = &answer.question;
        let is_asked = self.questions.is_empty() || self.questions.contains(question);
        if question.is_empty() || !is_asked {
            return Some("to questions that the study does not have");
        }
        let is_left = match answer.side.as_str() {
            "left" => true,
            "right" => false,
            _ => return Some("whose side is neither left nor right"),
        };
        // Yes is on the left.
        let of_rating = match answer.chosen.as_str() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        };
        let of_list =
            list.map(|list| row.lists().find_map(|(of, left)| (of == list).then_some(left)));
        if of_list == Some(None) {
            return Some("to pages that the participant's list does not have");
        }
        if of_rating.or(of_list.flatten()).is_some_and(|left| left != is_left) {
            return Some("whose side is not that of what was chosen");
        }
        let is_seen = answer.shown.is_some() || answer.ms.is_some();
        (!is_seen).then_some("that were given before the images were shown")
    }

    /// How many checks a participant failed, of how many, and how many are not answered. These are failed
    /// where everything else is answered.
    pub(super) fn checks(&self, sheet: &Sheet) -> (usize, usize, usize) {
        let (mut failed, mut seen, mut others) = (0, 0, 0);
        for answer in &sheet.answers {
            let Some(row) = self.row(answer) else { continue };
            if !row.role.is_check() {
                others += 1;
                continue;
            }
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
        let open = self.checks.saturating_sub(seen);
        let of_checks = self.checks * self.questions.len();
        let is_whole = others + of_checks >= self.rows[0].answers_per_participant;
        match is_whole {
            true => (failed + open, seen + open, open),
            false => (failed, seen, open),
        }
    }
}
