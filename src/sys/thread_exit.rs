//! Notification of the end of a thread.

use crate::status::Result;
use std::cell::RefCell;
use std::sync::Weak;

/// A value that depends on a thread.
pub trait ThreadExit {
    /// Called on the thread when it ends. Destructors of other thread-local data may run later.
    fn thread_ended(&self);
}

#[derive(Default)]
struct ExitHooks(RefCell<Vec<Weak<dyn ThreadExit>>>);

impl Drop for ExitHooks {
    fn drop(&mut self) {
        self.0.take().iter().filter_map(Weak::upgrade).for_each(|dependent| dependent.thread_ended());
    }
}

thread_local! {
    static EXIT_HOOKS: ExitHooks = const { ExitHooks(RefCell::new(Vec::new())) };
}

/// Has `dependent` notified when the calling thread ends. Returns false if the thread is ending already.
///
/// # Errors
/// NO_MEMORY.
pub fn at_thread_exit(dependent: Weak<dyn ThreadExit>) -> Result<bool> {
    let added = EXIT_HOOKS.try_with(|ExitHooks(list)| {
        let mut list = list.borrow_mut();
        // Dropped dependents are removed, so that a thread that uses many reactors does not collect their memory.
        list.retain(|dependent| dependent.strong_count() > 0);
        list.try_reserve(1)?;
        list.push(dependent);
        Ok(())
    });
    added.map_or(Ok(false), |added| added.map(|()| true))
}
