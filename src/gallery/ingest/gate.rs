//! [`Gate`]: lets a bounded number of images into memory at a time.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Counts the images that are inside. Who wants to bring one in waits until there is room.
#[derive(Debug)]
pub(super) struct Gate {
    room: usize,
    inside: Mutex<Inside>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct Inside {
    count: usize,
    most: usize,
    closed: bool,
}

impl Gate {
    /// Room for `room` images, at least 1.
    pub(super) fn new(room: usize) -> Self {
        Self { room: room.max(1), inside: Mutex::default(), left: Condvar::new() }
    }

    /// Waits for room and takes it; `false` once the gate is closed.
    pub(super) fn enter(&self) -> bool {
        let full = |inside: &mut Inside| inside.count >= self.room && !inside.closed;
        let inside = self.left.wait_while(self.lock(), full);
        let mut inside = inside.unwrap_or_else(PoisonError::into_inner);
        if inside.closed {
            return false;
        }
        inside.count += 1;
        inside.most = inside.most.max(inside.count);
        true
    }

    /// Makes the room of `count` images free.
    pub(super) fn leave(&self, count: usize) {
        let mut inside = self.lock();
        inside.count = inside.count.saturating_sub(count);
        drop(inside);
        self.left.notify_all();
    }

    /// Lets nobody in any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.left.notify_all();
    }

    /// The most images that were inside at a time.
    pub(super) fn most(&self) -> usize {
        self.lock().most
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
