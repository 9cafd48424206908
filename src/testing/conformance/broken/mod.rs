//! A broken part for each rule, which its suite must refuse.
