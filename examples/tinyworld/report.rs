//! Judged images to a table with standard errors, and to bars that hold or do not.

use std::fmt;

use imagerag::Image;
use serde::Serialize;

use crate::judge::Judge;
use crate::runs::Case;

/// A share of cases, in per cent, or a mean of seconds, with its standard error.
#[derive(Serialize)]
struct Figure {
    name: String,
    mean: f64,
    standard_error: f64,
    count: usize,
}

/// A bound that the experiment must keep.
#[derive(Serialize)]
struct Bar {
    what: &'static str,
    found: f64,
    bound: String,
    holds: bool,
}

#[derive(Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

impl Report {
    /// Adds what the judge says of one run: species by forced choice and strictly, background.
    pub(crate) fn judged<'a>(
        &mut self,
        run: &str,
        judge: &Judge,
        cases: &[Case],
        images: impl Iterator<Item = &'a Image>,
    ) {
        let sights: Vec<_> = images.map(|image| judge.look(image)).collect();
        let pairs = || sights.iter().zip(cases);
        self.share(&format!("{run}: species"), pairs().map(|(s, c)| s.forced == c.species));
        self.share(&format!("{run}: species, strict"), pairs().map(|(s, c)| s.strict == c.species));
        self.share(
            &format!("{run}: background"),
            pairs().map(|(s, c)| s.background == c.background),
        );
    }

    /// Adds a share, in per cent.
    pub(crate) fn share(&mut self, name: &str, cases: impl Iterator<Item = bool>) {
        self.figure(name, cases.map(|case| if case { 100.0 } else { 0.0 }).collect());
    }

    /// Adds the time of one whole loop.
    pub(crate) fn seconds(&mut self, seconds: Vec<f64>) {
        self.figure("seconds a loop", seconds);
    }

    fn figure(&mut self, name: &str, values: Vec<f64>) {
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count as f64;
        let standard_error = (variance / count as f64).sqrt();
        self.figures.push(Figure { name: name.to_owned(), mean, standard_error, count });
    }

    fn mean(&self, name: &str) -> f64 {
        self.figures.iter().find(|figure| figure.name == name).map_or(f64::NAN, |f| f.mean)
    }

    fn bars(&self) -> Vec<Bar> {
        let at_most = |what, found: f64, bound: f64| Bar {
            what,
            found,
            bound: format!("at most {bound}"),
            holds: found <= bound,
        };
        let at_least = |what, found: f64, bound: f64| Bar {
            what,
            found,
            bound: format!("at least {bound}"),
            holds: found >= bound,
        };
        let lost =
            self.mean("common, base model: species") - self.mean("common, ImageRAG: species");
        vec![
            at_most("rare species in the drafts, %", self.mean("rare, base model: species"), 20.0),
            at_least("rare species with ImageRAG, %", self.mean("rare, ImageRAG: species"), 80.0),
            at_most(
                "rare species with random references, %",
                self.mean("rare, random references: species"),
                25.0,
            ),
            at_most("points that common species lose", lost, 2.0),
            at_least("background as asked, %", self.mean("rare, ImageRAG: background"), 90.0),
            at_least("precision@1, %", self.mean("precision@1"), 95.0),
            at_most("seconds a loop", self.mean("seconds a loop"), 3.0),
        ]
    }

    /// Whether every bar holds.
    pub(crate) fn holds(&self) -> bool {
        self.bars().iter().all(|bar| bar.holds)
    }

    pub(crate) fn to_json(&self) -> String {
        let report = serde_json::json!({"figures": self.figures, "bars": self.bars(), "holds": self.holds()});
        format!("{report:#}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for figure in &self.figures {
            let Figure { name, mean, standard_error, count } = figure;
            writeln!(f, "{name:44} {mean:6.2} ± {standard_error:4.2}  (n = {count})")?;
        }
        for bar in self.bars() {
            let verdict = if bar.holds { "holds" } else { "MISSED" };
            write!(f, "\n{verdict:6}  {}: {:.2}, {}", bar.what, bar.found, bar.bound)?;
        }
        Ok(())
    }
}
