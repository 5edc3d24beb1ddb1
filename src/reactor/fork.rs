//! Life in a forked child.

use super::{Call, Reactor, Source};
use crate::context::{ALARM_TOKEN, WAKE_TOKEN};
use crate::status::{Result, Status};
use crate::sys::Interest;
use crate::sys::owner::ForkedGuard;

impl<C: Call> Reactor<C> {
    /// Makes the reactor usable in a child: it gets descriptors of its own under the same numbers, and everything is
    /// registered again. The sockets are shared with the parent, work on the pool stays the parent's, look-ups are
    /// CANCELLED.
    ///
    /// # Errors
    /// REENTRANT in a callback that has forked. WRONG_THREAD if another thread was inside, or was just leaving a call
    /// here, at the fork: its half of the work does not exist here.
    pub fn after_fork(&self, child: ForkedGuard<'_>) -> Result {
        child.revive(|| self.renew())
    }

    fn renew(&self) -> Result {
        let context = &self.context;
        if self.remote.is_locked() || context.shared.is_locked() || self.is_posted_to() {
            return Err(Status::WRONG_THREAD);
        }
        context.poller.renew()?;
        context.shared.waker.renew()?;
        self.embedding.renew()?;
        context.shared.waker.register(&*context.kernel, &context.poller, WAKE_TOKEN)?;
        if let Some(alarm) = self.embedding.fd() {
            context.kernel.watch(&context.poller, alarm, Interest::READABLE, ALARM_TOKEN)?;
        }
        self.register_sources()?;
        self.drop_gathered();
        self.forget_work();
        self.update_alarm();
        Ok(())
    }

    /// True if a thread that does not exist here was just posting to a port.
    fn is_posted_to(&self) -> bool {
        let sources = self.sources.borrow();
        let mut ports = sources.iter().filter_map(|(_, source)| match source {
            Source::Port(port) => Some(port),
            Source::Watch(_) | Source::Notice(_) => None,
        });
        ports.any(|port| port.shared.is_locked())
    }

    fn register_sources(&self) -> Result {
        for (token, source) in self.sources.borrow().iter() {
            match source {
                Source::Port(port) => port.watch()?,
                // EBADF: the host has closed the descriptor of a watch, which epoll would not have reported either.
                Source::Watch(watch) => {
                    let interest = watch.interest.get();
                    let _ = self.context.kernel.watch(&self.context.poller, watch.handle, interest, token);
                }
                Source::Notice(watch) => self.renew_notices(token, watch)?,
            }
        }
        Ok(())
    }
}
