//! Connecting a port to one peer, to another one, and to nobody again.

use super::{Open, Port};
use crate::addr::Addr;
use crate::status::{Result, Status};
use crate::sys::{Datagram, Kernel};
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;

/// An interface's name as SO_BINDTODEVICE has it; all zero for none.
pub(super) type Device = [u8; libc::IFNAMSIZ];

/// How often a number is looked for that nobody takes meanwhile.
const TRIES: usize = 64;

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
        self.take_mail();
        open.flush();
        // What is pending is about the former peer.
        open.take_errors();
        let former = open.peer.get();
        let (now, changed) = open.link(former.as_ref(), peer);
        open.peer.set(now);
        open.turn.door.gate.disturb();
        open.errors.refused.set(changed.is_err() && open.errors.refused.get());
        if let Some(used) = open.used.get() {
            used.sending.borrow_mut().backlog.address(former);
        }
        self.shared.set_peer(now, former);
        open.sift_kept();
        changed
    }
}

impl Open {
    /// Connects the socket, and says what came of it; the first answer is the peer from here on, as the kernel has it.
    pub(super) fn link(&self, from: Option<&Addr>, to: Option<&Addr>) -> (Option<Addr>, Result) {
        match self.look(from) {
            Err(error) => (from.copied(), Err(error.into())),
            Ok(host) => match self.relink(&host, from, to) {
                Ok(now) => (now, Ok(())),
                Err(error) => (self.link_back(&host, from), Err(error.into())),
            },
        }
    }

    /// What a connection may change: the local address, which is the answer, and the device.
    fn look(&self, from: Option<&Addr>) -> io::Result<Addr> {
        let (kernel, fd) = (&*self.turn.kernel, self.fd.get());
        if from.is_none() {
            self.used().device.set(bound_device(kernel, fd)?);
        }
        kernel.local_addr(fd)
    }

    /// The way leads through nobody: from a peer on loopback straight to another network is EINVAL, and elsewhere the
    /// first peer's source address would stay.
    fn relink(&self, host: &Addr, from: Option<&Addr>, to: Option<&Addr>) -> io::Result<Option<Addr>> {
        let (kernel, fd) = (&*self.turn.kernel, self.fd.get());
        if from.is_some() {
            unlink(kernel, fd, host, self.used().device.get())?;
        }
        let Some(to) = to else { return Ok(None) };
        kernel.connect(fd, to)?;
        kernel.peer_addr(fd).map(Some)
    }

    /// After a failure: the former peer again, with the number and the device that there were. None where that does not
    /// work either; then the port has no peer.
    fn link_back(&self, host: &Addr, former: Option<&Addr>) -> Option<Addr> {
        let (kernel, fd) = (&*self.turn.kernel, self.fd.get());
        // Where this fails, too, the former peer is still worth a try.
        let _ = unlink(kernel, fd, host, self.used().device.get());
        kernel.connect(fd, former?).ok().and(former.copied())
    }

    /// True for a datagram that was on its way before the port was connected to somebody else.
    pub(super) fn is_strangers(&self, datagram: &Datagram) -> bool {
        self.peer.get().is_some_and(|peer| datagram.sender != peer)
    }
}

/// Ends a connection of a socket that was at `host`, with all that it had before.
fn unlink(kernel: &dyn Kernel, fd: RawFd, host: &Addr, device: Device) -> io::Result<()> {
    match release(kernel, fd, host, device)? {
        None => Ok(()),
        Some(lost) => kernel.bind(fd, &lost),
    }
}

/// Ends a connection, with which the kernel forgets the interface that the socket was bound to, and its number where
/// the kernel itself had chosen that (`__udp_disconnect`): the answer is what it has to be bound to again.
fn release(kernel: &dyn Kernel, fd: RawFd, host: &Addr, device: Device) -> io::Result<Option<Addr>> {
    kernel.connect(fd, &Addr::UNSPECIFIED)?;
    if device != Device::default() {
        kernel.set_option(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, &device)?;
    }
    let now = kernel.local_addr(fd)?;
    Ok((now.port != host.port).then_some(Addr { port: host.port, ..now }))
}

/// bind(2), so that the number outlives a connection: the kernel forgets one of its own choice, so that is asked for by
/// name, until nobody else has taken it meanwhile.
pub(super) fn bind(kernel: &dyn Kernel, fd: RawFd, local: &Addr) -> io::Result<()> {
    for _ in 0..TRIES {
        kernel.bind(fd, local)?;
        if local.port != 0 {
            return Ok(());
        }
        let (device, host) = (bound_device(kernel, fd)?, kernel.local_addr(fd)?);
        let Some(chosen) = release(kernel, fd, &host, device)? else { return Ok(()) };
        match kernel.bind(fd, &chosen) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
    Err(io::Error::from_raw_os_error(libc::EADDRINUSE))
}

/// The interface that a socket is bound to. ENODEV where that is gone.
fn bound_device(kernel: &dyn Kernel, fd: RawFd) -> io::Result<Device> {
    let mut name = Device::default();
    kernel.option(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, &mut name)?;
    Ok(name)
}
