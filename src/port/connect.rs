//! Connecting a port to a peer or to another one, and disconnecting it.

use super::{Open, Port};
use crate::addr::Addr;
use crate::status::{Result, Status};
use crate::sys::{Datagram, Device, Handle, Kernel};
use std::io;
use std::rc::Rc;

impl Port {
    /// Connects the port: it sends to `peer` and receives from `peer` only. The address 0.0.0.0 or :: is this host. What was
    /// gathered is sent first, to its destinations; waiting datagrams of others are discarded. If it fails, the port is as it
    /// was before.
    ///
    /// # Errors
    /// CLOSED; ADDRESS_FAMILY; INVALID_ARGUMENT for no address or port 0; ACCESS for a broadcast that was not allowed;
    /// NETWORK_UNREACHABLE and other errors of connect(2).
    pub fn connect(&self, peer: &Addr) -> Result {
        let open = self.listening()?;
        peer.check("peer->")?;
        open.destinations().check_target(peer, "peer->")?;
        self.change_peer(&open, Some(peer))
    }

    /// Ends the connection: the port sends to any address and receives from any address again.
    ///
    /// # Errors
    /// NOT_CONNECTED; CLOSED.
    pub fn disconnect(&self) -> Result {
        let open = self.listening()?;
        open.peer.get().ok_or(Status::NOT_CONNECTED)?;
        self.change_peer(&open, None)
    }

    /// The peer, also while the port stops.
    ///
    /// # Errors
    /// NOT_CONNECTED; CLOSED once the socket is closed.
    pub fn get_peer(&self) -> Result<Addr> {
        let open = self.open()?;
        if open.fd.get() < 0 { Err(Status::CLOSED) } else { open.peer.get().ok_or(Status::NOT_CONNECTED) }
    }

    fn change_peer(&self, open: &Rc<Open>, peer: Option<&Addr>) -> Result {
        self.send_posted();
        open.flush();
        if !open.has_lost_device() {
            open.check_send_barrier()?;
        }
        // Errors that are pending are about the former peer.
        open.drain_error_queue();
        let previous = open.peer.get();
        let (now, changed) = open.connect_socket(previous.as_ref(), peer);
        open.peer.set(now);
        let lazy = open.lazy();
        lazy.requested_peer.set(if changed.is_ok() { peer.copied() } else { lazy.requested_peer.get() });
        open.context.shared.owner.invalidate_batch();
        open.errors.refused.set(changed.is_err() && open.errors.refused.get());
        lazy.sending.borrow_mut().queue.set_missing_peer(previous);
        self.shared.set_peer(open.peer(), previous);
        open.filter_deferred();
        changed
    }
}

/// What a connection may change of a socket: its local address and its device.
struct Binding {
    local_addr: Addr,
    device: Device,
}

impl Open {
    /// Connects the socket to another peer, or to none. Returns the peer that it then has according to the system.
    pub(super) fn connect_socket(&self, from: Option<&Addr>, to: Option<&Addr>) -> (Option<Addr>, Result) {
        match self.binding() {
            Err(error) => (from.copied(), Err(error.into())),
            Ok(binding) => match self.reconnect(&binding, from, to) {
                Ok(now) => (now, Ok(())),
                Err(error) => (self.reconnect_previous(&binding, from), Err(error.into())),
            },
        }
    }

    fn binding(&self) -> io::Result<Binding> {
        Ok(Binding {
            device: self.read_device()?,
            local_addr: self.context.kernel.local_addr(self.fd.get())?,
        })
    }

    /// A connected socket is disconnected first. Otherwise Linux fails with EINVAL if the former peer is on loopback and the
    /// new one is not, and keeps the source address that it chose for the former peer.
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
            Err(error) if self.refresh_outgoing_address(&error) => kernel.connect(fd, to)?,
            connected => connected?,
        }
        let now = kernel.peer_addr(fd)?;
        self.note_peers_device(&now, &binding.device)?;
        Ok(Some(now))
    }

    /// After a failure, connects the socket to the former peer again, with its port number and device. None if that fails too:
    /// then the port has no peer.
    fn reconnect_previous(&self, binding: &Binding, previous: Option<&Addr>) -> Option<Addr> {
        let (kernel, fd) = (&*self.context.kernel, self.fd.get());
        // It is tried even if the port number is lost, but not if the device is.
        let _ = self.disconnect_socket(binding);
        if self.has_lost_device() {
            return None;
        }
        kernel.connect(fd, previous?).ok()?;
        let _ = self.note_peers_device(previous?, &binding.device);
        previous.copied()
    }

    /// Ends a connection. With it Linux forgets the device, and the port number if the kernel had chosen it
    /// (`__udp_disconnect`): both are set again.
    fn disconnect_socket(&self, binding: &Binding) -> io::Result<()> {
        let (kernel, fd) = (&*self.context.kernel, self.fd.get());
        kernel.disconnect(fd)?;
        self.restore_device(&binding.device)?;
        match lost_local_port(kernel, fd, &binding.local_addr)? {
            Some(lost) => kernel.bind(fd, &lost),
            None => Ok(()),
        }
    }

    /// True for a datagram of another sender, which was received before the port was connected.
    pub(super) fn is_not_from_peer(&self, datagram: &Datagram) -> bool {
        self.peer.get().is_some_and(|peer| datagram.sender != peer)
    }
}

/// The address to bind to again after a connection has ended, if the system has forgotten the port number of `local_addr`.
pub(super) fn lost_local_port(
    kernel: &dyn Kernel,
    fd: Handle,
    local_addr: &Addr,
) -> io::Result<Option<Addr>> {
    let now = kernel.local_addr(fd)?;
    // Without its port, a socket may also forget the interface of a link-local address.
    let scope_id = if now.bytes == local_addr.bytes { local_addr.scope_id } else { now.scope_id };
    Ok((now.port != local_addr.port).then_some(Addr { port: local_addr.port, scope_id, ..now }))
}
