//! Ports on sockets that were made elsewhere and may have other holders.

use super::listen::Parts;
use super::saved_options::SavedOptions;
use super::{Open, Options, Port, Protocol, flag};
use crate::addr::{Addr, family};
use crate::context::Context;
use crate::refusal;
use crate::status::{Result, Status};
use crate::sys::{Handle, Kernel, OwnedHandle, SocketKind, SocketOption, handle_of};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// The descriptor of a socket that becomes a port.
#[derive(Debug)]
pub enum Descriptor {
    /// The caller keeps it, and the port has a duplicate.
    Lent(Handle),
    /// The port owns it. It is closed if the port cannot be made.
    Taken(OwnedHandle),
}

impl Port {
    /// Makes a port of a socket, bound or not, connected or not, blocking or not; `expected` is its family, or UNSPEC.
    ///
    /// # Errors
    /// EBADF as a system status; SOCKET_TYPE if it is not a UDP socket; ADDRESS_FAMILY if its family is neither IPv4 nor IPv6, or
    /// not the expected one; INVALID_ARGUMENT for options that must be set before bind(2).
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
        let fd = handle_of(&socket);
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
        let merges = self.context.kernel.option(self.fd.get(), SocketOption::MergeReceived)? != 0;
        let unwanted = merges && options.has(flag::NO_OFFLOAD | flag::TIMESTAMPS);
        if unwanted {
            self.set_option(SocketOption::MergeReceived, false)?;
        }
        self.merges.set(merges && !unwanted);
        if options.has(flag::BROADCAST) {
            self.set_option(SocketOption::Broadcast, true)?;
        }
        for (option, size) in options.buffers() {
            self.set_option(option, size)?;
        }
        self.finish_options(options)?;
        self.learn_port()
    }
}

/// The family of a UDP socket.
fn udp_family(kernel: &dyn Kernel, fd: Handle, expected: u16) -> Result<u16> {
    let family = match kernel.socket_kind(fd)? {
        SocketKind::Udp(version) => version.family(),
        SocketKind::OtherFamily => return Err(Status::ADDRESS_FAMILY),
        SocketKind::NotUdp => return Err(Status::SOCKET_TYPE),
    };
    match expected {
        family::UNSPEC => Ok(family),
        family::INET | family::INET6 if expected == family => Ok(family),
        family::INET | family::INET6 => Err(Status::ADDRESS_FAMILY),
        _ => Err(refusal::invalid("family", expected.into(), "a udpr_family_code")),
    }
}

fn peer_of(kernel: &dyn Kernel, fd: Handle) -> Result<Option<Addr>> {
    match kernel.peer_addr(fd) {
        Ok(peer) => Ok(Some(peer)),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The flags that correspond to the options of the socket.
fn flags_of(kernel: &dyn Kernel, fd: Handle, version: u16) -> Result<u32> {
    let is_set = |option| kernel.option(fd, option).map(|value| value != 0);
    let broadcast = is_set(SocketOption::Broadcast)?;
    let v6_only = version == family::INET6 && is_set(SocketOption::V6Only)?;
    let bit = |is_set, bit| if is_set { bit } else { 0 };
    Ok(bit(broadcast, flag::BROADCAST) | bit(v6_only, flag::V6_ONLY))
}
