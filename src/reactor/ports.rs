//! The reactor's ports: they are made, found by their tokens, visited and closed.

use super::{Call, Reactor, Source};
use crate::addr::Addr;
use crate::context::Reason;
use crate::port::{Descriptor, Options, Port, Protocol};
use crate::status::{Result, Status};
use crate::sys::{interface, tsan};
use crate::timer::after;
use std::sync::Arc;

impl<C: Call> Reactor<C> {
    /// Opens a port on `local_address`, a bare literal ("" for every IPv4 address). `start_protocol` is called before
    /// this returns; if it fails, or bind(2) does, nothing is left.
    ///
    /// # Errors
    /// NO_MEMORY for its place in the table, and those of socket(2) and bind(2).
    pub fn listen_udp(
        &self,
        port: u16,
        local_address: &str,
        options: &Options<'_>,
        protocol: Box<dyn Protocol>,
    ) -> Result<Arc<Port>> {
        let host = if local_address.is_empty() { "0.0.0.0" } else { local_address };
        self.listen_addr(&interface::parse_host(host, port)?, options, protocol)
    }

    /// As [`Reactor::listen_udp`], on an address and its port.
    ///
    /// # Errors
    /// As of [`Reactor::listen_udp`].
    pub fn listen_addr(
        &self,
        local: &Addr,
        options: &Options<'_>,
        protocol: Box<dyn Protocol>,
    ) -> Result<Arc<Port>> {
        let port = Port::bind(&self.context, local, options, protocol)?;
        // Not before, since configure_socket may have made other ports.
        self.sources.borrow_mut().reserve(1)?;
        self.start_port(port)
    }

    /// Opens a port on a socket that was made elsewhere, see [`Port::adopt`]; otherwise as [`Reactor::listen_udp`].
    pub fn adopt_datagram_port(
        &self,
        descriptor: Descriptor,
        family: u16,
        options: &Options<'_>,
        protocol: Box<dyn Protocol>,
    ) -> Result<Arc<Port>> {
        self.sources.borrow_mut().reserve(1)?;
        self.start_port(Port::adopt(&self.context, descriptor, family, options, protocol)?)
    }

    fn start_port(&self, port: Arc<Port>) -> Result<Arc<Port>> {
        let token = self.sources.borrow_mut().insert(Source::Port(port.clone()));
        let dead_watch = self.take_dead_watch(port.fileno());
        let started = port.start(token);
        // `free_user` of a watch may call anything, so the port is registered and started before.
        drop(dead_watch);
        self.sweep_outside_turns();
        started.map(|()| port)
    }

    /// Has writes outside callbacks gathered until [`Reactor::flush`] or the next turn.
    pub fn gather(&self) {
        self.context.set_gathering(true);
    }

    /// Sends what every port has gathered, and ends [`Reactor::gather`].
    ///
    /// # Errors
    /// WOULD_BLOCK if some of it waits for a full socket.
    pub fn flush(&self) -> Result {
        self.context.set_gathering(false);
        let mut is_waiting = false;
        let flush = |port: &Arc<Port>| {
            port.run_scheduled(Reason::Gathered);
            is_waiting |= port.is_waiting();
        };
        self.visit_gathered(flush);
        if is_waiting { Err(Status::WOULD_BLOCK) } else { Ok(()) }
    }

    /// Drops what every port has gathered, in a forked child: the parent sends it.
    pub(super) fn drop_gathered(&self) {
        self.context.set_gathering(false);
        self.visit_gathered(|port| port.drop_gathered());
    }

    fn visit_gathered(&self, mut visit: impl FnMut(&Arc<Port>)) {
        self.context.drain(Reason::Gathered, |token| self.with_port(token, &mut visit));
    }

    /// Stops a port once it has sent everything, but `timeout` nanoseconds from now at the latest.
    ///
    /// # Errors
    /// INVALID_ARGUMENT as of [`after`]; NO_MEMORY; CLOSED once `stop_protocol` has returned.
    pub fn stop_when_sent(&self, port: &Arc<Port>, timeout: u64) -> Result {
        let deadline = after(self.now(), timeout, "timeout")?;
        if timeout == 0 { port.stop_listening() } else { port.stop_when_sent(deadline) }
    }

    /// Calls `visit` for every port that is open now, even if an earlier visit has closed it.
    pub fn each_transport(&self, mut visit: impl FnMut(&Arc<Port>)) {
        let is_usable = |_: &&Arc<Port>| !self.context.shared.owner.is_unusable();
        self.open_ports().iter().take_while(is_usable).for_each(&mut visit);
    }

    pub(super) fn port(&self, token: u64) -> Option<Arc<Port>> {
        match self.sources.borrow().get(token)? {
            Source::Port(port) => Some(port.clone()),
            Source::Watch(_) | Source::Notice(_) => None,
        }
    }

    /// Closes the ports that are open now. Returns whether there were any.
    pub(super) fn close_ports(&self) -> bool {
        let ports = self.open_ports();
        for port in ports.iter().take_while(|_| !self.context.shared.owner.is_forked()) {
            // CLOSED: the callback of another port has closed it.
            let _ = port.close(Status::OK);
        }
        self.sweep();
        !ports.is_empty()
    }

    /// Drops the ports that have stopped.
    pub(super) fn sweep(&self) {
        self.context.drain(Reason::Gone, |token| {
            let gone = self.sources.borrow_mut().remove(token);
            // Another thread's reference may be the last one.
            tsan::release(&self.context.shared.owner);
            drop(gone);
        });
    }

    fn sweep_outside_turns(&self) {
        if !self.context.is_dispatching() {
            self.sweep();
        }
    }

    fn open_ports(&self) -> Vec<Arc<Port>> {
        let sources = self.sources.borrow();
        let ports = sources.iter().filter_map(|(_, source)| match source {
            Source::Port(port) => Some(port),
            Source::Watch(_) | Source::Notice(_) => None,
        });
        ports.filter(|port| port.is_open()).cloned().collect()
    }
}
