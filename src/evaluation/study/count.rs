//! Answers that count to shares with intervals, by pair of systems and question.

use std::collections::{BTreeMap, BTreeSet};

use super::analysis::{Contains, PairedContains, Preference, Strength};
use super::answers::{Answer, Sheet};
use super::key::{KeyRow, Role};
use super::settings::COMPARATIVE;
use super::valid::Key;
use crate::evaluation::statistics::{
    BradleyTerry, Interval, McNemar, Resampling, WinRate, krippendorff_alpha,
};

/// An answer with what it is about.
struct Given<'a> {
    /// The participant, by a number.
    participant: usize,
    answer: &'a Answer,
    row: &'a KeyRow,
}

/// The answers that count.
pub(super) struct Choices<'a> {
    key: &'a Key,
    participants: usize,
    given: Vec<Given<'a>>,
    /// The questions, in the order in which they were met.
    questions: Vec<&'a str>,
}

impl<'a> Choices<'a> {
    pub(super) fn new(key: &'a Key, sheets: &'a [Sheet]) -> Self {
        let mut given = Vec::new();
        for (participant, sheet) in sheets.iter().enumerate() {
            let answers =
                sheet.answers.iter().filter_map(|answer| Some((answer, key.row(answer)?)));
            let counted = answers.filter(|(_, row)| !row.role.is_check());
            given.extend(counted.map(|(answer, row)| Given { participant, answer, row }));
        }
        // In the paper's order, where the questions are the paper's.
        let questions: BTreeSet<&str> = given.iter().map(|g| g.answer.question.as_str()).collect();
        let mut questions: Vec<&str> = questions.into_iter().collect();
        questions.sort_by_key(|q| COMPARATIVE.iter().position(|p| p == q).unwrap_or(usize::MAX));
        Self { key, participants: sheets.len(), given, questions }
    }

    pub(super) fn len(&self) -> usize {
        self.given.len()
    }

    pub(super) fn left(&self) -> WinRate {
        let mut left = WinRate::default();
        let compared = |g: &&Given<'_>| matches!(g.row.role, Role::Base | Role::Method);
        for given in self.given.iter().filter(compared) {
            match given.answer.side.as_str() {
                "left" => left.wins += 1,
                _ => left.losses += 1,
            }
        }
        left
    }

    /// Base and method of the screen.
    fn pair(&self, screen: &str) -> Option<(&'a str, &'a str)> {
        let system =
            |role| Some(self.key.rows_of(screen).find(|row| row.role == role)?.system.as_str());
        Some((system(Role::Base)?, system(Role::Method)?))
    }

    /// The pairs that were compared, in the order of the key.
    fn pairs(&self) -> Vec<(&'a str, &'a str)> {
        let mut pairs = Vec::new();
        for row in self.key.rows.iter().filter(|row| row.role == Role::Base) {
            let pair = self.pair(&row.screen).filter(|pair| !pairs.contains(pair));
            pairs.extend(pair);
        }
        pairs
    }

    /// Wins and losses of each participant, and α, of the answers that `win` tells to be one or the other.
    fn count(&self, win: impl Fn(&Given<'a>) -> Option<bool>) -> (Vec<WinRate>, Option<f64>) {
        let mut clusters = vec![WinRate::default(); self.participants];
        let mut ratings = Vec::new();
        for given in &self.given {
            let Some(is_win) = win(given) else { continue };
            let cluster = &mut clusters[given.participant];
            *(if is_win { &mut cluster.wins } else { &mut cluster.losses }) += 1;
            ratings.push((&given.answer.item, is_win));
        }
        clusters.retain(|cluster| cluster.n() > 0);
        (clusters, krippendorff_alpha(ratings))
    }

    pub(super) fn preferences(&self, resampling: Resampling) -> Vec<Preference> {
        let mut preferences = Vec::new();
        for (base, method) in self.pairs() {
            for &question in &self.questions {
                let (clusters, agreement) = self.count(|given| {
                    let is_here = given.answer.question == question
                        && self.pair(&given.answer.item) == Some((base, method));
                    is_here.then(|| given.row.role == Role::Method)
                });
                let choices: WinRate = clusters.iter().copied().sum();
                let Some(rate) = choices.rate() else { continue };
                preferences.push(Preference {
                    question: question.into(),
                    base: base.into(),
                    method: method.into(),
                    choices,
                    rate,
                    wilson: choices.wilson(resampling.confidence),
                    over_participants: over(&clusters, resampling),
                    participants: clusters.len(),
                    agreement,
                });
            }
        }
        preferences
    }

    pub(super) fn strengths(&self, resampling: Resampling) -> Vec<Strength> {
        let mut systems: Vec<&str> = Vec::new();
        for system in self.pairs().iter().flat_map(|&(base, method)| [base, method]) {
            if !systems.contains(&system) {
                systems.push(system);
            }
        }
        if systems.len() < 3 {
            return Vec::new();
        }
        let place = |name: &str| systems.iter().position(|system| *system == name);
        let mut strengths = Vec::new();
        for &question in &self.questions {
            let n = systems.len();
            let mut clusters = vec![vec![vec![0.0; n]; n]; self.participants];
            for given in self.given.iter().filter(|given| given.answer.question == question) {
                let Some((base, method)) = self.pair(&given.answer.item) else { continue };
                let other = if given.row.role == Role::Method { base } else { method };
                if let Some((won, lost)) = place(&given.row.system).zip(place(other)) {
                    clusters[given.participant][won][lost] += 1.0;
                }
            }
            // Systems in separate pairs, or one that always wins, have no strengths.
            let Ok((model, intervals)) = BradleyTerry::cluster_bootstrap(&clusters, resampling)
            else {
                continue;
            };
            for (i, system) in systems.iter().enumerate() {
                strengths.push(Strength {
                    question: question.into(),
                    system: (*system).into(),
                    strength: model.strengths[i],
                    over_participants: intervals[i].filter(|_| self.participants > 1),
                });
            }
        }
        strengths
    }

    /// The systems that were rated, in the order of the key.
    fn rated(&self) -> Vec<(&'a str, &'a str)> {
        let mut rated: Vec<(&str, &str)> = Vec::new();
        for row in self.key.rows.iter().filter(|row| row.role == Role::Rated) {
            match rated.iter_mut().find(|(system, _)| *system == row.system) {
                Some((_, base)) if base.is_empty() => *base = &row.base,
                Some(_) => {}
                None => rated.push((&row.system, &row.base)),
            }
        }
        rated
    }

    pub(super) fn contains(&self, resampling: Resampling) -> Vec<Contains> {
        let mut contains = Vec::new();
        for (system, _) in self.rated() {
            for &question in &self.questions {
                let (clusters, agreement) = self.count(|given| {
                    let is_here = given.answer.question == question
                        && given.row.role == Role::Rated
                        && given.row.system == system;
                    is_here.then(|| given.answer.chosen == "yes")
                });
                let answers: WinRate = clusters.iter().copied().sum();
                let Some(rate) = answers.rate() else { continue };
                contains.push(Contains {
                    question: question.into(),
                    system: system.into(),
                    answers,
                    rate,
                    wilson: answers.wilson(resampling.confidence),
                    over_participants: over(&clusters, resampling),
                    participants: clusters.len(),
                    agreement,
                });
            }
        }
        contains
    }

    /// What most people say of each item of a system; none for as many yes as no.
    fn majorities(
        &self,
        system: &str,
        question: &str,
    ) -> BTreeMap<(&'a str, &'a str, &'a str), Option<bool>> {
        let mut votes = BTreeMap::<_, WinRate>::new();
        for given in &self.given {
            let row = given.row;
            if row.role == Role::Rated && row.system == system && given.answer.question == question
            {
                let item = (row.dataset.as_str(), row.item.as_str(), row.seed.as_str());
                let votes = votes.entry(item).or_default();
                let is_yes = given.answer.chosen == "yes";
                *(if is_yes { &mut votes.wins } else { &mut votes.losses }) += 1;
            }
        }
        let majority = |v: WinRate| (v.wins != v.losses).then_some(v.wins > v.losses);
        votes.into_iter().map(|(item, votes)| (item, majority(votes))).collect()
    }

    pub(super) fn paired(&self) -> Vec<PairedContains> {
        let mut paired = Vec::new();
        let with_base = self.rated().into_iter().filter(|(_, base)| !base.is_empty());
        for (method, base) in with_base {
            for &question in &self.questions {
                let (before, after) =
                    (self.majorities(base, question), self.majorities(method, question));
                let items: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
                let both = |item| Some(((*before.get(item)?)?, (*after.get(item)?)?));
                let decided: Vec<(bool, bool)> = items.iter().filter_map(both).collect();
                if items.is_empty() {
                    continue;
                }
                let undecided = items.len() - decided.len();
                let items = McNemar::new(decided);
                paired.push(PairedContains {
                    question: question.into(),
                    base: base.into(),
                    method: method.into(),
                    items,
                    p_value: items.exact(),
                    undecided,
                });
            }
        }
        paired
    }
}

/// One participant alone tells nothing of how participants differ.
fn over(clusters: &[WinRate], resampling: Resampling) -> Option<Interval> {
    if clusters.len() < 2 {
        return None;
    }
    WinRate::cluster_bootstrap(clusters, resampling)
}
