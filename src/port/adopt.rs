//! Sockets made elsewhere, which belong to others too, and what is found on them.

use super::listen::Parts;
use super::saved_options::SavedOptions;
use super::{Open, Options, Port, Protocol, flag};
use crate::addr::{Addr, family};
use crate::context::Context;
use crate::status::{Result, Status};
use crate::sys::Kernel;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;

/// A descriptor on its way to a port.
#[derive(Debug)]
pub enum Descriptor {
    /// Its owner keeps it: it is duplicated.
    Lent(RawFd),
    /// It is the port's, and closed when that cannot be made.
    Taken(OwnedFd),
}

impl Port {
    /// A port on a socket made elsewhere, bound or not, connected or not, blocking or not; `expected` is its family, or
    /// UNSPEC. EBADF as a system status; SOCKET_TYPE for what is not UDP; ADDRESS_FAMILY for other families than
    /// IPv4, IPv6 and the expected one; INVALID_ARGUMENT for options that belong before bind(2).
    pub fn adopt(
        context: &Rc<Context>,
        descriptor: Descriptor,
        expected: u16,
        options: &Options<'_>,
        protocol: Box<dyn Protocol>,
    ) -> Result<Arc<Port>> {
        options.check_adopt()?;
        context.check_open()?;
        let kernel = &*context.kernel;
        let socket = match descriptor {
            Descriptor::Lent(fd) => kernel.duplicate(fd)?,
            Descriptor::Taken(socket) => socket,
        };
        let fd = socket.as_raw_fd();
        let family = udp_family(kernel, fd, expected)?;
        let peer = peer_of(kernel, fd)?;
        let flags = options.flags | flags_of(kernel, fd, family)?;
        let saved_options = Some(SavedOptions::new(peer));
        let port =
            Port::assemble(context, Parts { socket, family, flags, peer, saved_options }, options, protocol);
        let open = port.open()?;
        open.read_device()?;
        open.note_unbound()?;
        open.forget_drops();
        open.set_adopted_options(options).inspect_err(|_| open.restore())?;
        Ok(port)
    }
}

impl Open {
    fn set_adopted_options(&self, options: &Options<'_>) -> Result {
        let merges = merges(&*self.context.kernel, self.fd.get())?;
        let unwanted = merges && options.has(flag::NO_OFFLOAD | flag::TIMESTAMPS);
        if unwanted {
            self.set_option(libc::SOL_UDP, libc::UDP_GRO, &0u32.to_ne_bytes())?;
        }
        self.merges.set(merges && !unwanted);
        if options.has(flag::BROADCAST) {
            self.set_option(libc::SOL_SOCKET, libc::SO_BROADCAST, &1u32.to_ne_bytes())?;
        }
        for (name, size) in
            [(libc::SO_RCVBUF, options.receive_buffer), (libc::SO_SNDBUF, options.send_buffer)]
        {
            if size > 0 {
                self.set_option(libc::SOL_SOCKET, name, &size.to_ne_bytes())?;
            }
        }
        self.finish_options(options)?;
        self.learn_port()
    }
}

/// The family of a socket, which must be one for UDP: ping and UDP-Lite sockets are SOCK_DGRAM, too.
fn udp_family(kernel: &dyn Kernel, fd: RawFd, expected: u16) -> Result<u16> {
    let number = |name| integer(kernel, fd, libc::SOL_SOCKET, name);
    let family = match number(libc::SO_DOMAIN) {
        Ok(libc::AF_INET) => family::INET,
        Ok(libc::AF_INET6) => family::INET6,
        Ok(_) => return Err(Status::ADDRESS_FAMILY),
        Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => return Err(Status::SOCKET_TYPE),
        Err(error) => return Err(error.into()),
    };
    if number(libc::SO_TYPE)? != libc::SOCK_DGRAM || number(libc::SO_PROTOCOL)? != libc::IPPROTO_UDP {
        return Err(Status::SOCKET_TYPE);
    }
    match expected {
        family::UNSPEC => Ok(family),
        family::INET | family::INET6 if expected == family => Ok(family),
        family::INET | family::INET6 => Err(Status::ADDRESS_FAMILY),
        _ => Err(Status::INVALID_ARGUMENT),
    }
}

/// Whether datagrams come merged. A kernel before Linux 5.0 does not know that.
fn merges(kernel: &dyn Kernel, fd: RawFd) -> Result<bool> {
    match integer(kernel, fd, libc::SOL_UDP, libc::UDP_GRO) {
        Ok(on) => Ok(on != 0),
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn peer_of(kernel: &dyn Kernel, fd: RawFd) -> Result<Option<Addr>> {
    match kernel.peer_addr(fd) {
        Ok(peer) => Ok(Some(peer)),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The flags that a port made with these options would have.
fn flags_of(kernel: &dyn Kernel, fd: RawFd, version: u16) -> Result<u32> {
    let broadcast = integer(kernel, fd, libc::SOL_SOCKET, libc::SO_BROADCAST)? != 0;
    let v6_only =
        version == family::INET6 && integer(kernel, fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)? != 0;
    let bit = |is_set, bit| if is_set { bit } else { 0 };
    Ok(bit(broadcast, flag::BROADCAST) | bit(v6_only, flag::V6_ONLY))
}

fn integer(kernel: &dyn Kernel, fd: RawFd, level: i32, name: i32) -> io::Result<i32> {
    let mut value = [0; 4];
    kernel.raw_option(fd, level, name, &mut value)?;
    Ok(i32::from_ne_bytes(value))
}
