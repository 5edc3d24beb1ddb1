//! Life inside another loop, which waits for one descriptor.

use super::{Call, Reactor};
use crate::context::ALARM_TOKEN;
use crate::refusal;
use crate::status::{Result, Status};
use crate::sys::clock;
use crate::sys::{Alarm, Handle, Interest, may_be_refused};
use std::cell::{Cell, RefCell};

/// What a reactor needs inside another loop.
#[derive(Default)]
pub(super) struct Embedding {
    alarm: RefCell<Option<Alarm>>,
    /// The instant that the alarm is set to.
    alarm_deadline: Cell<Option<u64>>,
}

impl Embedding {
    pub(super) fn fd(&self) -> Option<Handle> {
        self.alarm.borrow().as_ref().map(Alarm::fd)
    }

    pub(super) fn renew(&self) -> Result {
        self.alarm_deadline.set(None);
        Ok(self.alarm.borrow().as_ref().map_or(Ok(()), Alarm::renew)?)
    }
}

impl<C: Call> Reactor<C> {
    /// The descriptor of the epoll set. From this call on it is readable whenever a turn has anything to do.
    ///
    /// # Errors
    /// NOT_SUPPORTED if a sandbox refuses the alarm, or the system has no such descriptor.
    pub fn backend_fd(&self) -> Result<Handle> {
        let unsupported =
            || refusal::unsupported("reactor", "has no descriptor that another loop can wait for");
        let handle = self.context.poller.handle().ok_or_else(unsupported)?;
        if self.embedding.fd().is_none() {
            let refused = |error| match may_be_refused(&error) {
                true => refusal::unsupported("reactor", "cannot have a timer: timerfd_create(2) is refused"),
                false => Status::from(error),
            };
            let alarm = Alarm::new().map_err(refused)?;
            self.context.kernel.watch(&self.context.poller, alarm.fd(), Interest::READABLE, ALARM_TOKEN)?;
            self.embedding.alarm.replace(Some(alarm));
            self.context.set_embedded();
            self.context.shared.waker.republish();
            self.update_alarm();
        }
        Ok(handle)
    }

    /// Nanoseconds until a turn has something to do that no descriptor reports: 0 if it has now.
    pub fn next_timeout(&self) -> Option<u64> {
        self.timeout(None)
    }

    /// What is due has changed: sets the alarm for the embedding loop.
    pub(super) fn update_alarm(&self) {
        if self.context.is_embedded() {
            self.set_alarm();
        }
    }

    fn set_alarm(&self) {
        if self.is_due() {
            return self.context.shared.waker.wake();
        }
        let instant = self.next_instant();
        if instant == self.embedding.alarm_deadline.get() {
            return;
        }
        let timeout = instant.map(|instant| instant.saturating_sub(clock::now()));
        let set = self.embedding.alarm.borrow().as_ref().map_or(Ok(()), |alarm| alarm.set(timeout));
        if set.is_ok() {
            self.embedding.alarm_deadline.set(instant);
        }
    }

    /// Turns the alarm off. Otherwise it stays readable until it is set again.
    pub(super) fn clear_alarm(&self) {
        self.embedding.alarm_deadline.set(None);
        let cleared = self.embedding.alarm.borrow().as_ref().map_or(Ok(()), |alarm| alarm.set(None));
        // EINVAL and EBADF cannot happen with an alarm of ours.
        let _ = cleared;
    }
}
