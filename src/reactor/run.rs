//! The loop: wait, I/O, calls from threads, due calls, a due shutdown.

use super::{Call, Phase, Reactor, flag};
use crate::port::Port;
use crate::status::{Result, Status};
use crate::sys::Event;
use crate::sys::signal::Signals;
use crate::turn::WAKE_TOKEN;
use std::io;
use std::sync::Arc;

impl<C: Call> Reactor<C> {
    /// Turns until it is stopped. ALREADY_RUNNING after `start`; CLOSED in a child that was forked meanwhile.
    pub fn run(&self) -> Result {
        let listens = self.flags & flag::SIGNALS != 0;
        let signals = listens.then(|| Signals::listen(self.turn.door.waker.clone())).transpose()?;
        self.start()?;
        let mut heard = 0;
        while self.phase.get() != Phase::Idle {
            if let Err(status) = self.turn_once(None) {
                let _ = self.crash();
                return Err(status);
            }
            let hits = signals.as_ref().map_or(0, Signals::hits);
            if hits > heard {
                heard = hits;
                self.hear_signal();
            }
        }
        Ok(())
    }

    /// A signal stops; one more, while a shutdown hangs, ends the run at once.
    fn hear_signal(&self) {
        if self.stop().is_err() {
            let _ = self.crash();
        }
    }

    /// What `run` does before its first turn. ALREADY_RUNNING.
    pub fn start(&self) -> Result {
        self.turn.check_open()?;
        if self.phase.get() != Phase::Idle {
            return Err(Status::ALREADY_RUNNING);
        }
        self.phase.set(Phase::Running);
        self.turn.door.set_running(true);
        Ok(())
    }

    /// At the end of the turn every port stops, then `run` returns. NOT_RUNNING, also after a first stop.
    pub fn stop(&self) -> Result {
        if self.phase.get() != Phase::Running {
            return Err(Status::NOT_RUNNING);
        }
        self.phase.set(Phase::Stopping);
        Ok(())
    }

    /// `run` returns after this turn; ports stay open. NOT_RUNNING.
    pub fn crash(&self) -> Result {
        if self.phase.get() == Phase::Idle {
            return Err(Status::NOT_RUNNING);
        }
        self.phase.set(Phase::Idle);
        self.turn.door.set_running(false);
        Ok(())
    }

    /// One turn, which waits `timeout` nanoseconds at most, for ever without one.
    pub fn iterate(&self, timeout: Option<u64>) -> Result {
        self.turn_once(timeout)
    }

    fn turn_once(&self, limit: Option<u64>) -> Result {
        self.sweep();
        let timeout = self.timeout(limit);
        let mut events = self.events.take();
        let waited = self.turn.kernel.wait(self.turn.epoll.fd(), &mut events, timeout);
        let ready = match waited {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            waited => waited?,
        };
        self.counters.iterations.add(1);
        self.counters.wakeups.add(u64::from(ready > 0));
        let result = self.dispatch(&events[..ready]);
        self.events.replace(events);
        result?;
        if self.phase.get() == Phase::Stopping {
            self.shut_down();
        }
        self.sweep();
        self.check_alive()
    }

    /// Nanoseconds to wait: 0 where something is due, none where nothing will be.
    fn timeout(&self, limit: Option<u64>) -> Option<u64> {
        let turn = &self.turn;
        let due = !turn.kept.is_empty() || !turn.stopping.is_empty() || self.phase.get() == Phase::Stopping;
        if due {
            return Some(0);
        }
        [limit, self.timer_timeout(), turn.retry_timeout()].into_iter().flatten().min()
    }

    fn dispatch(&self, events: &[Event]) -> Result {
        let turn = &self.turn;
        turn.stopping.drain(|token| self.pass(|| self.with_port(token, Port::finish_stop)));
        turn.kept.drain(|token| self.pass(|| self.with_port(token, |port| port.resume())));
        while let Some(token) = turn.take_retry() {
            self.pass(|| self.with_port(token, |port| port.retry()));
        }
        for event in events.iter().filter(|event| event.u64 != WAKE_TOKEN) {
            self.check_alive()?;
            let (token, ready) = (event.u64, event.events);
            self.pass(|| self.with_port(token, |port| port.ready(ready)));
        }
        if turn.door.waker.is_raised() {
            turn.door.waker.clear();
            self.pass(|| self.hear_threads());
        }
        self.check_alive()?;
        self.pass(|| self.run_due());
        self.check_alive()
    }

    /// One dispatch: what it writes gathers, and leaves when it is done.
    pub(super) fn pass(&self, callbacks: impl FnOnce()) {
        self.turn.set_dispatching(true);
        callbacks();
        self.turn.gathered.drain(|token| self.with_port(token, |port| port.flush_gathered()));
        self.turn.set_dispatching(false);
    }

    fn with_port(&self, token: u64, act: impl FnOnce(&Arc<Port>)) {
        if let Some(port) = self.port(token) {
            act(&port);
        }
    }

    /// What other threads have left: mail for ports, calls, a stop.
    fn hear_threads(&self) {
        for token in self.turn.door.take_posted() {
            self.with_port(token, |port| port.take_mail());
        }
        let mut calls = self.remote.take_calls(self.spare.take());
        while let Some(call) = calls.pop_front() {
            self.counters.calls_from_thread.add(1);
            call.call(self);
        }
        self.spare.replace(calls);
        if self.remote.take_stop() {
            let _ = self.stop();
        }
    }

    /// Every port stops; those that are made meanwhile stay for the next run.
    fn shut_down(&self) {
        self.turn.door.set_running(false);
        self.close_ports();
        self.phase.set(Phase::Idle);
    }

    /// A child that was forked in a callback must not go on, since the epoll set is the parent's; nor may anybody
    /// after a panic.
    fn check_alive(&self) -> Result {
        let gate = &self.turn.door.gate;
        match (gate.is_lost(), gate.is_forked()) {
            (false, _) => Ok(()),
            (true, true) => Err(Status::CLOSED),
            (true, false) => Err(Status::PANIC),
        }
    }
}
