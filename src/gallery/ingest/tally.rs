//! What a reader leaves out while it is asked for its next image, to whoever asks.
//!
//! A reader is an iterator of images and rejections, and may be inside others, such as a `chain` or
//! a `Box<dyn Iterator>`. What it leaves out is neither, so it is noted beside: on the thread that
//! calls `next`.

use std::cell::RefCell;

use crate::folder::{LeftOut, LeftOutKind};

thread_local! {
    static NOTED: RefCell<LeftOut> = RefCell::default();
}

/// Notes that the file `name` is left out, here and in `left_out`.
pub(super) fn note(left_out: &mut LeftOut, kind: LeftOutKind, name: String) {
    NOTED.with_borrow_mut(|noted| noted.push(kind, name.clone()));
    left_out.push(kind, name);
}

/// What was noted on this thread since it was last taken.
pub(super) fn take() -> LeftOut {
    NOTED.take()
}
