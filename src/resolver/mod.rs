//! Look-ups that are under way, those that wait, and what a host name may be.
//!
//! A look-up calls getaddrinfo(3), which nobody can end: a thread that is in it stays there until the system gives up. So each
//! has a thread of its own, apart from the pool for work, and once a look-up has its answer (it was cancelled, or its time is
//! up) its thread is *dead weight*: it is not waited for, and another one takes its place. All of them are bounded: by reactor
//! here, and by process in [`permit`].

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

/// Nanoseconds that a look-up may take if its owner says nothing: 60 s.
pub const TIMEOUT_DEFAULT: u64 = 60_000_000_000;
/// So many look-ups of a reactor are under way at most. The others wait in the order that they were made.
pub const UNDER_WAY_MAX: usize = 16;
/// So many threads a reactor has at most for look-ups, dead weight included: half of what the process has.
pub const THREADS_MAX: usize = permit::THREADS_MAX / 2;
/// While a reactor has so much dead weight as it may have look-ups under way, it begins one look-up in that time: 250 ms, in
/// nanoseconds. Otherwise a burst of look-ups that are given up at once would use up all threads, and nothing could be looked up
/// until the system gives up.
const PACE: u64 = 250_000_000;
/// How long a look-up waits for a thread that it could not have, 20 ms, in nanoseconds: another reactor's thread may have ended.
pub const TRY_AGAIN: u64 = 20_000_000;

/// What a look-up comes to.
pub type LookupResult = Result<Vec<Addr>>;

/// What a host name stands for before anybody is asked.
pub enum Host {
    /// No look-up is needed.
    Known(LookupResult),
    /// A name for the system.
    Name(CString),
}

/// What a look-up asks the system for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The name.
    pub name: CString,
    /// The port of the addresses that are found.
    pub port: u16,
    /// One of [`crate::addr::family`], or unspecified.
    pub version: u16,
}

/// What may begin now.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// This look-up, to which a thread has to be given.
    Begin(u64, Query),
    /// Nothing before this instant.
    NotBefore(u64),
    /// Nothing before an answer, or nothing at all.
    Nothing,
}

enum Stage {
    Waiting(Query),
    UnderWay,
    /// It has no thread and needs none: it has its answer, which is still to be delivered.
    Settled,
}

struct Lookup<T> {
    call: T,
    /// Its deadline, among the others.
    deadline: u64,
    stage: Stage,
    cancelled: bool,
}

/// Look-ups with a `T` to call each.
pub struct Lookups<T> {
    entries: Slots<Lookup<T>>,
    deadlines: Timers<u64>,
    /// Answers for the next turn.
    ready: Vec<(u64, LookupResult)>,
    /// Those that wait for a thread, in order, among some that wait no more.
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
    /// Makes room, so that the next [`Lookups::add`] needs no memory. NO_MEMORY.
    pub fn reserve(&mut self) -> Result {
        self.entries.reserve(1)?;
        self.deadlines.reserve()?;
        Ok(self.queue.try_reserve(1)?)
    }

    /// Adds one, which gives up at `deadline`. It waits for a thread if there is a query.
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

    /// Its answer, for the next turn. NOT_FOUND if it has one already.
    pub fn complete(&mut self, id: u64, complete: LookupResult) -> Result {
        let timer = self.entries.get(id).ok_or(Status::NOT_FOUND)?.deadline;
        self.deadlines.cancel(timer).map_err(|_| Status::NOT_FOUND)?;
        self.settle(id);
        self.ready.push((id, complete));
        Ok(())
    }

    /// Its answer is CANCELLED, also if it has another one that was not delivered yet. NOT_FOUND, also the second time.
    pub fn cancel(&mut self, id: u64) -> Result {
        let entry = self.entries.get_mut(id).filter(|entry| !entry.cancelled).ok_or(Status::NOT_FOUND)?;
        entry.cancelled = true;
        // NOT_FOUND: its answer is on its way, and will be CANCELLED instead.
        let _ = self.complete(id, Err(Status::CANCELLED));
        Ok(())
    }

    /// What may begin at `now`; it counts as begun, with a thread of its own.
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

    /// It could have no thread: it is the next one again.
    pub fn requeue(&mut self, id: u64, query: Query) {
        self.threads -= 1;
        if let Some(entry) = self.entries.get_mut(id) {
            entry.stage = Stage::Waiting(query);
            self.under_way -= 1;
            self.waiting += 1;
            self.queue.push_front(id); // where it was
        }
    }

    /// A thread has ended with the answer of its look-up.
    pub fn thread_ended(&mut self, id: u64, complete: LookupResult) {
        self.threads = self.threads.saturating_sub(1);
        // NOT_FOUND: cancelled, or too late.
        let _ = self.complete(id, complete);
    }

    /// In a forked child: the threads are the parent's.
    pub fn forget_threads(&mut self) {
        self.threads = 0;
    }

    /// How many threads look something up, dead weight included.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// True if none is under way.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// True if an answer waits for the next turn.
    pub fn has_results(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The answers that there are; a look-up whose time is up by `now` has TIMED_OUT.
    pub fn take_results(&mut self, now: u64) -> Vec<(u64, LookupResult)> {
        self.deadlines.begin_pass();
        while let Some(id) = self.deadlines.pop_due(now) {
            self.settle(id);
            self.ready.push((id, Err(Status::TIMED_OUT)));
        }
        std::mem::take(&mut self.ready)
    }

    /// Takes one out, to be called, and whether it was cancelled. None if it was taken before.
    pub fn take(&mut self, id: u64) -> Option<(T, bool)> {
        self.settle(id);
        self.entries.remove(id).map(|entry| (entry.call, entry.cancelled))
    }

    /// The instant at which the next one gives up.
    pub fn next_deadline(&mut self) -> Option<u64> {
        self.deadlines.next_due()
    }

    /// Takes any, for the end.
    pub fn take_any(&mut self) -> Option<T> {
        let id = self.entries.ids().next()?;
        self.take(id).map(|(call, _)| call)
    }

    /// Every look-up without an answer gets this one.
    pub fn complete_all(&mut self, status: Status) {
        let ids: Vec<u64> = self.entries.ids().collect();
        for id in ids {
            // NOT_FOUND: it has one.
            let _ = self.complete(id, Err(status));
        }
    }

    /// It neither waits nor counts any more. Its place in the queue is vacant, and such places are dropped once they are most.
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
