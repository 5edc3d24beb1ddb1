//! Look-ups in progress, look-ups that wait, and what a host name may be.
//!
//! A look-up calls getaddrinfo(3), which cannot be interrupted: a thread that called it stays there until the system
//! gives up. So each look-up has a thread of its own, apart from the pool for work. Once a look-up has its result
//! without its thread (it was cancelled, or has timed out), its thread is *abandoned*: nobody waits for it, and another
//! thread may take its place. The number of threads is bounded: by reactor here, and by process in [`permit`].

mod host;
mod permit;
#[cfg(test)]
mod tests;

pub use host::host;
pub use permit::Permit;

use crate::addr::Addr;
use crate::slots::{Kind, Slots};
use crate::status::{Result, Status};
use crate::timer::Timers;
use std::collections::VecDeque;
use std::ffi::CString;

/// The default timeout of a look-up in nanoseconds: 60 s.
pub const TIMEOUT_DEFAULT: u64 = 60_000_000_000;
/// At most so many look-ups of a reactor are in progress. The others wait in the order in which they were made.
pub const UNDER_WAY_MAX: usize = 16;
/// At most so many threads of a reactor look names up, abandoned ones included: half of what the process may have.
pub const THREADS_MAX: usize = permit::THREADS_MAX / 2;
/// While a reactor has as many abandoned threads as it may have look-ups in progress, it begins one look-up in this
/// time: 250 ms, in nanoseconds. Otherwise a burst of look-ups that are cancelled at once would use up all threads, and
/// nothing could be looked up until the system gives up.
const PACE: u64 = 250_000_000;
/// How long a look-up waits after no thread could be made for it: 20 ms, in nanoseconds. Another reactor's thread may
/// have ended then.
pub const TRY_AGAIN: u64 = 20_000_000;

/// The result of a look-up.
pub type LookupResult = Result<Vec<Addr>>;

/// What a host name stands for before it is looked up.
pub enum HostSpec {
    /// No look-up is needed.
    Known(LookupResult),
    /// A name to be looked up.
    Name(CString),
}

/// The arguments of a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The host name.
    pub name: CString,
    /// The port of the addresses that are found.
    pub port: u16,
    /// One of [`crate::addr::family`], or unspecified.
    pub version: u16,
}

/// The look-up that may begin now.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// This look-up, which needs a thread.
    Begin(u64, Query),
    /// None before this instant.
    NotBefore(u64),
    /// None before a result arrives, or none at all.
    Nothing,
}

enum Stage {
    Waiting(Query),
    UnderWay,
    /// It has no thread and needs none: it has its result, which is still to be delivered.
    Settled,
}

struct Lookup<T> {
    call: T,
    /// The id of its deadline.
    deadline: u64,
    stage: Stage,
    cancelled: bool,
}

/// Look-ups with a `T` to call each.
pub struct Lookups<T> {
    entries: Slots<Lookup<T>>,
    deadlines: Timers<u64>,
    /// Results to be delivered in the next turn.
    ready: Vec<(u64, LookupResult)>,
    /// The ids of look-ups that wait for a thread, in order; some of them may no longer wait.
    queue: VecDeque<u64>,
    waiting: usize,
    under_way: usize,
    threads: usize,
    last_begun: u64,
}

impl<T> Default for Lookups<T> {
    fn default() -> Lookups<T> {
        Lookups {
            entries: Slots::new(Kind::Lookup),
            deadlines: Timers::new(),
            ready: Vec::new(),
            queue: VecDeque::new(),
            waiting: 0,
            under_way: 0,
            threads: 0,
            last_begun: 0,
        }
    }
}

impl<T> Lookups<T> {
    /// Makes room, so that the next [`Lookups::add`] needs no memory.
    ///
    /// # Errors
    /// NO_MEMORY.
    pub fn reserve(&mut self) -> Result {
        self.entries.reserve(1)?;
        self.deadlines.reserve()?;
        Ok(self.queue.try_reserve(1)?)
    }

    /// Adds a look-up that times out at `deadline`. With a query it waits for a thread.
    pub fn add(&mut self, deadline: u64, query: Option<Query>, call: T) -> u64 {
        let waits = query.is_some();
        let stage = query.map_or(Stage::Settled, Stage::Waiting);
        let id = self.entries.insert(Lookup { call, deadline: 0, stage, cancelled: false });
        let timer = self.deadlines.insert(deadline, id);
        if let Some(entry) = self.entries.get_mut(id) {
            entry.deadline = timer;
        }
        if waits {
            self.waiting += 1;
            self.queue.push_back(id);
        }
        id
    }

    /// Sets the result of a look-up, which is delivered in the next turn.
    ///
    /// # Errors
    /// NOT_FOUND if it has a result already.
    pub fn complete(&mut self, id: u64, result: LookupResult) -> Result {
        let timer = self.entries.get(id).ok_or(Status::NOT_FOUND)?.deadline;
        self.deadlines.cancel(timer).map_err(|_| Status::NOT_FOUND)?;
        self.settle(id);
        self.ready.push((id, result));
        Ok(())
    }

    /// The result will be CANCELLED, even if the look-up has another one that was not delivered yet.
    ///
    /// # Errors
    /// NOT_FOUND, also if it was cancelled before.
    pub fn cancel(&mut self, id: u64) -> Result {
        let entry = self.entries.get_mut(id).filter(|entry| !entry.cancelled).ok_or(Status::NOT_FOUND)?;
        entry.cancelled = true;
        // NOT_FOUND: its result waits to be delivered, and CANCELLED will be delivered instead.
        let _ = self.complete(id, Err(Status::CANCELLED));
        Ok(())
    }

    /// The look-up that may begin at `now`. It counts as begun, with a thread of its own.
    pub fn begin(&mut self, now: u64) -> Next {
        if self.waiting == 0 || self.under_way >= UNDER_WAY_MAX || self.threads >= THREADS_MAX {
            return Next::Nothing;
        }
        let next_pace = self.last_begun.saturating_add(PACE);
        if self.threads.saturating_sub(self.under_way) >= UNDER_WAY_MAX && now < next_pace {
            return Next::NotBefore(next_pace);
        }
        while let Some(id) = self.queue.pop_front() {
            let waits = self.entries.get_mut(id).filter(|entry| matches!(entry.stage, Stage::Waiting(_)));
            let Some(entry) = waits else { continue };
            let Stage::Waiting(query) = std::mem::replace(&mut entry.stage, Stage::UnderWay) else {
                continue;
            };
            self.waiting -= 1;
            self.under_way += 1;
            self.threads += 1;
            self.last_begun = now;
            return Next::Begin(id, query);
        }
        Next::Nothing
    }

    /// No thread could be made for it: it is the next one again.
    pub fn requeue(&mut self, id: u64, query: Query) {
        self.threads -= 1;
        if let Some(entry) = self.entries.get_mut(id) {
            entry.stage = Stage::Waiting(query);
            self.under_way -= 1;
            self.waiting += 1;
            self.queue.push_front(id); // where it was
        }
    }

    /// A thread has ended with the result of its look-up.
    pub fn thread_ended(&mut self, id: u64, result: LookupResult) {
        self.threads = self.threads.saturating_sub(1);
        // NOT_FOUND: it was cancelled or has timed out.
        let _ = self.complete(id, result);
    }

    /// In a forked child: the threads belong to the parent.
    pub fn forget_threads(&mut self) {
        self.threads = 0;
    }

    /// The number of threads that look names up, abandoned ones included.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// True if no look-up is in progress.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// True if a result waits for the next turn.
    pub fn has_results(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes the results. A look-up whose deadline has passed at `now` has TIMED_OUT.
    pub fn take_results(&mut self, now: u64) -> Vec<(u64, LookupResult)> {
        self.deadlines.begin_pass();
        while let Some(due) = self.deadlines.pop_due(now) {
            let id = due.call;
            self.deadlines.end_call(due.id, id);
            self.settle(id);
            self.ready.push((id, Err(Status::TIMED_OUT)));
        }
        std::mem::take(&mut self.ready)
    }

    /// Removes a look-up to deliver its result, and returns whether it was cancelled. None if it was removed before.
    pub fn take(&mut self, id: u64) -> Option<(T, bool)> {
        self.settle(id);
        self.entries.remove(id).map(|entry| (entry.call, entry.cancelled))
    }

    /// The instant at which the next look-up times out.
    pub fn next_deadline(&mut self) -> Option<u64> {
        self.deadlines.next_due()
    }

    /// Removes any look-up, when the owner ends.
    pub fn take_any(&mut self) -> Option<T> {
        let id = self.entries.ids().next()?;
        self.take(id).map(|(call, _)| call)
    }

    /// Every look-up without a result gets this one.
    pub fn complete_all(&mut self, status: Status) {
        let ids: Vec<u64> = self.entries.ids().collect();
        for id in ids {
            // NOT_FOUND: it has a result.
            let _ = self.complete(id, Err(status));
        }
    }

    /// The look-up neither waits nor counts any more. Its place in the queue is vacant; vacant places are dropped once
    /// they are the majority.
    fn settle(&mut self, id: u64) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        match std::mem::replace(&mut entry.stage, Stage::Settled) {
            Stage::Waiting(_) => self.waiting -= 1,
            Stage::UnderWay => self.under_way -= 1,
            Stage::Settled => {}
        }
        if self.queue.len() > 2 * self.waiting + UNDER_WAY_MAX {
            let entries = &self.entries;
            let waits =
                |id: &u64| entries.get(*id).is_some_and(|entry| matches!(entry.stage, Stage::Waiting(_)));
            self.queue.retain(waits);
        }
    }
}
