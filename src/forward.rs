//! What the traits of all parts share: the forwarding impls for `Arc<T>` and `Box<T>`, and the
//! checks that there are as many outputs as inputs.

use std::fmt::Display;

use crate::{Error, Result};

/// The one of `outputs`, which `part` gave for one input; `what` is such an output.
pub(crate) fn only<T>(part: &(impl Display + ?Sized), what: &str, outputs: Vec<T>) -> Result<T> {
    let found = outputs.len();
    match <[T; 1]>::try_from(outputs) {
        Ok([output]) => Ok(output),
        Err(_) => {
            let error = format!("expected 1 {what} for 1 input, found {found}");
            Err(Error::backend(part.to_string(), error))
        }
    }
}

/// # Errors
/// [`Error::Backend`] when `part` was to give `expected` of `what`, in the plural, and `found` are
/// there.
pub(crate) fn check_count(
    part: &(impl Display + ?Sized),
    what: &str,
    expected: usize,
    found: usize,
) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let what = if expected == 1 { what.strip_suffix('s').unwrap_or(what) } else { what };
    Err(Error::backend(part.to_string(), format!("expected {expected} {what}, found {found}")))
}

/// Implements `$part` for `Arc<T>` and `Box<T>` with the methods of `T`.
macro_rules! forward_part {
    ($part:ident { $($methods:tt)* }) => {
        crate::forward::forward_part!(@one ::std::sync::Arc<T>, $part { $($methods)* });
        crate::forward::forward_part!(@one ::std::boxed::Box<T>, $part { $($methods)* });
    };
    (@one $wrapper:ty, $part:ident { $($methods:tt)* }) => {
        #[::async_trait::async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: $part + ?Sized> $part for $wrapper {
            $($methods)*
        }
    };
}

pub(crate) use forward_part;
