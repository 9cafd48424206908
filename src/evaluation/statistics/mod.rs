//! Numbers to means with standard errors, intervals, tests and win rates.
