//! Chapter "listening".

use super::callback::{CProtocol, Core, configure_socket, transport_handle};
use super::guard::*;
use super::ptr::{self, BadSize, HandleRef, Out, VersionedCopy, give_out};
use crate::abi::*;
use crate::addr::Addr;
use crate::port::{ConfigureSocket, Descriptor, Options, Port, flag};
use crate::reactor::Reactor;
use crate::refusal;
use crate::status::Result;
use crate::sys::socket;
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// A struct that the caller passes, if it has a size that it may have.
type Given<'a, T> = std::result::Result<VersionedCopy<'a, T>, BadSize>;

/// Listens on a UDP port, which also sends. `local_address` is an IP address of this host, "::" for every address, or NULL
/// or "" for every IPv4 address. If `port` is 0, the kernel chooses one, which is what a client needs. `options` may be
/// NULL. start_protocol is called inside this, with the transport that `out` will get, which is not set yet. It may
/// write, connect, join, stop and close; after a close this returns UDPR_OK, and the transport has stopped. Before that,
/// configure_socket is called with the new socket. If a callback or anything else fails, nothing is left, and free_user
/// has been called. `out` may be NULL; otherwise the transport is retained for the caller, who releases it once. The
/// port stays open without that reference.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_VERSION; UDPR_E_INVALID_ADDRESS; UDPR_E_ADDRESS_IN_USE;
/// UDPR_E_ADDRESS_NOT_AVAILABLE; UDPR_E_ACCESS; UDPR_E_NO_FILES; UDPR_E_NO_MEMORY; UDPR_E_ADDRESS_FAMILY for an
/// IPv6 address on a host without IPv6; UDPR_E_CLOSED while the reactor is freed; what configure_socket or
/// start_protocol returned; another status of the system.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_listen_udp(
    reactor: *mut udpr_reactor,
    port: u16,
    local_address: *const c_char,
    protocol: *const udpr_protocol,
    options: *const udpr_udp_options,
    out: *mut *mut udpr_transport,
) -> udpr_status {
    // SAFETY: the caller's promises.
    unsafe { listen_text("udpr_reactor_listen_udp", reactor, port, local_address, protocol, options, out) }
}

/// Listens as udpr_reactor_listen_udp does; it is Twisted's name for a port that is meant for groups. Groups can be
/// joined on any port, preferably in start_protocol. From its first join on, a port receives only the groups that it
/// joined (IP_MULTICAST_ALL is off). Several programs of one host share the port number of a group with
/// UDPR_UDP_LISTEN_MULTIPLE.
///
/// Returns: as udpr_reactor_listen_udp.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_listen_multicast(
    reactor: *mut udpr_reactor,
    port: u16,
    local_address: *const c_char,
    protocol: *const udpr_protocol,
    options: *const udpr_udp_options,
    out: *mut *mut udpr_transport,
) -> udpr_status {
    // SAFETY: the caller's promises.
    unsafe {
        listen_text("udpr_reactor_listen_multicast", reactor, port, local_address, protocol, options, out)
    }
}

/// Listens on an address of this host and its port; port 0 lets the kernel choose one. For everything else it is
/// udpr_reactor_listen_udp. `local` is copied. Its scope_id is used, its flow_info is not. ::ffff:a.b.c.d binds an IPv6 socket
/// to the IPv4 address.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT if `local` is NULL, or its family is UDPR_AF_UNSPEC or unknown, or its reserved
/// word is not zero; otherwise as udpr_reactor_listen_udp.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_listen_addr(
    reactor: *mut udpr_reactor,
    local: *const udpr_addr,
    protocol: *const udpr_protocol,
    options: *const udpr_udp_options,
    out: *mut *mut udpr_transport,
) -> udpr_status {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let (reactor, out) = (unsafe { HandleRef::new(reactor) }, unsafe { Out::new(out) });
    // SAFETY: as above.
    let (protocol, options) =
        (unsafe { VersionedCopy::new(protocol) }, unsafe { VersionedCopy::or_default(options) });
    // SAFETY: as above.
    let local = unsafe { ptr::target(local) };
    status(listen("udpr_reactor_listen_addr", reactor, protocol, out, |reactor, protocol, configure| {
        let local = Addr { flow_info: 0, ..*ptr::required(local, "local")? };
        if local.reserved != 0 {
            return Err(refusal::invalid_field(
                "local->",
                "reserved",
                local.reserved.into(),
                "it has to be 0",
            ));
        }
        local.check("local->")?;
        reactor.listen_addr(&local, &as_options(options, configure)?, protocol)
    }))
}

/// Makes a port of a UDP socket that was made elsewhere: bound or not (its first write binds it), connected or not,
/// blocking or not. The descriptor is duplicated: the caller keeps `fd`, and may close it at once. With
/// UDPR_UDP_TAKE_FD the library takes it over, even if this fails; only if `options` itself cannot be read, it stays
/// the caller's. Family, type, protocol and peer are read from the socket. `family` is UDPR_AF_UNSPEC, or the family
/// that is expected.
///
/// Socket options and a connection that are changed here are restored when the port stops, for the other holders of the
/// socket, except those that udpr_transport_set_option sets. A socket that was not bound keeps the port number that it
/// got. An outgoing interface that was set by its index alone cannot be read (ip(7), IP_MULTICAST_IF): if
/// udpr_transport_set_outgoing_interface has changed it, the system chooses the interface afterwards. Otherwise this is
/// as udpr_reactor_listen_udp.
///
/// A socket that is bound to a device becomes a port that is bound to it (see bind_device). That includes a socket that
/// was connected to a link-local address: the kernel does not report whether the maker or the connection has bound it.
///
/// Returns: as udpr_reactor_listen_udp; UDPR_E_SOCKET_TYPE if it is not a UDP socket; UDPR_E_ADDRESS_FAMILY if its
/// family is not IPv4, IPv6 or `family`; UDPR_E_SYSTEM - EBADF if `fd` is not open; UDPR_E_INVALID_ARGUMENT for
/// options that have to be set before bind: UDPR_UDP_LISTEN_MULTIPLE, UDPR_UDP_REUSE_ADDRESS, UDPR_UDP_REUSE_PORT,
/// UDPR_UDP_V6_ONLY, bind_device.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_adopt_datagram_port(
    reactor: *mut udpr_reactor,
    fd: udpr_socket,
    family: u16,
    protocol: *const udpr_protocol,
    options: *const udpr_udp_options,
    out: *mut *mut udpr_transport,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, out) = (unsafe { HandleRef::new(reactor) }, unsafe { Out::new(out) });
    // SAFETY: as above.
    let (protocol, options) =
        (unsafe { VersionedCopy::new(protocol) }, unsafe { VersionedCopy::or_default(options) });
    // Before anything can fail, so that a descriptor that was given away is closed however this ends.
    let descriptor = match options.map_or(0, |options| options.flags & flag::TAKE_FD) {
        0 => Ok(Descriptor::Lent(fd)),
        // SAFETY: by the flag the caller gives its descriptor up.
        _ => unsafe { socket::take_over(fd) }.map(Descriptor::Taken),
    };
    status(listen("udpr_reactor_adopt_datagram_port", reactor, protocol, out, |reactor, protocol, _| {
        let options = as_options(options, None)?;
        reactor.adopt_datagram_port(descriptor?, family, &options, protocol)
    }))
}

/// Gathers writes outside callbacks, like those inside callbacks, so that few system calls send them.
/// udpr_reactor_flush, or this reactor's next turn before it waits, sends them and ends the gathering. Calling it
/// again has no effect.
///
/// Writes return the same statuses as in a callback. If more than send_queue_bytes is gathered, it is sent early. At
/// most 16 ports gather at a time; writes of others are sent at once. Ports with UDPR_UDP_UNBATCHED and messages with
/// UDPR_MESSAGE_NOW are not affected. udpr_transport_flush sends what that port has gathered, udpr_reactor_advance
/// what any port has; neither ends this. While something is gathered, the descriptor of udpr_reactor_backend_fd is
/// readable, and udpr_reactor_next_timeout is 0. udpr_reactor_free sends it, as udpr_transport_close does;
/// udpr_reactor_after_fork drops it in the child.
///
/// Returns: UDPR_OK; UDPR_E_WRONG_THREAD.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_gather(reactor: *mut udpr_reactor) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, |reactor| {
        reactor.gather();
        Ok(())
    }))
}

/// Sends what every port has gathered, and ends udpr_reactor_gather. It may also be called in callbacks.
///
/// Returns: UDPR_OK; UDPR_E_WOULD_BLOCK if a full socket keeps some of it waiting; UDPR_E_WRONG_THREAD.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_flush(reactor: *mut udpr_reactor) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, Reactor::flush))
}

/// Calls `fn` for every port whose stop_protocol was not called yet. It goes through a snapshot, so `fn` may close
/// ports and listen. The transport is borrowed: retain it to keep it.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_each_transport(
    reactor: *mut udpr_reactor,
    r#fn: udpr_visit_fn,
    user: *mut c_void,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, |reactor| {
        let visit = ptr::required(r#fn, "fn")?;
        // SAFETY: the caller gave a function for this user; the port outlives the call.
        reactor.each_transport(|port| unsafe { visit(transport_handle(port), user) });
        Ok(())
    }))
}

/// Both functions that listen on an address given as text.
///
/// # Safety
/// The caller's pointers are valid as the head of the header requires.
unsafe fn listen_text(
    function: &'static str,
    reactor: *mut udpr_reactor,
    port: u16,
    local_address: *const c_char,
    protocol: *const udpr_protocol,
    options: *const udpr_udp_options,
    out: *mut *mut udpr_transport,
) -> udpr_status {
    // SAFETY: the caller's promise.
    let (reactor, out) = (unsafe { HandleRef::new(reactor) }, unsafe { Out::new(out) });
    // SAFETY: as above.
    let (protocol, options) =
        (unsafe { VersionedCopy::new(protocol) }, unsafe { VersionedCopy::or_default(options) });
    // SAFETY: as above.
    let local = unsafe { ptr::text(local_address) };
    status(listen(function, reactor, protocol, out, |reactor, protocol, configure| {
        let local = local.map_or(Ok(""), |local| ptr::utf8(Some(local), "local_address"))?;
        reactor.listen_udp(port, local, &as_options(options, configure)?, protocol)
    }))
}

/// The common part of all functions that make a port. The protocol is taken over first, so that its free_user is called
/// whatever happens, and the port is handed out last.
fn listen(
    function: &'static str,
    reactor: HandleRef<'_, udpr_reactor>,
    protocol: Given<'_, udpr_protocol>,
    out: Out<'_, *mut udpr_transport>,
    make: impl FnOnce(&Core, Box<CProtocol>, Option<ConfigureSocket<'_>>) -> Result<Arc<Port>>,
) -> Result {
    let taken_over = protocol.map(|protocol| CProtocol::new(&protocol));
    let port = with_reactor_in(function, reactor, |reactor| {
        let taken_over = taken_over.map_err(|bad| bad.of("protocol"))?;
        let protocol = protocol.map_err(|bad| bad.of("protocol"))?.check("protocol->")?;
        let configure = configure_socket(&protocol);
        let configure = configure.as_ref().map(|configure| ConfigureSocket(configure));
        make(reactor, Box::new(taken_over), configure)
    })?;
    if !out.is_null() {
        out.set(give_out(port));
    }
    Ok(())
}

fn as_options<'a>(
    options: Given<'a, udpr_udp_options>,
    configure_socket: Option<ConfigureSocket<'a>>,
) -> Result<Options<'a>> {
    let options = options.map_err(|bad| bad.of("options"))?.check("options->")?;
    let reserved = u64::from(options.reserved | options.reserved_2);
    if reserved != 0 {
        return Err(refusal::unknown_field("options->", "reserved", reserved, "this version knows only 0"));
    }
    Ok(Options {
        flags: options.flags,
        max_packet_size: options.max_packet_size,
        receive_buffer: options.receive_buffer,
        send_buffer: options.send_buffer,
        send_queue_bytes: options.send_queue_bytes,
        write_ready_bytes: options.write_ready_bytes,
        bind_device: options.device(),
        configure_socket,
    })
}
