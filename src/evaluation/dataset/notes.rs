//! What a reader comes upon and leaves out, to a line for each kind of it.

/// Examples that a line names; the others are counted.
const EXAMPLES: usize = 3;

/// What a reader tells beside the data set.
#[derive(Debug, Default)]
pub(super) struct Notes {
    lines: Vec<String>,
    counted: Vec<Counted>,
}

#[derive(Debug)]
struct Counted {
    what: String,
    count: usize,
    examples: Vec<String>,
}

impl Notes {
    /// A line of its own.
    pub(super) fn say(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// One more of `what`, such as `hidden files`; the first are named.
    pub(super) fn count(&mut self, what: &str, example: impl Into<String>) {
        let at = self.counted.iter().position(|counted| counted.what == what);
        let at = at.unwrap_or_else(|| {
            let counted = Counted { what: what.to_owned(), count: 0, examples: Vec::new() };
            self.counted.push(counted);
            self.counted.len() - 1
        });
        let counted = &mut self.counted[at];
        counted.count += 1;
        let example = example.into();
        if counted.examples.len() < EXAMPLES && !counted.examples.contains(&example) {
            counted.examples.push(example);
        }
    }

    /// All lines, such as `hidden files: 12, such as a, b, c`.
    pub(super) fn into_lines(self) -> Vec<String> {
        let counted = self.counted.into_iter().map(|Counted { what, count, examples }| {
            let such_as = if count > examples.len() { ", such as" } else { ":" };
            format!("{what}: {count}{such_as} {}", examples.join(", "))
        });
        self.lines.into_iter().chain(counted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_of_a_kind_are_one_line() {
        let mut notes = Notes::default();
        for n in 0..5 {
            notes.count("hidden files", format!(".{n}"));
        }
        notes.count("links", "a");
        notes.count("links", "a");
        notes.say("no names.csv");
        let expected =
            ["no names.csv", "hidden files: 5, such as .0, .1, .2", "links: 2, such as a"];
        assert_eq!(notes.into_lines(), expected);
    }
}
