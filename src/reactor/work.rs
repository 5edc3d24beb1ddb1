//! The thread pool and the look-ups on it: IReactorInThreads and IHostnameResolver.

use super::{Call, Reactor, Remote};
use crate::addr::Addr;
use crate::resolver::{self, Answer, Host};
use crate::status::{Result, Status};
use crate::sys::names::LookUp;
use crate::threads::{Pool, Task};
use crate::timer::after;
use std::ffi::CString;
use std::sync::Arc;

/// Something for a pool thread.
pub trait Job<C: Call>: Send + 'static {
    /// On a pool thread.
    fn work(&mut self);

    /// What the reactor calls when it is done. Dropped uncalled where the reactor ends before.
    fn done(self: Box<Self>) -> C;
}

/// What is told of a look-up, once.
pub trait Resolved<C: Call> {
    /// All addresses in the system's order, or why there are none.
    fn resolved(self: Box<Self>, reactor: &Reactor<C>, id: u64, answer: Result<&[Addr]>);
}

struct Work<C: Call> {
    job: Box<dyn Job<C>>,
    remote: Arc<Remote<C>>,
}

impl<C: Call> Task for Work<C> {
    fn run(mut self: Box<Self>) {
        self.job.work();
        self.remote.finish(self.job.done());
    }

    fn may_be_left(&self) -> bool {
        false
    }
}

struct NameTask<C: Call> {
    id: u64,
    name: CString,
    port: u16,
    version: u16,
    look_up: LookUp,
    remote: Arc<Remote<C>>,
}

impl<C: Call> Task for NameTask<C> {
    fn run(self: Box<Self>) {
        let answer = (self.look_up)(&self.name, self.version);
        let answer =
            answer.map(|addrs| addrs.into_iter().map(|addr| Addr { port: self.port, ..addr }).collect());
        self.remote.answer(self.id, answer);
    }

    fn may_be_left(&self) -> bool {
        true
    }
}

impl<C: Call> Reactor<C> {
    /// Works on a pool thread, then calls on the reactor's. NO_MEMORY where no thread can be made.
    pub fn call_in_thread(&self, job: Box<dyn Job<C>>) -> Result {
        self.turn.check_open()?;
        self.submit(Box::new(Work { job, remote: self.remote.clone() }))
    }

    /// At most `size` pool threads; 0 stands for the default, 10. INVALID_ARGUMENT above 1024.
    pub fn suggest_thread_pool_size(&self, size: usize) -> Result {
        self.turn.check_open()?;
        if let Some(pool) = self.pool.borrow_mut().as_mut() {
            return pool.set_size(size);
        }
        let pool = Pool::new(size)?;
        self.pool.replace(Some(pool));
        Ok(())
    }

    /// Looks `host` up; the answer comes in a later turn, once, within `timeout` nanoseconds (0: 60 s).
    /// INVALID_ARGUMENT for what cannot be a name, and as of [`after`]; NO_MEMORY.
    pub fn resolve(
        &self,
        host: &str,
        port: u16,
        version: u16,
        timeout: u64,
        call: Box<dyn Resolved<C>>,
    ) -> Result<u64> {
        self.turn.check_open()?;
        let host = resolver::host(host, port, version)?;
        let timeout = if timeout == 0 { resolver::TIMEOUT_DEFAULT } else { timeout };
        self.lookups.borrow_mut().reserve()?;
        let deadline = after(self.now(), timeout)?;
        let id = self.lookups.borrow_mut().add(deadline, call);
        let asked = match host {
            Host::Known(answer) => self.lookups.borrow_mut().answer(id, answer),
            Host::Name(name) => {
                let (look_up, remote) = (self.turn.kernel.look_up(), self.remote.clone());
                self.submit(Box::new(NameTask { id, name, port, version, look_up, remote }))
            }
        };
        if let Err(status) = asked {
            let call = self.lookups.borrow_mut().take(id);
            drop(call);
            return Err(status);
        }
        self.poke();
        Ok(id)
    }

    /// The look-up's answer is CANCELLED, in a later turn. NOT_FOUND where it was told its answer.
    pub fn cancel_resolve(&self, id: u64) -> Result {
        self.lookups.borrow_mut().cancel(id)?;
        self.poke();
        Ok(())
    }

    /// True on a thread of the pool: inside work.
    pub fn is_at_work(&self) -> bool {
        self.pool.borrow().as_ref().is_some_and(Pool::is_worker)
    }

    fn submit(&self, task: Box<dyn Task>) -> Result {
        if self.pool.borrow().is_none() {
            self.suggest_thread_pool_size(self.pool_size)?;
        }
        let submitted = self.pool.borrow_mut().as_mut().map(|pool| pool.submit(task));
        // The borrow is over where a refused task is dropped.
        if matches!(submitted, Some(Ok(()))) { Ok(()) } else { Err(Status::NO_MEMORY) }
    }

    /// What the pool has found out, for the next turn.
    pub(super) fn hear_answers(&self) {
        for (id, answer) in self.remote.take_answers() {
            // NOT_FOUND: cancelled, or too late.
            let _ = self.lookups.borrow_mut().answer(id, answer);
        }
    }

    /// The answers that this turn tells; what comes meanwhile waits for the next one.
    pub(super) fn answers(&self) -> Vec<(u64, Answer)> {
        if self.lookups.borrow().is_empty() {
            return Vec::new();
        }
        let now = self.now();
        self.lookups.borrow_mut().take_answers(now)
    }

    pub(super) fn tell_answer(&self, id: u64, answer: &Answer) {
        let call = self.lookups.borrow_mut().take(id);
        if let Some((call, cancelled)) = call {
            let answer =
                if cancelled { Err(Status::CANCELLED) } else { answer.as_deref().map_err(|status| *status) };
            call.resolved(self, id, answer);
        }
    }

    /// True where an answer waits to be told.
    pub(super) fn has_answers(&self) -> bool {
        self.lookups.borrow().has_answers()
    }

    /// The instant at which the next look-up gives up.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.lookups.borrow_mut().next_deadline()
    }

    /// In a forked child the pool's threads are not there: its work stays the parent's, look-ups are CANCELLED.
    pub(super) fn forget_work(&self) {
        std::mem::forget(self.pool.take());
        self.lookups.borrow_mut().answer_all(Status::CANCELLED);
    }

    /// Waits for work that runs, and drops all that nobody will call.
    pub(super) fn end_work(&self) {
        let pool = self.pool.take();
        self.drop_queue(pool.map(Pool::close).unwrap_or_default());
        self.drop_each(|| self.take_lookup());
    }

    fn take_lookup(&self) -> Option<Box<dyn Resolved<C>>> {
        self.lookups.borrow_mut().take_any()
    }
}
