//! The records of a request to lines that a person reads.

use std::fmt::{self, Display, Formatter};

use super::{Hit, RagTrace, Record, Refusal, StageTrace, TracedImage};
use crate::text::write_plain;

/// One line: the image, its size and what was drawn.
impl Display for TracedImage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { width, height, prompt, .. } = self;
        write!(f, "{width}x{height}: {prompt}")?;
        let also = self.warnings.iter().map(|warning| format!("warning: {warning}"));
        let note = self.note.iter().map(|note| format!("note: {note}"));
        also.chain(note).try_for_each(|line| write!(f, "\n{line}"))
    }
}

/// One line: the score, where the image comes from, its license, and why it is not used.
impl Display for Hit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (score, source) = (self.provenance.score, &self.provenance.source);
        let license = self.provenance.metadata.license.as_deref().unwrap_or("license unknown");
        write!(f, "{score:.3} {source} ({license})")?;
        self.refused.as_ref().map_or(Ok(()), |refused| write!(f, ", not used: {refused}"))
    }
}

/// A line for each thing that the stage returned. Images that merely came after those that are used
/// are left out of the hits.
impl Display for Record {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(image) => image.fmt(f),
            Self::OwnDraft { width, height } => write!(f, "{width}x{height}: the caller's image"),
            Self::Rephrased(prompt) => write!(f, "the prompt is now: {prompt}"),
            Self::Critique(critique) => critique.fmt(f),
            Self::Captions { captions, fallback } => {
                let note = if *fallback { " (the prompt itself)" } else { "" };
                lines(f, captions.iter().map(|caption| format!("{}{note}", caption.text)))
            }
            Self::Hits(hits) => {
                let after = [Some(Refusal::NoRoom), Some(Refusal::Surplus)];
                let told = hits.iter().filter(|hit| !after.contains(&hit.refused));
                lines(f, told.map(ToString::to_string))
            }
            Self::Conditioned { prompt, references } => match references.len() {
                1 => write!(f, "1 reference: {prompt}"),
                n => write!(f, "{n} references: {prompt}"),
            },
            Self::Plan { edits: Some(edits) } => lines(f, edits.iter().cloned()),
            Self::Plan { edits: None } => f.write_str("no reply that makes sense"),
        }
    }
}

/// The stage and what it returned, each line under the other.
impl Display for StageTrace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { stage, elapsed, .. } = self;
        let record = match &self.record {
            Some(Record::Image(image)) => format!("{elapsed:.1?}, {image}"),
            Some(record) => record.to_string(),
            None => format!("ended without a result after {elapsed:.1?}"),
        };
        named(f, &stage.to_string(), if record.is_empty() { "nothing" } else { &record })
    }
}

/// The whole request, stage by stage, and how it ended. [`RagTrace::exchanges`] has the words of
/// each question and answer.
impl Display for RagTrace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        named(f, "prompt", &format!("{} (seed {})", self.prompt, self.seed))?;
        self.stages.iter().try_for_each(|stage| write!(f, "\n{stage}"))?;
        let end = match (&self.stop, &self.error) {
            (Some(stop), _) => stop.to_string(),
            (None, Some(error)) => error.clone(),
            (None, None) => "it goes on".to_owned(),
        };
        let used = match self.usage_by_part().is_empty() {
            true => String::new(),
            false => format!(", {}", self.usage()),
        };
        f.write_str("\n")?;
        named(f, "end", &format!("{end}, {:.1?}{used}", self.elapsed))
    }
}

/// `text` behind its name, its further lines below.
fn named(f: &mut Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    write!(f, "{name:<10} ")?;
    write_plain(f, text, "           ")
}

fn lines(f: &mut Formatter<'_>, mut lines: impl Iterator<Item = String>) -> fmt::Result {
    lines.next().map_or(Ok(()), |first| f.write_str(&first))?;
    lines.try_for_each(|line| write!(f, "\n{line}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Usage;
    use crate::critic::Verdict;
    use crate::pipeline::{Stage, StopReason};
    use crate::reference::{Caption, Provenance, Source};
    use crate::vlm::Exchange;

    fn stage(stage: Stage, record: Option<Record>) -> StageTrace {
        let (elapsed, exchanges) = (Duration::from_millis(1_500), Vec::new());
        StageTrace { stage, round: 0, elapsed, record, exchanges }
    }

    #[test]
    fn a_trace_is_read_from_top_to_bottom() {
        let caption = Caption::new("a photo of a quetzal", "a quetzal");
        let hit = |name: &str, refused| Hit {
            caption: caption.clone(),
            provenance: Provenance::new(Source::Uri(name.into()), "gallery", 0.5, 0),
            refused,
        };
        let hits = vec![
            hit("a.jpg", Some(Refusal::Duplicate)),
            hit("b.jpg", None),
            hit("c.jpg", Some(Refusal::Surplus)),
        ];
        let critique = Verdict::Missing(vec![caption.clone(), Caption::concept("dawn")]).into();
        let mut trace = RagTrace {
            prompt: "a quetzal at dawn".into(),
            stages: vec![
                stage(Stage::Critique, Some(Record::Critique(critique))),
                stage(Stage::Retrieve, Some(Record::Hits(hits))),
                stage(Stage::Generate, None),
            ],
            stop: Some(StopReason::RoundLimit),
            elapsed: Duration::from_secs(3),
            ..RagTrace::default()
        };
        let expected = "\
prompt     a quetzal at dawn (seed 0)
critique   missing: a quetzal, dawn
retrieve   0.500 a.jpg (license unknown), not used: already used for another caption
           0.500 b.jpg (license unknown)
generate   ended without a result after 1.5s
end        every round is done, 3.0s";
        assert_eq!(trace.to_string(), expected);
        let mut asked = Exchange::new("decision", "gpt");
        asked.usage = Some(Usage::tokens(10, 2));
        trace.stages[0].exchanges.push(asked);
        assert_eq!(trace.to_string(), format!("{expected}, 10 + 2 tokens"));
        trace.prompt = "a cat\nend        all is well\u{1b}[2J".into();
        let forged = "prompt     a cat\n           end        all is well\\u{1b}[2J (seed 0)\n";
        assert!(trace.to_string().starts_with(forged), "{trace}");
    }
}
