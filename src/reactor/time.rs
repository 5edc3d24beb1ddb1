//! Delayed calls: Twisted's IReactorTime and IDelayedCall.

use super::delayed::Delayed;
use super::{Call, Reactor};
use crate::refusal;
use crate::status::Result;
use crate::timer::{Due, after, check_instant, check_span};

impl<C: Call> Reactor<C> {
    /// The reactor's clock in nanoseconds: monotonic, or manual.
    pub fn now(&self) -> u64 {
        self.context.shared.now()
    }

    /// Calls once, `delay` nanoseconds from now and never earlier. INVALID_ARGUMENT as of [`after`], NO_MEMORY; then the call
    /// is dropped.
    pub fn call_later(&self, delay: u64, call: C) -> Result<u64> {
        self.insert_call(after(self.now(), delay, "delay")?, || Delayed::Once(call))
    }

    /// Calls once, at `instant` of the reactor's clock. If that has passed, the call is due at once. INVALID_ARGUMENT as of
    /// [`check_instant`], NO_MEMORY; then the call is dropped.
    pub fn call_at(&self, instant: u64, call: C) -> Result<u64> {
        self.insert_call(check_instant(instant)?, || Delayed::Once(call))
    }

    /// Makes the call once there is room for it. NO_MEMORY.
    #[inline]
    pub(super) fn insert_call(&self, due: u64, make: impl FnOnce() -> Delayed<C>) -> Result<u64> {
        self.context.check_open()?;
        let mut timers = self.timers.borrow_mut();
        // If this fails, `timers` is dropped before `call`: no borrow is held while the destructor of the call runs.
        timers.reserve()?;
        let id = timers.insert(due, make());
        drop(timers);
        self.update_alarm();
        Ok(id)
    }

    /// ALREADY_CALLED and ALREADY_CANCELLED for the last 4096 calls that ended, else NOT_FOUND. If the call is being made, it is
    /// dropped after that.
    pub fn cancel_call(&self, id: u64) -> Result {
        let call = self.timers.borrow_mut().cancel(id);
        self.update_alarm();
        let call = call?;
        if let Some(port) = call.port().and_then(|token| self.port(token)) {
            port.remove_call(id);
        }
        Ok(())
    }

    /// Moves a call to `delay` nanoseconds from now. Errors as of [`Reactor::cancel_call`], but a call that is being made is
    /// pending again; INVALID_ARGUMENT as of [`after`]; NO_MEMORY.
    pub fn reset_call(&self, id: u64, delay: u64) -> Result {
        let now = self.now();
        self.reset_to(id, after(now, delay, "delay_from_now")?, now)
    }

    /// Moves a call to `instant` of the reactor's clock. Errors as of [`Reactor::reset_call`] and [`check_instant`].
    pub fn reset_call_at(&self, id: u64, instant: u64) -> Result {
        self.reset_to(id, check_instant(instant)?, self.now())
    }

    /// Moves a call by `more` nanoseconds: a call that is being made from the instant at which it was due. Errors as of
    /// [`Reactor::reset_call`].
    pub fn delay_call(&self, id: u64, more: i64) -> Result {
        let last_due = self.timers.borrow().last_due(id)?;
        self.reset_to(id, last_due.saturating_add_signed(more), self.now())
    }

    fn reset_to(&self, id: u64, due: u64, now: u64) -> Result {
        self.timers.borrow_mut().reset(id, due, now)?;
        self.update_alarm();
        Ok(())
    }

    /// The instant at which a call is due. Errors as of [`Reactor::cancel_call`].
    pub fn call_time(&self, id: u64) -> Result<u64> {
        self.timers.borrow().due(id)
    }

    /// Fills `ids` with pending calls, in no order. Returns how many there are.
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
            return Err(refusal::unsupported(
                "reactor",
                "has no manual clock; UDPR_REACTOR_MANUAL_CLOCK makes one",
            ));
        }
        let end = shared.now().saturating_add(check_span(by, "by")?);
        self.dispatch_scope(|| {
            while let Some(call) = self.take_due_by(end) {
                self.make_call(call);
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

    fn take_due_by(&self, end: u64) -> Option<Due<Delayed<C>>> {
        let due = self.timers.borrow_mut().pop_until(end, self.now())?;
        self.context.shared.set_now(due.instant);
        Some(due)
    }

    /// Runs what is due, but not what is made meanwhile.
    pub(super) fn run_due(&self) {
        if self.timers.borrow().is_empty() {
            return;
        }
        let now = self.now();
        self.timers.borrow_mut().begin_pass();
        while let Some(call) = self.pop_due(now) {
            self.make_call(call);
            if self.context.shared.owner.is_unusable() {
                return;
            }
        }
    }

    fn pop_due(&self, now: u64) -> Option<Due<Delayed<C>>> {
        self.timers.borrow_mut().pop_due(now)
    }

    /// The instant at which the next call is due.
    pub(super) fn next_call(&self) -> Option<u64> {
        self.timers.borrow_mut().next_due()
    }

    /// Any pending call, for the end.
    pub(super) fn take_timer(&self) -> Option<Delayed<C>> {
        self.timers.borrow_mut().take_any()
    }

    pub(super) fn timers_pending(&self) -> usize {
        self.timers.borrow().len()
    }
}
