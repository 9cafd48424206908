//! Numbers to means with standard errors, intervals, tests and win rates.
//!
//! Everything here is a small pure function of numbers. What is not finite is never averaged: each result
//! tells how many numbers it is made of, and how many were left out. What is random has a seed, so that a
//! report can be repeated.
//!
//! | question | answer |
//! |---|---|
//! | how good is a system? | [`Summary`]: mean ± standard error over classes |
//! | is it better than another one on the same items? | [`Paired`]: mean difference, sign-flip test, bootstrap |
//! | … on each of several data sets? | [`holm`] over the p-values |
//! | how often does something hold? | [`wilson`] interval of the proportion |
//! | does it hold more often than before, on the same items? | [`McNemar`] |
//! | which of two do people prefer? | [`WinRate`], with ties and a bootstrap over participants |
//! | which of several do people prefer? | [`BradleyTerry`] |
//! | do people agree? | [`krippendorff_alpha`] |

mod agreement;
mod bootstrap;
mod bradley_terry;
mod paired;
mod preference;
mod proportion;
mod summary;
#[cfg(test)]
mod tests;

pub use agreement::krippendorff_alpha;
pub use bootstrap::{Confidence, Interval, Resampling, bootstrap};
pub use bradley_terry::BradleyTerry;
pub use paired::{Paired, SignFlip, holm, sign_flip};
pub use preference::WinRate;
pub use proportion::{McNemar, wilson};
pub use summary::Summary;
