//! What the table of delayed calls holds: calls that are made once, periodic calls, and calls of ports.

use super::{Call, Reactor};
use crate::context::CallTable;
use crate::port::Port;
use crate::status::Result;
use crate::timer::{Due, Timed, Timers, after, check_interval};
use std::cell::RefCell;
use std::sync::Arc;

/// A periodic call.
pub trait Repeat<C: Call> {
    /// Called once for all `beats`.
    fn beat(&mut self, reactor: &Reactor<C>, id: u64, beats: u64);
}

/// A delayed call that belongs to a port.
pub trait PortCall {
    /// Called once for all `beats`, of which a call that is made once has one.
    fn call(&mut self, port: &Arc<Port>, id: u64, beats: u64);
}

/// A delayed call: three words for the C face, of which most calls are made once.
pub(super) enum Delayed<C: Call> {
    Once(C),
    /// None while it is being made.
    Boxed {
        interval: u64,
        call: Option<Box<Boxed<C>>>,
    },
}

pub(super) enum Boxed<C: Call> {
    Repeat(Box<dyn Repeat<C>>),
    /// With the token of the port.
    Port(u64, Box<dyn PortCall>),
}

impl<C: Call> Delayed<C> {
    fn boxed(interval: u64, call: Boxed<C>) -> Delayed<C> {
        Delayed::Boxed { interval, call: Some(Box::new(call)) }
    }

    /// The token of the port that it belongs to.
    pub(super) fn port(&self) -> Option<u64> {
        match self {
            Delayed::Boxed { call: Some(call), .. } => match **call {
                Boxed::Port(token, _) => Some(token),
                Boxed::Repeat(_) => None,
            },
            _ => None,
        }
    }
}

impl<C: Call> Timed for Delayed<C> {
    fn interval(&self) -> u64 {
        match self {
            Delayed::Once(_) => 0,
            Delayed::Boxed { interval, .. } => *interval,
        }
    }

    fn stand_in(interval: u64) -> Delayed<C> {
        Delayed::Boxed { interval, call: None }
    }
}

impl<C: Call> CallTable for RefCell<Timers<Delayed<C>>> {
    fn end(&self, id: u64) {
        let call = self.borrow_mut().end(id);
        drop(call);
    }
}

impl<C: Call> Reactor<C> {
    /// Calls every `interval` nanoseconds, the first time after one interval.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for 0 and as of [`check_span`](crate::timer::check_span), NO_MEMORY; then the call is dropped.
    pub fn call_every(&self, interval: u64, call: Box<dyn Repeat<C>>) -> Result<u64> {
        let due = after(self.now(), check_interval(interval)?, "interval")?;
        self.insert_call(due, || Delayed::boxed(interval, Boxed::Repeat(call)))
    }

    /// Calls once, `delay` nanoseconds from now, unless the port has stopped by then.
    ///
    /// # Errors
    /// CLOSED if the port does not listen any more, otherwise as of [`Reactor::call_later`].
    pub fn call_port_later(&self, port: &Arc<Port>, delay: u64, call: Box<dyn PortCall>) -> Result<u64> {
        self.insert_port_call(port, after(self.now(), delay, "delay")?, 0, call)
    }

    /// Calls every `interval` nanoseconds until the port stops.
    ///
    /// # Errors
    /// CLOSED if the port does not listen any more, otherwise as of [`Reactor::call_every`].
    pub fn call_port_every(&self, port: &Arc<Port>, interval: u64, call: Box<dyn PortCall>) -> Result<u64> {
        let due = after(self.now(), check_interval(interval)?, "interval")?;
        self.insert_port_call(port, due, interval, call)
    }

    fn insert_port_call(
        &self,
        port: &Arc<Port>,
        due: u64,
        interval: u64,
        call: Box<dyn PortCall>,
    ) -> Result<u64> {
        let token = port.reserve_call()?;
        let id = self.insert_call(due, || Delayed::boxed(interval, Boxed::Port(token, call)))?;
        port.add_call(id);
        Ok(id)
    }

    /// Makes a call that has come due.
    pub(super) fn make_call(&self, due: Due<Delayed<C>>) {
        let Due { id, beats, mut call, .. } = due;
        match &mut call {
            Delayed::Once(call) => call.call(self),
            Delayed::Boxed { call: Some(boxed), .. } => match &mut **boxed {
                Boxed::Repeat(repeat) => repeat.beat(self, id, beats),
                Boxed::Port(..) => return self.make_port_call(id, beats, call),
            },
            Delayed::Boxed { call: None, .. } => {}
        }
        self.counters.timers_fired.add(1);
        self.end_call(id, call);
    }

    /// A port that is stopping ends its calls itself, so they stay until then.
    fn make_port_call(&self, id: u64, beats: u64, mut call: Delayed<C>) {
        let port = call.port().and_then(|token| self.port(token));
        let Some((port, protocol)) = port.and_then(|port| Some((port.clone(), port.hold_protocol()?))) else {
            return self.timers.borrow_mut().put_off(id, call);
        };
        if let Delayed::Boxed { call: Some(boxed), .. } = &mut call {
            if let Boxed::Port(_, port_call) = &mut **boxed {
                port_call.call(&port, id, beats);
            }
        }
        self.counters.timers_fired.add(1);
        if self.end_call(id, call) {
            port.remove_call(id);
        }
        drop(protocol);
    }

    /// Returns true if the call is over, not pending again.
    fn end_call(&self, id: u64, call: Delayed<C>) -> bool {
        let ended = self.timers.borrow_mut().end_call(id, call);
        ended.map(|call| self.drop_made(call)).is_some()
    }

    /// Drops what was called. The call may have forked: in the child nothing more is called.
    pub(super) fn drop_made<T>(&self, made: T) {
        if self.context.shared.owner.is_forked() {
            std::mem::forget(made);
        }
    }
}
