//! [`Rubric`]: what a judge is asked, and how its numbers become one.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::require;

/// What a reply about several criteria has beside their numbers, without `_`.
const TAKEN: [&str; 5] = ["reasoning", "reason", "score", "rating", "value"];

/// What a [`Judge`](super::Judge) is asked and how its numbers become one. It can be read from TOML or
/// JSON; what such a file leaves out has the default.
///
/// ```
/// use imagerag::evaluation::metric::Rubric;
///
/// let rubric: Rubric = serde_json::from_str(r#"{
///     "name": "Plumage",
///     "task": "You rate how well a generated image shows a bird species.",
///     "criteria": [
///         { "name": "colours", "description": "the colours of the plumage are right", "weight": 0.7 },
///         { "name": "shape", "description": "bill and body have the right shape", "weight": 0.3 }
///     ],
///     "scale": { "min": 0, "max": 10 },
///     "references": 1
/// }"#).unwrap();
/// rubric.validate()?;
/// assert_eq!((rubric.runs, rubric.tries, rubric.temperature), (1, 3, 0.0));
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Rubric {
    /// The column's name in tables, such as `K-Score`.
    pub name: String,
    /// What the judge does, in whole sentences to it.
    pub task: String,
    /// What it gives a number for, at least one.
    pub criteria: Vec<Criterion>,
    /// The numbers that it may give.
    pub scale: Scale,
    /// How the numbers of the criteria become one.
    pub combine: Combine,
    /// What a picture gets that has the best number everywhere; the worst gives 0.
    pub best: f64,
    /// How many real images it is shown before the picture.
    pub references: usize,
    /// Whether it is shown the prompt. It is shown the class's name where it is not.
    pub shows_prompt: bool,
    /// The longer side of the images that it is shown, in pixels; smaller ones are enlarged.
    pub image_side: u32,
    /// The sampling temperature, at least 0.
    pub temperature: f64,
    /// How often each picture is judged, at least 1; the mean of all runs is its number.
    pub runs: usize,
    /// How often it is asked for a reply that can be read, at least 1.
    pub tries: usize,
}

/// Something that a judge gives a number for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criterion {
    /// Its name in the reply: letters, digits and underscores.
    pub name: String,
    /// What it is about, and when it gets which number.
    pub description: String,
    /// Its share, above 0; shares are divided by their sum.
    #[serde(default = "one")]
    pub weight: f64,
    /// The number of a picture to which the judge says that it does not apply, by `null` or `N/A`. Without
    /// it such a reply gives no number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_applicable: Option<f64>,
}

const fn one() -> f64 {
    1.0
}

impl Criterion {
    /// A criterion of weight 1.
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        let (name, description) = (name.into(), description.into());
        Self { name, description, weight: 1.0, not_applicable: None }
    }

    /// The same with another weight.
    #[must_use]
    pub const fn with_weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// The same with a number for pictures to which it does not apply.
    #[must_use]
    pub const fn with_not_applicable(mut self, number: f64) -> Self {
        self.not_applicable = Some(number);
        self
    }
}

/// The numbers that a judge may give.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The worst.
    pub min: f64,
    /// The best, above the worst.
    pub max: f64,
    /// The difference of one number to the next, counted from the worst; any number between the two where
    /// there is none.
    #[serde(default)]
    pub step: Option<f64>,
}

impl Scale {
    /// Whole numbers from `min` to `max`.
    pub const fn whole(min: u32, max: u32) -> Self {
        Self { min: min as f64, max: max as f64, step: Some(1.0) }
    }

    fn has_bounds(&self) -> bool {
        self.min.is_finite() && self.max.is_finite() && self.min < self.max
    }

    /// Whether there are numbers in it, of which the best is one.
    fn is_sound(&self) -> bool {
        self.has_bounds() && self.step.is_none_or(|step| step > 0.0 && self.contains(self.max))
    }

    /// Whether it has `value`.
    pub fn contains(&self, value: f64) -> bool {
        let is_step = |step: f64| {
            let steps = (value - self.min) / step;
            (steps - steps.round()).abs() < 1e-6
        };
        (self.min..=self.max).contains(&value) && self.step.is_none_or(is_step)
    }

    /// `value` in proportion to the best, in [0, 1].
    pub fn share(&self, value: f64) -> f64 {
        (value - self.min) / (self.max - self.min)
    }
}

impl std::fmt::Display for Scale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { min, max, step } = self;
        match step {
            Some(1.0) => write!(f, "a whole number from {min} to {max}"),
            Some(step) => write!(f, "a number from {min} to {max} in steps of {step}"),
            None => write!(f, "a number from {min} to {max}"),
        }
    }
}

/// How the numbers of several criteria become one, by their weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// The arithmetic mean.
    #[default]
    Mean,
    /// The geometric mean, which is 0 where one of them is: √(a·b) of two with equal weights.
    GeometricMean,
}

impl Default for Rubric {
    fn default() -> Self {
        Self {
            name: "Judge".into(),
            task: String::new(),
            criteria: Vec::new(),
            scale: Scale::whole(0, 10),
            combine: Combine::Mean,
            best: 1.0,
            references: 0,
            shows_prompt: true,
            image_side: 512,
            temperature: 0.0,
            runs: 1,
            tries: 3,
        }
    }
}

impl Rubric {
    /// A rubric with whole numbers from 0 to 10, of which the best becomes 1.
    pub fn new(
        name: impl Into<String>,
        task: impl Into<String>,
        criteria: impl IntoIterator<Item = Criterion>,
    ) -> Self {
        let criteria = criteria.into_iter().collect();
        Self { name: name.into(), task: task.into(), criteria, ..Self::default() }
    }

    /// The same with so many runs, whose mean counts.
    #[must_use]
    pub const fn with_runs(mut self, runs: usize) -> Self {
        self.runs = runs;
        self
    }

    /// The same with so many real images before the picture.
    #[must_use]
    pub const fn with_references(mut self, images: usize) -> Self {
        self.references = images;
        self
    }

    /// Checks every field; [`Judge::new`](super::Judge::new) does so itself.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) that names the field.
    pub fn validate(&self) -> Result<()> {
        let field = |field: &str| format!("{field} of the rubric {}", self.name);
        let Self { scale, criteria, .. } = self;
        let blank = |text: &str| format!("{text:?}");
        require(!self.name.trim().is_empty(), "name of a rubric", "a text", blank(&self.name))?;
        require(!self.task.trim().is_empty(), field("task"), "a text", blank(&self.task))?;
        require(!criteria.is_empty(), field("criteria"), "at least 1", 0)?;
        let plain = |name: &str| name.to_lowercase().replace('_', "");
        for (at, one) in criteria.iter().enumerate() {
            let Criterion { name, weight, not_applicable, .. } = one;
            let is_name = |name: &str| {
                name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty()
            };
            let expected = "letters, digits and underscores";
            require(is_name(name), field("name of a criterion"), expected, blank(name))?;
            let twice = criteria[..at].iter().any(|one| plain(&one.name) == plain(name));
            require(!twice, field("names of criteria"), "each once", blank(name))?;
            let is_taken = criteria.len() > 1 && TAKEN.contains(&&*plain(name));
            let expected = format!("none of {}, which a reply has beside them", TAKEN.join(", "));
            require(!is_taken, field("names of several criteria"), expected, blank(name))?;
            // `quality_score` in a reply may be either.
            let longer = format!("{}score", plain(name));
            let alike = criteria.iter().find(|one| plain(&one.name) == longer);
            let found = alike.map_or_else(String::new, |one| one.name.clone());
            let expected = format!("no other name that is {name} and score");
            require(alike.is_none(), field("names of criteria"), expected, blank(&found))?;
            let number = not_applicable.unwrap_or(self.scale.min);
            let what = field(&format!("not_applicable of {name}"));
            require(
                !self.scale.is_sound() || self.scale.contains(number),
                what,
                self.scale.to_string(),
                number,
            )?;
            let fits = weight.is_finite() && *weight > 0.0;
            require(fits, field(&format!("weight of {name}")), "a number above 0", weight)?;
        }
        let Scale { min, max, step } = *scale;
        require(scale.has_bounds(), field("scale"), "min below max", format!("{min} and {max}"))?;
        let expected = format!("above 0, and whole steps from {min} to {max}");
        require(scale.is_sound(), field("step"), expected, format!("{step:?}"))?;
        let best = self.best.is_finite() && self.best > 0.0;
        require(best, field("best"), "a number above 0", self.best)?;
        let side = self.image_side;
        require((1..=4096).contains(&side), field("image_side"), "1 to 4096 pixels", side)?;
        let heat = (0.0..f64::INFINITY).contains(&self.temperature);
        require(heat, field("temperature"), "a number of at least 0", self.temperature)?;
        require(self.runs > 0, field("runs"), "at least 1", 0)?;
        require(self.tries > 0, field("tries"), "at least 1", 0)
    }

    /// The numbers of the criteria as one.
    pub(super) fn combined(&self, values: &[f64]) -> f64 {
        let whole: f64 = self.criteria.iter().map(|one| one.weight).sum();
        let shares = self
            .criteria
            .iter()
            .zip(values)
            .map(|(criterion, value)| (criterion.weight / whole, self.scale.share(*value)));
        self.best
            * match self.combine {
                Combine::Mean => shares.map(|(weight, share)| weight * share).sum::<f64>(),
                Combine::GeometricMean => {
                    shares.map(|(weight, share)| share.powf(weight)).product()
                }
            }
    }
}
