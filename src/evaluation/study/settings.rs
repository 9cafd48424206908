//! [`Study`]: what is asked of whom.

use crate::Result;
use crate::error::require;

/// A user study: which systems are compared, what is asked, and of how many people.
///
/// [`Study::write`] makes its folder. The defaults are those of the paper (section 4.3 and appendix F)
/// where it tells them: its three questions, A or B without a tie, about 15 comparisons a participant,
/// only items for which the method drew another picture than its base.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Study {
    /// Its identifier, which answers name: letters, digits, `-`, `_` and `.`, up to 64 of them.
    pub id: String,
    /// The title that participants see; where it is empty, one that says what is shown.
    pub title: String,
    /// Whether pictures are compared, or rated one by one.
    pub kind: StudyKind,
    /// Pairs of systems, the base first and the method second, by the names in the results. Where there
    /// are none, every system that has a base is paired with it.
    pub pairs: Vec<(String, String)>,
    /// What is asked of each item; where there are none, the questions of the paper.
    pub questions: Vec<String>,
    /// What participants agree to before they begin, in paragraphs with empty lines between them.
    pub consent: String,
    /// How many items a participant sees, checks aside.
    pub items_per_participant: usize,
    /// How many participants see each item at least, if all lists are used.
    pub votes_per_item: usize,
    /// At most so many items of each pair of systems, drawn by the seed. All where it is not set.
    pub items_per_pair: Option<usize>,
    /// How many attention checks a participant sees, 0 to 5.
    pub checks: usize,
    /// Participants who fail more checks than this are left out of the analysis. The folder states it.
    pub max_failed_checks: usize,
    /// Leaves out items for which both systems gave the same picture: nothing is missing in the draft.
    pub only_changed: bool,
    /// The longest side of published pictures, in pixels. Smaller pictures are enlarged to the largest of
    /// the study, so that their size does not tell the system.
    pub max_side: u32,
    /// The address that answers are sent to when a participant is done, as well as being offered as a
    /// file. It receives a POST with the JSON of [`analyse`](super::analyse), as `text/plain`, so that the
    /// browser asks no permission first.
    pub post_to: Option<String>,
    /// The seed of which items and real images are taken and, with the salt, of lists, order and sides.
    pub seed: u64,
    /// What names of pictures are hashed with, and order and sides drawn from; a secret that is drawn
    /// where it is not set. It is in the key, and its hash in the folder. Who guesses it knows which
    /// system drew what: set one that is hard to guess, and only to write the same study again.
    pub salt: Option<String>,
}

/// What a participant sees at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StudyKind {
    /// Two pictures of the same prompt. One is chosen for each question.
    #[default]
    Comparative,
    /// One picture and a real image. Each question is answered by yes or no.
    Absolute,
}

/// Section 4.3 and figure 4.
pub(super) const COMPARATIVE: [&str; 3] =
    ["Better text alignment", "Better visual quality", "Overall preference"];
/// Section 4.3.
const ABSOLUTE: [&str; 1] = ["Does this image contain the reference object?"];
const CONSENT: &str = "Taking part is voluntary, and you can stop at any time by closing this page.\n\n\
    Your answers are stored in this browser together with the time that each of them took and the width \
    of the window. No name and no address is asked for or recorded.";

impl Default for Study {
    fn default() -> Self {
        Self {
            id: "study".into(),
            title: String::new(),
            kind: StudyKind::Comparative,
            pairs: Vec::new(),
            questions: Vec::new(),
            consent: CONSENT.into(),
            items_per_participant: 15,
            votes_per_item: 5,
            items_per_pair: None,
            checks: 2,
            max_failed_checks: 0,
            only_changed: true,
            max_side: 1024,
            post_to: None,
            seed: 0,
            salt: None,
        }
    }
}

impl Study {
    /// A study with the paper's settings.
    pub fn new(id: impl Into<String>, kind: StudyKind) -> Self {
        Self { id: id.into(), kind, ..Self::default() }
    }

    /// The title that participants see.
    pub(super) fn shown_title(&self) -> &str {
        match (self.title.trim(), self.kind) {
            ("", StudyKind::Comparative) => "Which image is better?",
            ("", StudyKind::Absolute) => "What do these images show?",
            (title, _) => title,
        }
    }

    /// The questions that are asked.
    pub fn questions(&self) -> Vec<String> {
        let of_paper = match self.kind {
            StudyKind::Comparative => &COMPARATIVE[..],
            StudyKind::Absolute => &ABSOLUTE[..],
        };
        match self.questions.is_empty() {
            true => of_paper.iter().map(|&question| question.into()).collect(),
            false => self.questions.clone(),
        }
    }

    /// Checks every setting before any file is touched.
    pub(super) fn check(&self) -> Result<()> {
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_id = (1..=64).contains(&self.id.len()) && self.id.chars().all(named);
        require(is_id, "study id", "1 to 64 letters, digits, -, _ or .", &self.id)?;
        let items = self.items_per_participant;
        require((1..=500).contains(&items), "items_per_participant", "1 to 500", items)?;
        let votes = self.votes_per_item;
        require((1..=1000).contains(&votes), "votes_per_item", "1 to 1000", votes)?;
        require(self.checks <= 5, "checks", "0 to 5", self.checks)?;
        let side = self.max_side;
        require((64..=4096).contains(&side), "max_side", "64 to 4096 pixels", side)?;
        let questions = self.questions();
        for (i, question) in questions.iter().enumerate() {
            let is_text = !question.trim().is_empty() && !question.contains(char::is_control);
            let is_new = is_text && !questions[..i].contains(question);
            let expected = "different questions of one line each that are not empty";
            require(is_new, "questions", expected, question)?;
        }
        for (base, method) in &self.pairs {
            require(base != method, "pairs of a study", "two different systems", method)?;
        }
        if let Some(address) = &self.post_to {
            origin(address)?;
        }
        Ok(())
    }
}

/// Scheme, host and port of an address, as a content security policy names them.
///
/// # Errors
/// [`Error::InvalidInput`](crate::Error::InvalidInput) where it is no plain address of the web.
pub(super) fn origin(address: &str) -> Result<&str> {
    let expected = "an address that begins with https:// or http://, without a login";
    let scheme = ["https://", "http://"].into_iter().find(|scheme| address.starts_with(scheme));
    let plain =
        |c: char| c.is_ascii_graphic() && !matches!(c, ';' | ',' | '"' | '\'' | '<' | '>' | '\\');
    let length = scheme.map_or(0, str::len);
    let host = address[length..].split(['/', '?', '#']).next().unwrap_or_default();
    let is_valid =
        length > 0 && !host.is_empty() && !host.contains('@') && address.chars().all(plain);
    require(is_valid, "post_to", expected, address)?;
    Ok(&address[..length + host.len()])
}
