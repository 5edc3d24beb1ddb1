//! bind(2) of a port: a number of the kernel's choice outlives a connection, and no other socket has it.

use super::connect::lost_local_port;
use super::{Options, flag, listen};
use crate::addr::Addr;
use crate::status::{Result, Status};
use crate::sys::{Device, Kernel, SocketOption};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// How often a number is looked for that nobody takes meanwhile.
const TRIES: usize = 64;

pub(super) fn bind(kernel: &dyn Kernel, fd: RawFd, local: &Addr, options: &Options<'_>) -> Result {
    if local.port != 0 {
        return Ok(kernel.bind(fd, local)?);
    }
    if options.has(flag::SHARE) {
        share_any(kernel, fd, local, options)
    } else {
        bind_any(kernel, fd, local, options)
    }
}

/// Asks for the number of the kernel's choice by name, since it forgets its own choice with a connection, until nobody
/// else has taken it meanwhile.
fn bind_any(kernel: &dyn Kernel, fd: RawFd, local: &Addr, options: &Options<'_>) -> Result {
    let may_have_device = options.bind_device.is_some() || local.needs_scope();
    for _ in 0..TRIES {
        kernel.bind(fd, local)?;
        let device = if may_have_device { kernel.device(fd)? } else { Device::None };
        let host = kernel.local_addr(fd)?;
        kernel.connect(fd, &Addr::UNSPECIFIED)?;
        kernel.bind_device(fd, &device)?;
        let Some(chosen) = lost_local_port(kernel, fd, &host)? else { return Ok(()) };
        match kernel.bind(fd, &chosen) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            result => return Ok(result?),
        }
    }
    Err(Status::ADDRESS_IN_USE)
}

/// For a socket that shares its number the kernel may choose one that other sockets share already
/// (`udp_lib_lport_inuse`). So another socket, which shares nothing, takes a number, and holds it until this one has it.
fn share_any(kernel: &dyn Kernel, fd: RawFd, local: &Addr, options: &Options<'_>) -> Result {
    let holder = kernel.socket(local.family)?;
    listen::confine(kernel, holder.as_raw_fd(), local.family, options)?;
    kernel.bind(holder.as_raw_fd(), local)?;
    let chosen = kernel.local_addr(holder.as_raw_fd())?;
    listen::share_number(kernel, holder.as_raw_fd(), options)?;
    Ok(kernel.bind(fd, &Addr { port: chosen.port, ..*local })?)
}

/// For an adopted socket that is not bound: a first send or a connection would bind it to a number that it may share.
pub(super) fn bind_unbound(kernel: &dyn Kernel, fd: RawFd) -> io::Result<()> {
    let mut shared = Vec::new();
    for option in [SocketOption::ReuseAddress, SocketOption::ReusePort] {
        let value = kernel.option(fd, option)?;
        if value != 0 {
            shared.push((option, value));
        }
    }
    let host = kernel.local_addr(fd)?;
    // Another holder may have bound it.
    if shared.is_empty() || host.port != 0 {
        return Ok(());
    }
    let unset = |(option, _): &(SocketOption, i32)| kernel.set_option(fd, *option, 0.into());
    let bound = shared.iter().try_for_each(unset).and_then(|()| kernel.bind(fd, &host));
    let reset = |(option, value): &(SocketOption, i32)| kernel.set_option(fd, *option, (*value).into());
    shared.iter().map(reset).fold(bound, io::Result::and)
}
