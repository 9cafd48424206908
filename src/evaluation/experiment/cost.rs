//! Records to what they cost, and what is left of a [`Budget`].

use std::collections::BTreeMap;
use std::time::Duration;

use super::{PictureRecord, ScoreRecord};
use crate::{Price, Usage};

/// The most that an experiment may take, all its runs together. `None` is no bound. Where one is reached
/// nothing more is begun, and what is in progress is finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Questions to vision-language models and judges.
    pub calls: Option<u64>,
    /// Money, in the currency of the prices.
    pub money: Option<f64>,
    /// Seconds of drawing, each picture from its beginning to its end: pictures that are drawn at the same
    /// time count each.
    pub seconds: Option<f64>,
}

/// What an experiment took, all its runs together.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Spent {
    /// Questions to vision-language models and judges.
    pub calls: u64,
    /// What each part used, by its name, where its service says.
    pub usage: BTreeMap<String, Usage>,
    /// The time of drawing, each picture from its beginning to its end.
    pub drawing: Duration,
}

impl Spent {
    pub(super) fn add_picture(&mut self, record: &PictureRecord) {
        self.calls += record.calls;
        self.drawing += record.elapsed;
        for (part, usage) in &record.usage {
            *self.usage.entry(part.clone()).or_default() += *usage;
        }
    }

    pub(super) fn add_score(&mut self, record: &ScoreRecord) {
        self.calls += record.exchanges.len() as u64;
        for exchange in &record.exchanges {
            if let Some(usage) = exchange.usage {
                *self.usage.entry(exchange.model.clone()).or_default() += usage;
            }
        }
    }

    /// What each part cost, in the currency of `prices`, which are those of the parts by their names. A part
    /// without a price is free.
    pub fn cost_by_part(&self, prices: &BTreeMap<String, Price>) -> BTreeMap<&str, f64> {
        let cost = |(part, usage): (&'_ String, &Usage)| {
            prices.get(part).map_or(0.0, |price| usage.cost(price))
        };
        self.usage.iter().map(|(part, usage)| (part.as_str(), cost((part, usage)))).collect()
    }

    /// What all parts cost, in the currency of `prices`.
    pub fn cost(&self, prices: &BTreeMap<String, Price>) -> f64 {
        self.cost_by_part(prices).values().sum()
    }

    /// The bound of `budget` that is reached, in words.
    pub(super) fn exceeds(
        &self,
        budget: &Budget,
        prices: &BTreeMap<String, Price>,
    ) -> Option<String> {
        let (money, seconds) = (self.cost(prices), self.drawing.as_secs_f64());
        let Budget { calls: most_calls, money: most_money, seconds: most_seconds } = *budget;
        if most_calls.is_some_and(|most| self.calls >= most) {
            return Some(format!("{} calls of {}", self.calls, most_calls.unwrap_or_default()));
        }
        if most_money.is_some_and(|most| money >= most) {
            return Some(format!("{money:.2} of {:.2} in money", most_money.unwrap_or_default()));
        }
        if most_seconds.is_some_and(|most| seconds >= most) {
            return Some(format!(
                "{seconds:.0} of {:.0} seconds",
                most_seconds.unwrap_or_default()
            ));
        }
        None
    }
}
