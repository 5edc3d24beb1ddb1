//! Delayed calls: Twisted's IReactorTime and IDelayedCall.

use super::{Call, Reactor};
use crate::status::{Result, Status};
use crate::timer::{after, check_span};

impl<C: Call> Reactor<C> {
    /// The reactor's clock in nanoseconds: monotonic, or manual.
    pub fn now(&self) -> u64 {
        self.context.shared.now()
    }

    /// Calls once, `delay` nanoseconds from now and never earlier. INVALID_ARGUMENT as of [`after`], NO_MEMORY; then the call
    /// is dropped.
    pub fn call_later(&self, delay: u64, call: C) -> Result<u64> {
        self.context.check_open()?;
        let due = after(self.now(), delay)?;
        let mut timers = self.timers.borrow_mut();
        // The borrow is over where the call is dropped: `timers` is the younger one.
        timers.reserve()?;
        let id = timers.insert(due, call);
        drop(timers);
        self.update_alarm();
        Ok(id)
    }

    /// ALREADY_CALLED and ALREADY_CANCELLED for the last 4096 calls that ended, else NOT_FOUND.
    pub fn cancel_call(&self, id: u64) -> Result {
        let call = self.timers.borrow_mut().cancel(id);
        self.update_alarm();
        call.map(drop)
    }

    /// Moves a call to `delay` nanoseconds from now. Errors as of [`Reactor::cancel_call`]; INVALID_ARGUMENT as of
    /// [`after`]; NO_MEMORY.
    pub fn reset_call(&self, id: u64, delay: u64) -> Result {
        let due = after(self.now(), delay)?;
        self.reset_to(id, due)
    }

    /// Moves a call by `more` nanoseconds. Errors as of [`Reactor::reset_call`].
    pub fn delay_call(&self, id: u64, more: i64) -> Result {
        let due = self.call_time(id)?.saturating_add_signed(more);
        self.reset_to(id, due)
    }

    fn reset_to(&self, id: u64, due: u64) -> Result {
        self.timers.borrow_mut().reset(id, due)?;
        self.update_alarm();
        Ok(())
    }

    /// The instant at which a call is due. Errors as of [`Reactor::cancel_call`].
    pub fn call_time(&self, id: u64) -> Result<u64> {
        self.timers.borrow().due(id)
    }

    /// Fills `ids` with pending calls, in no order; the answer is how many there are.
    pub fn delayed_calls(&self, ids: &mut [u64]) -> usize {
        let timers = self.timers.borrow();
        ids.iter_mut().zip(timers.ids()).for_each(|(place, id)| *place = id);
        timers.len()
    }

    /// Moves a manual clock, and runs what falls due in order, calls made meanwhile too. NOT_SUPPORTED without one,
    /// INVALID_ARGUMENT as of [`check_span`].
    pub fn advance(&self, by: u64) -> Result {
        let shared = &self.context.shared;
        if !shared.is_manual() {
            return Err(Status::NOT_SUPPORTED);
        }
        let end = shared.now().saturating_add(check_span(by)?);
        self.dispatch_scope(|| {
            while let Some(call) = self.take_due_by(end) {
                self.run_call(call);
                if shared.owner.is_unusable() {
                    return;
                }
            }
        });
        self.check_alive()?;
        shared.set_now(end);
        self.sweep();
        self.update_alarm();
        Ok(())
    }

    fn take_due_by(&self, end: u64) -> Option<C> {
        let (due, call) = self.timers.borrow_mut().pop_until(end)?;
        self.context.shared.set_now(due);
        Some(call)
    }

    /// Runs what is due, but not what is made meanwhile.
    pub(super) fn run_due(&self) {
        if self.timers.borrow().is_empty() {
            return;
        }
        let now = self.now();
        self.timers.borrow_mut().begin_pass();
        while let Some(call) = self.pop_due(now) {
            self.run_call(call);
            if self.context.shared.owner.is_unusable() {
                return;
            }
        }
    }

    fn pop_due(&self, now: u64) -> Option<C> {
        self.timers.borrow_mut().pop_due(now)
    }

    fn run_call(&self, call: C) {
        self.counters.timers_fired.add(1);
        call.call(self);
    }

    /// The instant at which the next call is due.
    pub(super) fn next_call(&self) -> Option<u64> {
        self.timers.borrow_mut().next_due()
    }

    /// Any pending call, for the end.
    pub(super) fn take_timer(&self) -> Option<C> {
        self.timers.borrow_mut().take_any()
    }

    pub(super) fn timers_pending(&self) -> usize {
        self.timers.borrow().len()
    }
}
