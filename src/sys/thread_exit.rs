//! What must be done when a thread ends.

use crate::status::Result;
use std::cell::RefCell;
use std::sync::Weak;

/// Something that depends on a thread.
pub trait ThreadExit {
    /// Called on that thread when it ends. Destructors of other thread-local data may run later.
    fn thread_ended(&self);
}

#[derive(Default)]
struct AtEnd(RefCell<Vec<Weak<dyn ThreadExit>>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        self.0.take().iter().filter_map(Weak::upgrade).for_each(|dependent| dependent.thread_ended());
    }
}

thread_local! {
    static AT_END: AtEnd = const { AtEnd(RefCell::new(Vec::new())) };
}

/// Has `dependent` called when the calling thread ends. Returns false if the thread is ending, when it is too late for
/// that. NO_MEMORY.
pub fn at_thread_exit(dependent: Weak<dyn ThreadExit>) -> Result<bool> {
    let added = AT_END.try_with(|AtEnd(list)| {
        let mut list = list.borrow_mut();
        // Those that are gone, so that a thread that goes through many of them does not collect their memory.
        list.retain(|dependent| dependent.strong_count() > 0);
        list.try_reserve(1)?;
        list.push(dependent);
        Ok(())
    });
    added.map_or(Ok(false), |added| added.map(|()| true))
}
