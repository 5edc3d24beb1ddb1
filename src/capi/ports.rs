//! Chapter "reactor: ports".

use super::callback::{CProtocol, transport_handle};
use super::guard::*;
use super::library::text;
use super::sized;
use super::types::*;
use crate::port::{Descriptor, Options, Port, flag};
use crate::status::{Result, Status};
use crate::sys::socket;
use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;

/// Listens on a UDP port. `local_address`: a bare IP literal of this host, "::", or NULL or "" for every IPv4 address.
/// `port` 0: the kernel chooses. `options` may be NULL. Bind errors are this call's result: UDPR_E_ADDRESS_IN_USE,
/// UDPR_E_ADDRESS_NOT_AVAILABLE, UDPR_E_ACCESS, ... start_protocol runs inside this call, with the transport that `out`
/// will get (not yet set): it may write, connect, join, stop and close (then the call is OK and the transport a stopped one);
/// when it or anything else fails, nothing is left and free_user has run. `out` may be NULL; else the transport comes retained:
/// release it once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_listen_udp(
    reactor: *mut udpr_reactor,
    port: u16,
    local_address: *const c_char,
    protocol: *const udpr_protocol,
    options: *const udpr_udp_options,
    out: *mut *mut udpr_transport,
) -> udpr_status {
    status(listen(protocol, out, |protocol| {
        with_reactor(reactor, |reactor| {
            let local = if local_address.is_null() { "" } else { text(local_address)? };
            let options = read_options(options)?;
            reactor.listen_udp(port, local, &as_options(&options), Box::new(protocol))
        })
    }))
}

/// Twisted's name for a port meant for groups: udpr_reactor_listen_udp in all it does. Groups can be joined on any port,
/// in start_protocol best; from its first join on, a port receives only the groups it joined (IP_MULTICAST_ALL off).
/// Several programs of one host share a group's port with UDPR_UDP_LISTEN_MULTIPLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_listen_multicast(
    reactor: *mut udpr_reactor,
    port: u16,
    local_address: *const c_char,
    protocol: *const udpr_protocol,
    options: *const udpr_udp_options,
    out: *mut *mut udpr_transport,
) -> udpr_status {
    // SAFETY: the same promises.
    unsafe { udpr_reactor_listen_udp(reactor, port, local_address, protocol, options, out) }
}

/// Makes a port of a UDP socket made elsewhere: bound or not yet (its first write binds it), connected or not, blocking or
/// not. It is duplicated: the caller keeps `fd`, and may close it at once. With UDPR_UDP_TAKE_FD it is the library's, also
/// when this fails (only where `options` itself cannot be read, it stays the caller's). Family, type, protocol and peer are
/// read from the socket; `family`: UDPR_AF_UNSPEC, or the one expected. Socket options and the connection that are
/// changed here are put back when the port stops, for whoever else holds the socket. Otherwise as udpr_reactor_listen_udp.
///
/// UDPR_E_SOCKET_TYPE where it is not a UDP socket; UDPR_E_ADDRESS_FAMILY where it is of another family than IPv4, IPv6 or
/// `family`; EBADF as a system status; UDPR_E_INVALID_ARGUMENT for what must precede bind: UDPR_UDP_LISTEN_MULTIPLE,
/// UDPR_UDP_REUSE_ADDRESS, UDPR_UDP_REUSE_PORT, UDPR_UDP_V6_ONLY, bind_device.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_adopt_datagram_port(
    reactor: *mut udpr_reactor,
    fd: i32,
    family: u16,
    protocol: *const udpr_protocol,
    options: *const udpr_udp_options,
    out: *mut *mut udpr_transport,
) -> udpr_status {
    let descriptor = take_over(fd, options);
    status(listen(protocol, out, |protocol| {
        with_reactor(reactor, |reactor| {
            let options = read_options(options)?;
            reactor.adopt_datagram_port(descriptor?, family, &as_options(&options), Box::new(protocol))
        })
    }))
}

/// Calls `fn` for every port whose stop_protocol is still to come: a snapshot, so `fn` may close and listen. The transport
/// is borrowed: retain it to keep it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_each_transport(
    reactor: *mut udpr_reactor,
    r#fn: udpr_visit_fn,
    user: *mut c_void,
) -> udpr_status {
    status(with_reactor(reactor, |reactor| {
        let visit = r#fn.ok_or(Status::INVALID_ARGUMENT)?;
        // SAFETY: the caller gave a function for this user; the port outlives the call.
        reactor.each_transport(|port| unsafe { visit(transport_handle(port), user) });
        Ok(())
    }))
}

/// What every way to make a port has in common: the protocol is taken over first, so that its free_user runs however
/// this ends, and the port is handed out last.
fn listen(
    protocol: *const udpr_protocol,
    out: *mut *mut udpr_transport,
    make: impl FnOnce(CProtocol) -> Result<Arc<Port>>,
) -> Result {
    anywhere(|| {
        let taken_over = CProtocol::new(sized::read_known(protocol)?);
        sized::check_rest(protocol)?;
        let port = make(taken_over)?;
        if !out.is_null() {
            // SAFETY: the caller's output, which gets a reference of its own.
            unsafe { out.write(Arc::into_raw(port).cast_mut().cast()) };
        }
        Ok(())
    })
}

/// Before anything can fail, so that a descriptor that was given away is closed however this ends.
fn take_over(fd: i32, options: *const udpr_udp_options) -> Result<Descriptor> {
    let taken = !options.is_null() && sized::read_known(options)?.flags & flag::TAKE_FD != 0;
    if taken { Ok(Descriptor::Taken(socket::take_over(fd)?)) } else { Ok(Descriptor::Lent(fd)) }
}

fn read_options(options: *const udpr_udp_options) -> Result<udpr_udp_options> {
    if options.is_null() {
        // SAFETY: all zero is the default.
        return Ok(unsafe { std::mem::zeroed() });
    }
    let options = sized::read(options)?;
    if options.reserved != 0 { Err(Status::VERSION) } else { Ok(options) }
}

fn as_options(options: &udpr_udp_options) -> Options<'_> {
    let device = options.bind_device;
    Options {
        flags: options.flags,
        max_packet_size: options.max_packet_size,
        receive_buffer: options.receive_buffer,
        send_buffer: options.send_buffer,
        send_queue_bytes: options.send_queue_bytes,
        // SAFETY: NULL or a NUL-terminated text that stays during the call.
        bind_device: (!device.is_null()).then(|| unsafe { CStr::from_ptr(device) }),
    }
}
