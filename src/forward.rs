//! `Arc<T>` and `Box<T>` of a part are that part: one macro writes both forwarding impls.

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
