//! bind(2) of a port. A port number that the kernel chooses is kept when a connection ends, and no other socket has it.

use super::connect::lost_local_port;
use super::{ConfigureSocket, Options, flag, listen};
use crate::addr::Addr;
use crate::context::Context;
use crate::status::{Result, Status};
use crate::sys::{Device, Handle, Kernel, SocketHandle, SocketOption, socket};
use std::io;

/// How many numbers are tried, if other sockets take them in the meantime.
const TRIES: usize = 64;

pub(super) fn bind(context: &Context, fd: Handle, local: &Addr, options: &Options<'_>) -> Result {
    configure(context, fd, local, options)?;
    if local.port != 0 {
        return Ok(context.kernel.bind(fd, local)?);
    }
    if options.has(flag::SHARE) && socket::CHOOSES_SHARED_NUMBERS {
        share_any(context, fd, local, options)
    } else {
        bind_any(&*context.kernel, fd, local, options)
    }
}

/// Lets the program set further options of a new socket.
fn configure(context: &Context, fd: Handle, local: &Addr, options: &Options<'_>) -> Result {
    let Some(ConfigureSocket(configure)) = options.configure_socket else { return Ok(()) };
    let configured = configure(fd, local);
    // It may have forked. In the child, the socket is still the parent's, who binds it.
    context.shared.owner.check_open()?;
    configured
}

/// Binds a socket to a number of the kernel's choice, and then again to that very number: the kernel would forget its own choice
/// when a connection ends. Another socket may take the number in between, so this is repeated.
fn bind_any(kernel: &dyn Kernel, fd: Handle, local: &Addr, options: &Options<'_>) -> Result {
    let may_have_device = options.may_have_device(local);
    for _ in 0..TRIES {
        kernel.bind(fd, local)?;
        let device = if may_have_device { kernel.device(fd)? } else { Device::None };
        let host = kernel.local_addr(fd)?;
        kernel.disconnect(fd)?;
        kernel.bind_device(fd, &device)?;
        let Some(chosen) = lost_local_port(kernel, fd, &host)? else { return Ok(()) };
        match kernel.bind(fd, &chosen) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            result => return Ok(result?),
        }
    }
    Err(Status::ADDRESS_IN_USE)
}

/// Binds a socket that shares its number. The kernel may choose a number for it that other sockets share already
/// (`udp_lib_lport_inuse`), so another socket, which shares nothing, is bound first, and holds its number until this one has it.
fn share_any(context: &Context, fd: Handle, local: &Addr, options: &Options<'_>) -> Result {
    let kernel = &*context.kernel;
    // Tolerant, since configure_socket might close it.
    let holder = SocketHandle::from(kernel.socket(local.family)?);
    listen::confine(kernel, holder.get(), local.family, options)?;
    configure(context, holder.get(), local, options)?;
    kernel.bind(holder.get(), local)?;
    let chosen = kernel.local_addr(holder.get())?;
    listen::share_number(kernel, holder.get(), options)?;
    Ok(kernel.bind(fd, &Addr { port: chosen.port, ..*local })?)
}

/// Binds an adopted socket that is not bound, if it shares its number: its first send or a connection would bind it to a number
/// that other sockets may have.
pub(super) fn bind_unbound(kernel: &dyn Kernel, fd: Handle) -> io::Result<()> {
    let mut shared = Vec::new();
    for option in [SocketOption::ReuseAddress, SocketOption::ReusePort] {
        let value = kernel.option(fd, option)?;
        if value != 0 {
            shared.push((option, value));
        }
    }
    let host = kernel.local_addr(fd)?;
    // Another holder may have bound it in the meantime.
    if shared.is_empty() || host.port != 0 {
        return Ok(());
    }
    let unset = |(option, _): &(SocketOption, i32)| kernel.set_option(fd, *option, 0.into());
    let bound = shared.iter().try_for_each(unset).and_then(|()| kernel.bind(fd, &host));
    let reset = |(option, value): &(SocketOption, i32)| kernel.set_option(fd, *option, (*value).into());
    shared.iter().map(reset).fold(bound, io::Result::and)
}
