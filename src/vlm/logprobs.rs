//! [`TokenLogprobs`]: one token of a reply to how likely it and its alternatives were.

/// A token of a reply and the likeliest tokens in its place.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TokenLogprobs {
    /// The token that the reply has.
    pub token: Logprob,
    /// The likeliest tokens there, the likeliest first; the token of the reply is usually one of them.
    /// There may be fewer than were asked for.
    pub top: Vec<Logprob>,
}

impl TokenLogprobs {
    /// A token without alternatives.
    pub const fn new(token: Logprob) -> Self {
        Self { token, top: Vec::new() }
    }

    /// The same token with the likeliest ones in its place.
    #[must_use]
    pub fn with_top(mut self, top: impl IntoIterator<Item = Logprob>) -> Self {
        self.top = top.into_iter().collect();
        self
    }
}

/// A token and how likely it was.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Logprob {
    /// The token's text, with the space that it may begin with, such as ` Yes`.
    pub token: String,
    /// The natural logarithm of its probability: at most 0, and negative infinity where it is unknown
    /// or too small to be told. One above 0 is a service's mistake.
    pub logprob: f64,
}

/// How far above 0 rounding in 16 bits takes a logarithm of about 0.
const ROUNDING: f64 = 1e-3;

impl Logprob {
    /// A token and the logarithm of its probability. One above 0 by at most 0.001, which rounding makes,
    /// is 0; one above that is no logarithm of a probability and stays as it is. One that is no number is
    /// negative infinity.
    pub fn new(token: impl Into<String>, logprob: f64) -> Self {
        let logprob = match logprob {
            nan if nan.is_nan() => f64::NEG_INFINITY,
            0.0..=ROUNDING => 0.0,
            logprob => logprob,
        };
        Self { token: token.into(), logprob }
    }

    /// The probability, in [0, 1]; NaN where the logarithm is above 0.
    pub fn probability(&self) -> f64 {
        match self.logprob > 0.0 {
            true => f64::NAN,
            false => self.logprob.exp(),
        }
    }
}
