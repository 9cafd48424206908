//! Records to what they cost, and what is left of a [`Budget`].

use std::collections::BTreeMap;
use std::time::Duration;

use super::{PictureRecord, ScoreRecord};
use crate::error::require;
use crate::{Price, Result, Usage};

/// The most that an experiment may take, all its runs together. `None` is no bound.
///
/// A picture or a score is begun only while what is spent, and what those in progress are expected to take,
/// is below each bound: so a bound is passed by one picture at most, as far as it takes what was expected.
/// What takes nothing of a bound goes on when it is reached, such as metrics that ask no service.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Questions to vision-language models and judges.
    pub calls: Option<u64>,
    /// Money, in the currency of the prices. As what a system costs is not known before its first picture,
    /// that one is drawn alone.
    pub money: Option<f64>,
    /// Seconds of drawing, each picture from its beginning to its end: pictures that are drawn at the same
    /// time count each.
    pub seconds: Option<f64>,
}

impl Budget {
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) for a bound of 0, or one that is negative or no
    /// number; and for money without any price, as nothing would cost anything.
    pub(super) fn check(&self, prices: &BTreeMap<String, Price>) -> Result<()> {
        let Self { calls, money, seconds } = *self;
        require(calls != Some(0), "budget.calls", "at least 1, or none for no bound", 0)?;
        for (name, bound) in [("money", money), ("seconds", seconds)] {
            let Some(bound) = bound else { continue };
            let is_valid = bound.is_finite() && bound > 0.0;
            require(is_valid, format!("budget.{name}"), "a number above 0", bound)?;
        }
        for (part, price) in prices {
            let Price { per_million_prompt_tokens, per_million_completion_tokens, per_image } =
                *price;
            for (name, amount) in [
                ("per_million_prompt_tokens", per_million_prompt_tokens),
                ("per_million_completion_tokens", per_million_completion_tokens),
                ("per_image", per_image),
            ] {
                let is_valid = amount.is_finite() && amount >= 0.0;
                require(is_valid, format!("prices.{part}.{name}"), "a number from 0 on", amount)?;
            }
        }
        let is_priced = money.is_none() || !prices.is_empty();
        require(is_priced, "prices", "at least one, as budget.money is a bound", "none")
    }
}

/// An amount of money with two decimals, or with two significant digits where it is less than 0.10:
/// `12.50`, `0.0042`.
///
/// ```
/// use imagerag::evaluation::experiment::money;
///
/// assert_eq!([money(12.5), money(0.1), money(0.00421), money(-0.0)], ["12.50", "0.10", "0.0042", "0.00"]);
/// ```
pub fn money(amount: f64) -> String {
    if amount == 0.0 || !amount.is_finite() || amount.abs() >= 0.095 {
        return format!("{:.2}", amount + 0.0); // -0.0 + 0.0 is 0.0.
    }
    let decimals = (1.0 - amount.abs().log10().floor()).min(17.0);
    format!("{amount:.*}", decimals as usize)
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
        self.cost_by_part(prices).values().sum::<f64>() + 0.0 // The sum of nothing is -0.0.
    }
}
