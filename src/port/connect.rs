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
        let changed = open.link(former.as_ref(), peer);
        let now = match changed {
            Ok(now) => now,
            Err(_) => open.link_again(former.as_ref()),
        };
        open.peer.set(now);
        open.errors.refused.set(changed.is_err() && open.errors.refused.get());
        open.sending.borrow_mut().backlog.address(former);
        self.shared.set_destinations(open.destinations(), former);
        open.sift_kept();
        changed.map(drop)
    }
}

impl Open {
    /// Connects the socket, which goes through nobody: from a peer on loopback straight to another network is EINVAL,
    /// and elsewhere the first peer's source address would stay. The answer is the peer as the kernel has it.
    pub(super) fn link(&self, from: Option<&Addr>, to: Option<&Addr>) -> Result<Option<Addr>> {
        let (kernel, fd) = (&*self.turn.kernel, self.fd.get());
        match from {
            None => self.device.set(bound_device(kernel, fd)?),
            Some(_) => unlink(kernel, fd, self.device.get())?,
        }
        let Some(to) = to else { return Ok(None) };
        kernel.connect(fd, to)?;
        let peer = kernel.peer_addr(fd);
        if peer.is_err() {
            unlink(kernel, fd, self.device.get())?;
        }
        Ok(Some(peer?))
    }

    /// After a failure: the former peer again. None where that does not work either; then the port has no peer.
    fn link_again(&self, former: Option<&Addr>) -> Option<Addr> {
        let (kernel, fd) = (&*self.turn.kernel, self.fd.get());
        kernel.connect(fd, former?).and_then(|()| kernel.peer_addr(fd)).ok()
    }

    /// True for a datagram that was on its way before the port was connected to somebody else.
    pub(super) fn is_strangers(&self, datagram: &Datagram) -> bool {
        self.peer.get().is_some_and(|peer| datagram.sender != peer)
    }
}

/// Ends a connection, with which the kernel forgets the interface that the socket was bound to, and its number where
/// the kernel itself had chosen that (`__udp_disconnect`).
pub(super) fn unlink(kernel: &dyn Kernel, fd: RawFd, device: Device) -> io::Result<()> {
    let before = kernel.local_addr(fd)?;
    kernel.connect(fd, &Addr::UNSPECIFIED)?;
    if device != Device::default() {
        kernel.set_option(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, &device)?;
    }
    let now = kernel.local_addr(fd)?;
    if now.port == before.port { Ok(()) } else { kernel.bind(fd, &Addr { port: before.port, ..now }) }
}

/// bind(2), so that the number outlives a connection: the kernel forgets one of its own choice, so that is asked for by
/// name, until nobody else has taken it meanwhile.
pub(super) fn bind(kernel: &dyn Kernel, fd: RawFd, local: &Addr) -> io::Result<()> {
    for _ in 0..TRIES {
        kernel.bind(fd, local)?;
        if local.port != 0 {
            return Ok(());
        }
        match unlink(kernel, fd, bound_device(kernel, fd)?) {
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
