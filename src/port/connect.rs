//! Connecting a port to one peer, to another one, and to nobody again.

use super::{Open, Port};
use crate::addr::Addr;
use crate::status::{Result, Status};
use crate::sys::{Datagram, Device, Kernel};
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;

impl Port {
    /// Talks to `peer` alone from here on, as the kernel knows it: the unspecified address is this host. What was
    /// gathered leaves first, to where it was written to; datagrams of others that wait are discarded. On failure
    /// the port is as it was. CLOSED, ADDRESS_FAMILY, INVALID_ARGUMENT (no address, port 0), ACCESS (a broadcast that
    /// was not allowed), NETWORK_UNREACHABLE and what else connect(2) says.
    pub fn connect(&self, peer: &Addr) -> Result {
        let open = self.listening()?;
        peer.check()?;
        open.destinations().check_target(peer)?;
        self.change_peer(&open, Some(peer))
    }

    /// Talks to everybody again. NOT_CONNECTED, CLOSED.
    pub fn disconnect(&self) -> Result {
        let open = self.listening()?;
        open.peer.get().ok_or(Status::NOT_CONNECTED)?;
        self.change_peer(&open, None)
    }

    /// The peer, also until a stop is done. NOT_CONNECTED; CLOSED once the socket is.
    pub fn get_peer(&self) -> Result<Addr> {
        let open = self.open()?;
        if open.fd.get() < 0 { Err(Status::CLOSED) } else { open.peer.get().ok_or(Status::NOT_CONNECTED) }
    }

    fn change_peer(&self, open: &Rc<Open>, peer: Option<&Addr>) -> Result {
        self.send_posted();
        open.flush();
        if !open.has_lost_device() {
            open.check_send_block()?;
        }
        // What is pending is about the former peer.
        open.drain_error_queue();
        let former = open.peer.get();
        let (now, changed) = open.connect_socket(former.as_ref(), peer);
        open.peer.set(now);
        let lazy = open.lazy();
        lazy.asked_peer.set(if changed.is_ok() { peer.copied() } else { lazy.asked_peer.get() });
        open.context.shared.owner.invalidate_batch();
        open.errors.refused.set(changed.is_err() && open.errors.refused.get());
        lazy.sending.borrow_mut().queue.set_missing_peer(former);
        self.shared.set_peer(open.peer(), former);
        open.filter_deferred();
        changed
    }
}

/// What a connection may change of a socket: its local address and its device.
struct Binding {
    host: Addr,
    device: Device,
}

impl Open {
    /// Connects the socket to another peer, or to none. Returns the peer that it then has, as the kernel has it.
    pub(super) fn connect_socket(&self, from: Option<&Addr>, to: Option<&Addr>) -> (Option<Addr>, Result) {
        match self.binding() {
            Err(error) => (from.copied(), Err(error.into())),
            Ok(binding) => match self.reconnect(&binding, from, to) {
                Ok(now) => (now, Ok(())),
                Err(error) => (self.reconnect_former(&binding, from), Err(error.into())),
            },
        }
    }

    fn binding(&self) -> io::Result<Binding> {
        Ok(Binding { device: self.read_device()?, host: self.context.kernel.local_addr(self.fd.get())? })
    }

    /// The way leads through nobody: from a peer on loopback straight to another network is EINVAL, and elsewhere the
    /// first peer's source address would stay.
    fn reconnect(
        &self,
        binding: &Binding,
        from: Option<&Addr>,
        to: Option<&Addr>,
    ) -> io::Result<Option<Addr>> {
        let (kernel, fd) = (&*self.context.kernel, self.fd.get());
        if from.is_some() || self.has_lost_device() {
            self.disconnect_socket(binding)?;
        }
        let Some(to) = to else { return Ok(None) };
        match kernel.connect(fd, to) {
            Err(error) if self.renews_outgoing_address(&error) => kernel.connect(fd, to)?,
            connected => connected?,
        }
        let now = kernel.peer_addr(fd)?;
        self.note_peers_device(&now, &binding.device)?;
        Ok(Some(now))
    }

    /// After a failure: the former peer again, with the number and the device that there were. None if that does not
    /// work either; then the port has no peer.
    fn reconnect_former(&self, binding: &Binding, former: Option<&Addr>) -> Option<Addr> {
        let (kernel, fd) = (&*self.context.kernel, self.fd.get());
        // Also without its number the former peer is worth a try, but not without its device.
        let _ = self.disconnect_socket(binding);
        if self.has_lost_device() {
            return None;
        }
        kernel.connect(fd, former?).ok()?;
        let _ = self.note_peers_device(former?, &binding.device);
        former.copied()
    }

    /// Ends a connection. With it the kernel forgets the device, and the number if that was its own choice
    /// (`__udp_disconnect`): the socket gets both again.
    fn disconnect_socket(&self, binding: &Binding) -> io::Result<()> {
        let (kernel, fd) = (&*self.context.kernel, self.fd.get());
        kernel.connect(fd, &Addr::UNSPECIFIED)?;
        self.restore_device(&binding.device)?;
        match lost_local_port(kernel, fd, &binding.host)? {
            Some(lost) => kernel.bind(fd, &lost),
            None => Ok(()),
        }
    }

    /// True for a datagram that was on its way before the port was connected to somebody else.
    pub(super) fn is_not_from_peer(&self, datagram: &Datagram) -> bool {
        self.peer.get().is_some_and(|peer| datagram.sender != peer)
    }
}

/// The address to bind to again after a connection has ended, if the kernel has forgotten the number of `host`.
pub(super) fn lost_local_port(kernel: &dyn Kernel, fd: RawFd, host: &Addr) -> io::Result<Option<Addr>> {
    let now = kernel.local_addr(fd)?;
    Ok((now.port != host.port).then_some(Addr { port: host.port, ..now }))
}
