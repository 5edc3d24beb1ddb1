//! The loop.
//!
//! A turn is these steps, in this order (`tests/turn_order.rs`):
//!
//! 1. What was gathered outside callbacks is sent. Ports that have stopped are dropped.
//! 2. The loop waits until a descriptor is ready, another thread wakes it, or something is due. It does not wait if something is
//!    due already. With the option `spin` it looks for ready descriptors for some time before it waits.
//! 3. Ports that were told to stop do so, and those whose time to send what is left has passed.
//! 4. Ports deliver the datagrams that they have deferred.
//! 5. Retries that are due are made, each once, and a bounded number of them.
//! 6. Ready descriptors are served: a port sends, reports errors and receives; a watch is called.
//! 7. Results of look-ups are delivered.
//! 8. What other threads have left is taken: posted datagrams, results, a request to stop, calls.
//! 9. Watches of signals that have come are called.
//! 10. Delayed calls that are due are called.
//! 11. Error reports that were collected meanwhile are delivered.
//! 12. If a stop is due, the shutdown event begins. Ports that have stopped are dropped.
//!
//! Steps 3 to 11 run in dispatch scopes: what callbacks write there is gathered, and sent when the scope ends.

use super::{Call, Reactor, Source};
use crate::context::{ALARM_TOKEN, Lifecycle, Reason, RunStage, WAKE_TOKEN};
use crate::port::Port;
use crate::status::{Result, Status};
use crate::sys::Readiness;
use crate::sys::clock;
use crate::trigger::Event;
use std::io;
use std::sync::Arc;

/// From so many calls from threads in one turn on, with more behind them, the loop waits a moment for further ones.
const BUSY_CALLS: usize = 16;
/// How long it waits: 1 us, in nanoseconds. To look for calls takes the queue's cache lines away from the calling
/// threads, and costs them as much as a dozen calls do.
const SPIN: u64 = 1000;

impl<C: Call> Reactor<C> {
    /// Runs turns until the reactor is stopped.
    ///
    /// # Errors
    /// ALREADY_RUNNING after `start`; CLOSED in a child that was forked meanwhile; PANIC.
    pub fn run(&self) -> Result {
        let _listening = self.listen_to_stop_signals()?;
        let ended = self.runs_ended();
        self.start()?;
        while self.runs_ended() == ended {
            if let Err(status) = self.turn_once(None) {
                let _ = self.crash();
                return Err(status);
            }
            if self.take_stop_signal() && self.runs_ended() == ended {
                self.stop_by_signal();
            }
        }
        Ok(())
    }

    /// A signal stops the reactor. A further one, while a shutdown is held back, ends the run at once.
    fn stop_by_signal(&self) {
        if self.stop().is_err() {
            let _ = self.crash();
        }
    }

    /// Starts a run, as `run` does before its first turn: fires the startup event.
    ///
    /// # Errors
    /// ALREADY_RUNNING.
    pub fn start(&self) -> Result {
        self.context.check_open()?;
        self.lifecycle().start()?;
        self.fire(Event::Startup);
        Ok(())
    }

    /// The shutdown begins at the end of the turn, and `run` returns when it is over.
    ///
    /// # Errors
    /// NOT_RUNNING, also after the first stop.
    pub fn stop(&self) -> Result {
        self.lifecycle().stop()?;
        self.update_alarm();
        Ok(())
    }

    /// `run` returns after this turn, even if a trigger holds a shutdown back. Ports stay open.
    ///
    /// # Errors
    /// NOT_RUNNING.
    pub fn crash(&self) -> Result {
        if self.lifecycle().stage() == RunStage::Idle {
            return Err(Status::NOT_RUNNING);
        }
        self.end_run();
        Ok(())
    }

    /// Runs one turn, which waits at most `timeout` nanoseconds, or without a bound.
    pub fn iterate(&self, timeout: Option<u64>) -> Result {
        self.turn_once(timeout)
    }

    fn lifecycle(&self) -> &Lifecycle {
        &self.context.shared.lifecycle
    }

    fn runs_ended(&self) -> u64 {
        self.lifecycle().runs_ended()
    }

    fn turn_once(&self, limit: Option<u64>) -> Result {
        if self.context.is_gathering() {
            // WOULD_BLOCK: the rest is sent when the socket has room.
            let _ = self.flush();
        }
        self.sweep();
        let timeout = self.timeout(limit);
        let mut events = self.events.take();
        let waited = self.wait(&mut events, timeout);
        self.counters.iterations.add(1);
        let dispatched = match waited {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.dispatch(&[]),
            Err(error) => Err(error.into()),
            Ok(ready) => {
                let woken = ready > 0 || self.context.shared.waker.is_notified();
                self.counters.wakeups.add(u64::from(woken));
                self.dispatch(&events[..ready])
            }
        };
        self.events.replace(events);
        dispatched?;
        if self.lifecycle().stage() == RunStage::Stopping {
            self.fire(Event::Shutdown);
        }
        self.sweep();
        if self.context.shared.waker.try_sleep() && self.context.is_embedded() {
            self.context.shared.waker.republish();
        }
        self.update_alarm();
        self.check_alive()
    }

    /// Waits for descriptors, at first without the kernel's help, which spares the time that it needs to wake a thread.
    fn wait(&self, events: &mut [Readiness], timeout: Option<u64>) -> io::Result<usize> {
        let mut wait = |timeout| self.context.kernel.wait(&self.context.poller, events, timeout);
        let spin = timeout.map_or(self.spin, |timeout| timeout.min(self.spin));
        if spin == 0 {
            return wait(timeout);
        }
        let begin = clock::now();
        loop {
            match wait(Some(0)) {
                Ok(0) => std::hint::spin_loop(),
                ready => return ready,
            }
            let spent = clock::now().saturating_sub(begin);
            if spent >= spin {
                return wait(timeout.map(|timeout| timeout.saturating_sub(spent)));
            }
        }
    }

    /// Nanoseconds to wait: 0 if something is due, None if nothing ever will be.
    pub(super) fn timeout(&self, limit: Option<u64>) -> Option<u64> {
        if self.is_due() || self.context.shared.waker.is_notified() {
            return Some(0);
        }
        let left = self.next_instant().map(|instant| instant.saturating_sub(clock::now()));
        [limit, left].into_iter().flatten().min()
    }

    /// True if a turn has something to do that neither the clock nor a descriptor reports.
    pub(super) fn is_due(&self) -> bool {
        self.context.is_due() || self.lifecycle().stage() == RunStage::Stopping || self.has_results()
    }

    /// The next instant of CLOCK_MONOTONIC at which a turn has something to do. With a manual clock a call is due now,
    /// or when somebody advances the clock.
    pub(super) fn next_instant(&self) -> Option<u64> {
        let stop = self.context.next_stop_deadline();
        let calls = [self.next_call(), self.next_deadline(), stop].into_iter().flatten().min();
        let calls = if self.context.shared.is_manual() {
            calls.filter(|due| *due <= self.now()).map(|_| 0)
        } else {
            calls
        };
        [calls, self.context.next_retry(), self.next_lookup()].into_iter().flatten().min()
    }

    fn dispatch(&self, events: &[Readiness]) -> Result {
        let context = &self.context;
        let results = self.results();
        self.resume_lookups();
        context.pass_stop_deadlines(|| self.now());
        self.run_scheduled(Reason::Stop);
        self.run_scheduled(Reason::Deferred);
        self.run_scheduled(Reason::Retry);
        let mut woken = false;
        for event in events {
            self.check_alive()?;
            match event.token {
                WAKE_TOKEN => woken = true,
                ALARM_TOKEN => self.clear_alarm(),
                _ => self.dispatch_scope(|| self.source_ready(*event)),
            }
        }
        for (id, answer) in results {
            self.check_alive()?;
            self.dispatch_scope(|| self.deliver_lookup(id, &answer));
        }
        self.check_alive()?;
        let waker = &context.shared.waker;
        if woken {
            waker.clear();
        }
        if waker.is_notified() {
            waker.begin_drain();
            self.dispatch_scope(|| self.drain_remote());
            self.check_alive()?;
            self.dispatch_scope(|| self.deliver_notices());
        }
        self.check_alive()?;
        self.dispatch_scope(|| self.run_due());
        self.check_alive()?;
        self.run_scheduled(Reason::ErrorReports);
        self.check_alive()
    }

    /// Visits each port that was scheduled for this reason, in a dispatch of its own.
    #[inline]
    fn run_scheduled(&self, reason: Reason) {
        // Most turns have no port for most reasons.
        if self.context.has_scheduled(reason) {
            self.visit_scheduled(reason);
        }
    }

    #[inline(never)]
    fn visit_scheduled(&self, reason: Reason) {
        let visit = |token| self.dispatch_scope(|| self.with_port(token, |port| port.run_scheduled(reason)));
        self.context.drain(reason, visit);
    }

    fn source_ready(&self, ready: Readiness) {
        let port = match self.sources.borrow().get(ready.token) {
            Some(Source::Port(port)) => Some(port.clone()),
            _ => None,
        };
        match port {
            Some(port) => port.ready(ready),
            None => self.watch_ready(ready),
        }
    }

    /// Runs callbacks. What they write is gathered, and sent when they have returned. Does nothing if the reactor is
    /// unusable.
    pub(super) fn dispatch_scope(&self, callbacks: impl FnOnce()) {
        if self.context.shared.owner.is_unusable() {
            return;
        }
        self.context.set_dispatching(true);
        callbacks();
        let flush = |token| self.with_port(token, |port| port.run_scheduled(Reason::Gathered));
        self.context.drain(Reason::Gathered, flush);
        self.context.set_dispatching(false);
    }

    pub(super) fn with_port(&self, token: u64, act: impl FnOnce(&Arc<Port>)) {
        if let Some(port) = self.port(token) {
            act(&port);
        }
    }

    /// Takes what other threads have left: posted datagrams, calls, a request to stop.
    fn drain_remote(&self) {
        for token in self.context.shared.take_posted_ports() {
            self.with_port(token, |port| port.send_posted());
        }
        self.context.log_posted_refusals();
        self.collect_lookups();
        // Before the calls: a stop that was requested after a call must not overtake it.
        let (stop, ended) = (self.lifecycle().take_stop_request(), self.runs_ended());
        self.run_calls();
        // The stop is not for a run that one of the calls has begun.
        if stop && self.runs_ended() == ended {
            let _ = self.stop();
        }
    }

    /// Makes the calls of other threads so far. Calls that they add meanwhile are for the next turn.
    fn run_calls(&self) {
        let mut calls = self.remote.take_calls(self.spare.take());
        let is_busy = calls.len() >= BUSY_CALLS;
        while !self.context.shared.owner.is_unusable() {
            let Some(mut call) = calls.pop_front() else { break };
            self.counters.calls_from_thread.add(1);
            call.call(self);
            self.drop_made(call);
        }
        self.spare.replace(calls.into());
        if is_busy && self.context.shared.waker.is_notified() {
            clock::spin_for(SPIN);
        }
    }

    /// Fails if nothing may go on: in a child that was forked in a callback, since the epoll set belongs to the parent,
    /// and after a panic.
    pub(super) fn check_alive(&self) -> Result {
        let owner = &self.context.shared.owner;
        match (owner.is_unusable(), owner.is_forked()) {
            (false, _) => Ok(()),
            (true, true) => Err(Status::CLOSED),
            (true, false) => Err(Status::PANIC),
        }
    }
}
