//! The thread pool, and look-ups on threads of their own: Twisted's IReactorInThreads and IHostnameResolver.

use super::{Call, Reactor, Remote};
use crate::addr::Addr;
use crate::resolver::{self, HostSpec, LookupResult, Next, Permit, Query};
use crate::status::{Result, Status};
use crate::sys::LookUp;
use crate::sys::thread::{self, SignalMask};
use crate::sys::{clock, tsan};
use crate::threads::{Pool, Task};
use crate::timer::after;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Work for a pool thread.
pub trait Job<C: Call>: Send + 'static {
    /// Does the work, on a pool thread.
    fn work(&mut self);

    /// The call that the reactor makes when the work is done. It is dropped uncalled if the reactor ends before.
    fn done(self: Box<Self>) -> C;
}

/// The callback of a look-up.
pub trait ResolveCallback<C: Call> {
    /// Called once, with all addresses in the system's order, or the reason why there are none.
    fn resolved(self: Box<Self>, reactor: &Reactor<C>, id: u64, result: Result<&[Addr]>);
}

struct Work<C: Call> {
    job: Box<dyn Job<C>>,
    /// The mask of the thread that submitted it. The work runs with it, and so do the processes that the work starts.
    mask: SignalMask,
    remote: Arc<Remote<C>>,
}

impl<C: Call> Task for Work<C> {
    fn run(mut self: Box<Self>) {
        self.mask.during(|| self.job.work());
        self.remote.finish(self.job.done());
    }
}

/// A look-up on a thread of its own, which sends its result to the reactor.
struct LookupThread<C: Call> {
    id: u64,
    query: Query,
    look_up: LookUp,
    remote: Arc<Remote<C>>,
    /// Dropped after everything else.
    permit: Permit,
}

impl<C: Call> LookupThread<C> {
    fn run(self) {
        let LookupThread { id, query, look_up, remote, permit } = self;
        let result = catch_unwind(AssertUnwindSafe(|| look_up(&query.name, query.version)));
        // A panic is a bug of ours. The payload is leaked, since its destructor could panic as well.
        let result = result.map_err(std::mem::forget).unwrap_or(Err(Status::PANIC));
        let with_port = |addr| Addr { port: query.port, ..addr };
        remote.complete_lookup(id, result.map(|addrs| addrs.into_iter().map(with_port).collect()));
        // This may be the last reference, or another thread's may be.
        tsan::release(&*remote);
        drop(remote);
        drop(permit);
    }
}

impl<C: Call> Reactor<C> {
    /// Does work on a pool thread, then makes a call on the reactor's thread.
    ///
    /// # Errors
    /// NO_MEMORY if no thread can be made.
    pub fn call_in_thread(&self, job: Box<dyn Job<C>>) -> Result {
        self.context.check_open()?;
        self.submit(Box::new(Work { job, mask: SignalMask::current(), remote: self.remote.clone() }))
    }

    /// Sets the size of the pool; 0 stands for the default, 10.
    ///
    /// # Errors
    /// INVALID_ARGUMENT above 1024.
    pub fn suggest_thread_pool_size(&self, size: usize) -> Result {
        self.context.check_open()?;
        if let Some(pool) = self.pool.borrow_mut().as_mut() {
            return pool.set_size(size);
        }
        let pool = Pool::new(size)?;
        self.pool.replace(Some(pool));
        Ok(())
    }

    /// Looks `host` up. The result is delivered in a later turn, once, within `timeout` nanoseconds (0: 60 s).
    ///
    /// # Errors
    /// INVALID_ARGUMENT for what cannot be a name, and as [`after`]; NO_MEMORY.
    pub fn resolve(
        &self,
        host: &str,
        port: u16,
        version: u16,
        timeout: u64,
        call: Box<dyn ResolveCallback<C>>,
    ) -> Result<u64> {
        self.context.check_open()?;
        let host = resolver::host(host, port, version)?;
        let timeout = if timeout == 0 { resolver::TIMEOUT_DEFAULT } else { timeout };
        self.lookups.borrow_mut().reserve()?;
        let deadline = after(self.now(), timeout, "timeout")?;
        let id = match host {
            HostSpec::Known(result) => {
                let id = self.lookups.borrow_mut().add(deadline, None, call);
                self.lookups.borrow_mut().complete(id, result)?;
                id
            }
            HostSpec::Name(name) => {
                let query = Query { name, port, version };
                let id = self.lookups.borrow_mut().add(deadline, Some(query), call);
                if let Err(status) = self.begin_lookups() {
                    let call = self.lookups.borrow_mut().take(id);
                    drop(call);
                    return Err(status);
                }
                id
            }
        };
        self.update_alarm();
        Ok(id)
    }

    /// Makes threads for the look-ups that may begin.
    ///
    /// # Errors
    /// NO_MEMORY if the first of them gets no thread, and no other thread will end: it is tried again all the same.
    fn begin_lookups(&self) -> Result {
        self.next_lookup.set(None);
        loop {
            let now = clock::now();
            let next = self.lookups.borrow_mut().begin(now);
            let (id, query) = match next {
                Next::Begin(id, query) => (id, query),
                Next::NotBefore(instant) => {
                    self.next_lookup.set(Some(instant));
                    return Ok(());
                }
                Next::Nothing => return Ok(()),
            };
            let permit = Permit::take();
            let is_permitted = permit.is_some();
            if !permit.is_some_and(|permit| self.start_thread(id, &query, permit)) {
                self.next_lookup.set(Some(now + resolver::TRY_AGAIN));
                let mut lookups = self.lookups.borrow_mut();
                lookups.requeue(id, query);
                return if is_permitted && lookups.threads() == 0 { Err(Status::NO_MEMORY) } else { Ok(()) };
            }
        }
    }

    /// Returns false if no thread can be made.
    fn start_thread(&self, id: u64, query: &Query, permit: Permit) -> bool {
        let (look_up, remote) = (self.context.kernel.look_up(), self.remote.clone());
        let task = LookupThread { id, query: query.clone(), look_up, remote, permit };
        // Nobody waits for its end: see the resolver.
        thread::spawn(c"udpr-resolve", move || task.run()).is_ok()
    }

    /// Begins the look-ups that may begin now.
    pub(super) fn resume_lookups(&self) {
        if self.next_lookup.get().is_some_and(|instant| instant <= clock::now()) {
            self.continue_lookups();
        }
    }

    fn continue_lookups(&self) {
        // NO_MEMORY: it is tried again.
        let _ = self.begin_lookups();
    }

    /// The instant of CLOCK_MONOTONIC at which a look-up that waits may begin.
    pub(super) fn next_lookup(&self) -> Option<u64> {
        self.next_lookup.get()
    }

    /// The result of the look-up will be CANCELLED, in a later turn.
    ///
    /// # Errors
    /// NOT_FOUND if its result was delivered.
    pub fn cancel_resolve(&self, id: u64) -> Result {
        self.lookups.borrow_mut().cancel(id)?;
        self.continue_lookups();
        self.update_alarm();
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
        // A task that is refused is dropped after the borrow has ended.
        if matches!(submitted, Some(Ok(()))) { Ok(()) } else { Err(Status::NO_MEMORY) }
    }

    /// Takes the results that threads have found, for the next turn.
    pub(super) fn collect_lookups(&self) {
        if self.take_lookup_results() {
            self.continue_lookups();
        }
    }

    /// Returns false if there were none.
    fn take_lookup_results(&self) -> bool {
        let mut lookups = self.lookups.borrow_mut();
        let count = |results: usize, (id, result)| {
            lookups.thread_ended(id, result);
            results + 1
        };
        self.remote.take_results().fold(0, count) > 0
    }

    /// The results that this turn delivers. Results that arrive meanwhile wait for the next turn.
    pub(super) fn results(&self) -> Vec<(u64, LookupResult)> {
        if self.lookups.borrow().is_empty() {
            return Vec::new();
        }
        let now = self.now();
        let results = self.lookups.borrow_mut().take_results(now);
        // Look-ups that have timed out leave their places to others.
        if !results.is_empty() {
            self.continue_lookups();
        }
        results
    }

    pub(super) fn deliver_lookup(&self, id: u64, result: &LookupResult) {
        let call = self.lookups.borrow_mut().take(id);
        if let Some((call, cancelled)) = call {
            let result =
                if cancelled { Err(Status::CANCELLED) } else { result.as_deref().map_err(|status| *status) };
            call.resolved(self, id, result);
        }
    }

    /// True if a result waits to be delivered.
    pub(super) fn has_results(&self) -> bool {
        self.lookups.borrow().has_results()
    }

    /// The instant at which the next look-up times out.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.lookups.borrow_mut().next_deadline()
    }

    /// In a forked child the pool's threads do not exist: its work stays the parent's, look-ups are CANCELLED.
    pub(super) fn forget_work(&self) {
        std::mem::forget(self.pool.take());
        self.take_lookup_results();
        self.lookups.borrow_mut().complete_all(Status::CANCELLED);
        self.lookups.borrow_mut().forget_threads();
        self.next_lookup.set(None);
    }

    /// Waits for the work in progress, and drops all that will not be called.
    pub(super) fn end_work(&self) {
        let pool = self.pool.take();
        self.drop_queue(pool.map(Pool::close).unwrap_or_default());
        self.drop_each(|| self.take_lookup());
    }

    fn take_lookup(&self) -> Option<Box<dyn ResolveCallback<C>>> {
        self.lookups.borrow_mut().take_any()
    }
}
