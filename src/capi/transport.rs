//! Chapter "transports".

use super::guard::*;
use super::message;
use super::ptr::{self, HandleRef, Out, Pieces, RawBytes, Strided, VersionedCopy, VersionedRef};
use crate::abi::*;
use crate::addr::Addr;
use crate::port::{Flush, Message, Port};
use crate::refusal;
use crate::status::{Result, Status};
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::Arc;

/// Bytes of the longest option that is looked at: a page and more than any has.
const OPTION_MAX: usize = 64 * 1024;

/// Adds a reference, for udpr_transport_release. NULL has no effect. [any thread]
///
/// Returns: `transport`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_retain(transport: *mut udpr_transport) -> *mut udpr_transport {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    unsafe { HandleRef::new(transport) }.retain();
    transport
}

/// Releases a reference. It never closes the port, which listens until it is stopped, and calls no callback. NULL has
/// no effect. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_release(transport: *mut udpr_transport) {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    if !transport.is_null() {
        // SAFETY: the caller gives its own reference up. The last one is never an open port's: its reactor has one.
        drop(unsafe { transport.take_back() });
    }
}

/// Gets the reactor of a transport. It is borrowed.
///
/// Returns: the reactor; NULL once stop_protocol has returned, and on a wrong thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_reactor(transport: *const udpr_transport) -> *mut udpr_reactor {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    let context = with_port(transport, |port| port.context().ok_or(Status::CLOSED));
    context.map_or(null_mut(), |context| context.c_handle.get().cast())
}

/// Gets the user pointer of the transport's protocol.
///
/// Returns: the pointer; NULL once stop_protocol has returned, and on a wrong thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_user(transport: *const udpr_transport) -> *mut c_void {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    let user = with_port(transport, |port| port.user().ok_or(Status::CLOSED));
    user.map_or(null_mut(), |user| user.cast())
}

/// Gets the descriptor of the socket. It is borrowed, for options that the library has no function for.
///
/// Returns: the descriptor; -1 once the socket is closed, and on a wrong thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_fileno(transport: *const udpr_transport) -> udpr_socket {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    with_port(transport, |port| Ok(port.fileno())).unwrap_or(-1)
}

/// Sends one datagram: the `len` bytes at `data`, to the address `to`, which has to be of the port's family. `len` may be 0,
/// and then `data` may be NULL. The caller may change or free `data` and `to` once this has returned.
///
/// Inside a callback, datagrams are gathered, and are sent by few system calls when the callbacks of that event have
/// returned: those for one port's batch of datagrams, or all delayed calls, watches or calls from threads of the turn.
/// Outside callbacks a datagram is sent at once. Datagrams to one destination are sent in the order in which they were
/// written; between destinations the order may change.
///
/// If the socket is full, datagrams are queued, up to send_queue_bytes of udpr_udp_options. After that, writes return
/// UDPR_E_WOULD_BLOCK, and write_ready of udpr_protocol is called when writes are accepted again.
///
/// What was gathered is sent before a connect, a disconnect, a stop_listening, a close, or a message with UDPR_MESSAGE_NOW
/// takes effect. A close, and the end of a stop_listening, drop and count what a full socket does not take.
///
/// If the kernel refuses a datagram for which this has returned UDPR_OK, error_received of udpr_protocol is called,
/// and dropped_out of udpr_transport_stats counts it. A write never returns the error of an earlier datagram.
///
/// A connected port accepts NULL or its peer as `to`: the address that udpr_transport_connect was given, or that
/// udpr_transport_get_peer returns. If the address needs no zone, its zone is ignored.
///
/// Returns: UDPR_OK if the datagram was handed to the kernel, gathered or queued; UDPR_E_CLOSED; UDPR_E_WOULD_BLOCK;
/// UDPR_E_NOT_CONNECTED for NULL as `to`; UDPR_E_WRONG_PEER; UDPR_E_ADDRESS_FAMILY; UDPR_E_MESSAGE_TOO_LONG;
/// UDPR_E_ACCESS for a broadcast that was not allowed; UDPR_E_INVALID_ARGUMENT, for example for port 0;
/// UDPR_E_NETWORK_UNREACHABLE, for example for a zone other than the device that the port is bound to;
/// UDPR_E_NO_MEMORY; outside callbacks also what the kernel returned. If it fails, nothing was sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_write(
    transport: *mut udpr_transport,
    data: *const c_void,
    len: usize,
    to: *const udpr_addr,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, data, to) =
        (unsafe { HandleRef::new(transport) }, unsafe { RawBytes::new(data, len) }, unsafe {
            ptr::target(to)
        });
    if port_inside(transport).is_some_and(|port| try_append(port, data, to)) {
        return Status::OK.code();
    }
    return write_anew(transport, data, to);

    // Inside, so that a log record can name the function.
    #[inline(never)]
    fn write_anew(
        transport: HandleRef<'_, udpr_transport>,
        data: RawBytes<'_>,
        to: Option<&Addr>,
    ) -> udpr_status {
        let quick = |port: &Port| try_append(port, data, to).then_some(());
        status(with_port_quickly(transport, quick, |port| {
            port.write(data.slice("data")?, to, Flush::Batched)
        }))
    }
}

/// The short way of a write, see [`Port::try_append`]; false where it is closed, and nothing was done.
#[inline(always)]
fn try_append(port: &Port, bytes: RawBytes<'_>, to: Option<&Addr>) -> bool {
    let RawBytes { data, len, .. } = bytes;
    let place = if data.is_null() { None } else { port.try_append(data, len, to) };
    let Some(place) = place else { return false };
    if place.cast_const() != data {
        // SAFETY: the caller's bytes, `len` of them, and a place of the arena for as many, of which the caller knows nothing.
        unsafe { std::ptr::copy_nonoverlapping(data, place, len) };
    }
    true
}

/// Sends the pieces one after the other as one datagram. Otherwise it is as udpr_transport_write. `pieces` may be NULL
/// if `count` is 0, which sends an empty datagram.
///
/// Returns: as udpr_transport_write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_write_sequence(
    transport: *mut udpr_transport,
    pieces: *const udpr_bytes,
    count: usize,
    to: *const udpr_addr,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, to) = (unsafe { HandleRef::new(transport) }, unsafe { ptr::target(to) });
    status(with_port_inlined(transport, |port| {
        // SAFETY: as above.
        let mut pieces = unsafe { Pieces::new(pieces, count) }?;
        port.write_message(Message { payload: pieces.payload()?, to, ..Message::default() })
    }))
}

/// Sends one datagram to the sender of `datagram`, from the address that this was sent to.
///
/// With UDPR_UDP_PACKET_INFO the source is datagram->destination, unless that is a group or a broadcast address: then, and
/// without UDPR_UDP_PACKET_INFO, the kernel chooses it. The reply leaves by the interface that received the datagram if the
/// sender or the destination is link-local (fe80::/10, 169.254.0.0/16), or if UDPR_DATAGRAM_TO_MANY is set; otherwise the
/// kernel chooses the interface.
///
/// Only size, sender, destination, interface_index and flags of the datagram are read. So a copy of it can be used later,
/// and any port of the same family can send the reply, under its own port number. Otherwise this is as udpr_transport_write;
/// a connected port replies to its peer only. If the address or the interface is gone when the reply is sent, the kernel
/// refuses it.
///
/// Returns: as udpr_transport_write, with datagram->sender as `to`; UDPR_E_INVALID_ARGUMENT for a sender with port 0 and for
/// NULL as `datagram`; UDPR_E_VERSION for unknown flags.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_reply(
    transport: *mut udpr_transport,
    datagram: *const udpr_datagram,
    data: *const c_void,
    len: usize,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, data) = (unsafe { HandleRef::new(transport) }, unsafe { RawBytes::new(data, len) });
    // SAFETY: as above.
    let arrival = unsafe { ptr::arrival(datagram) };
    let plain = arrival.as_ref().ok().filter(|arrival| arrival.is_plain()).zip(port_inside(transport));
    if plain.is_some_and(|(arrival, port)| try_append(port, data, Some(&arrival.sender))) {
        return Status::OK.code();
    }
    status(with_port_inlined(transport, |port| {
        port.reply(&arrival.map_err(|bad| bad.of("datagram"))?, data.slice("data")?)
    }))
}

/// Sends many datagrams, each as udpr_transport_write does. The stride of the array is messages[0].size, which every
/// element has to have. `out_taken` is always written: the number of messages that were accepted. A source that is not
/// an address of this host, or an interface that does not exist, is found when the datagram is sent. A message that is
/// cut into segments is accepted whole or not at all; if it is sent at once, the status is that of its first datagram,
/// and further ones that are lost count as dropped_out.
///
/// Returns: UDPR_OK; otherwise the status of messages[*out_taken], behind which nothing was read: that of
/// udpr_transport_write; UDPR_E_VERSION for unknown flags and reserved words that are not zero;
/// UDPR_E_INVALID_ARGUMENT for a group as source, for a tos or ttl above 255, a ttl of 0 that is not for a group, a
/// send_at above INT64_MAX, data or len next to pieces, and for a ttl, send_at or pieces without their flag;
/// UDPR_E_ADDRESS_FAMILY for a source of another family than the destination's (on a dual-stack port IPv4 is
/// ::ffff:a.b.c.d in both); UDPR_E_NOT_SUPPORTED for UDPR_MESSAGE_SEND_AT, as described there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_write_messages(
    transport: *mut udpr_transport,
    messages: *const udpr_message,
    count: usize,
    out_taken: *mut usize,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out_taken) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out_taken) });
    out_taken.set(0);
    status(with_port_inlined(transport, |port| {
        out_taken.check("out_taken")?;
        // SAFETY: as above.
        let mut messages = unsafe { Strided::new(messages, count, "messages") }?;
        let (mut index, mut room) = (0, MaybeUninit::uninit());
        while let Some(message) = messages.next(&mut room) {
            let written = message.and_then(|message| write_message(port, &message));
            written.map_err(|status| refusal::in_element("messages", index, status))?;
            index += 1;
            out_taken.set(index);
        }
        Ok(())
    }))
}

/// Copies a datagram, which is sent in the reactor's next turn, in order for each thread. Posts that wait are bounded
/// by send_queue_bytes; if none waits, a larger one is accepted. After UDPR_E_WOULD_BLOCK, and after a post that is
/// larger than the bound, write_ready is called as after a write. [any thread]
///
/// Returns: UDPR_OK; UDPR_E_WOULD_BLOCK if too much waits; UDPR_E_NO_MEMORY; the statuses of udpr_transport_write that
/// can be known at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_post(
    transport: *mut udpr_transport,
    data: *const c_void,
    len: usize,
    to: *const udpr_addr,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, data, to) =
        (unsafe { HandleRef::new(transport) }, unsafe { RawBytes::new(data, len) }, unsafe {
            ptr::target(to)
        });
    status(from_any_thread(transport, |port| port.post(data.slice("data")?, to)))
}

/// Sends one message as udpr_transport_post does, with all its options. UDPR_MESSAGE_NOW has no effect. A message that
/// is cut into segments is accepted whole or not at all. An interface that the port may not send by, and a kernel that
/// cannot send at an instant, are reported to error_received. [any thread]
///
/// Returns: as udpr_transport_post; UDPR_E_VERSION, UDPR_E_INVALID_ARGUMENT, UDPR_E_ADDRESS_FAMILY and
/// UDPR_E_NOT_SUPPORTED as udpr_transport_write_messages.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_post_message(
    transport: *mut udpr_transport,
    message: *const udpr_message,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, message) = (unsafe { HandleRef::new(transport) }, unsafe { VersionedCopy::new(message) });
    status(from_any_thread(transport, |port| {
        let message = message.map_err(|bad| bad.of("message"))?.check("message")?;
        message::with_message(&message.by_ref(), &mut |message| port.post_message(message))
    }))
}

/// Sends what the port has gathered. It does not end udpr_reactor_gather.
///
/// Returns: UDPR_OK; UDPR_E_CLOSED; UDPR_E_WOULD_BLOCK if a full socket keeps some of it waiting.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_flush(transport: *mut udpr_transport) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.flush()))
}

/// Connects the port to `peer`: writes without an address go to it, and datagrams of other senders are not delivered
/// any more. Those that wait already are discarded (discarded_in). Connecting again changes the peer; the port keeps
/// its number. What was gathered or queued before goes to its own destinations. An unspecified address is this host;
/// udpr_transport_get_peer returns the address that the kernel chose. Nothing is sent: whether the peer listens shows
/// after a write (connection_refused).
///
/// The port stays bound to its device, however it was bound: by bind_device, by udpr_transport_set_option at any time,
/// or before it was adopted. If the kernel does not bind it again, writes return UDPR_E_NO_INTERFACE until a connect
/// succeeds or the option is set. A link-local peer binds the port to the interface of its zone while it is connected.
///
/// Returns: UDPR_OK; UDPR_E_ADDRESS_FAMILY (for an IPv4 peer of a dual-stack port see udpr_addr_map_v4);
/// UDPR_E_INVALID_ARGUMENT, for example for port 0; UDPR_E_NETWORK_UNREACHABLE; UDPR_E_ACCESS for a broadcast that was
/// not allowed; UDPR_E_CLOSED; another error of connect(2). If it fails, the port is as it was, or has no peer if the
/// former peer cannot be reached any more either.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_connect(
    transport: *mut udpr_transport,
    peer: *const udpr_addr,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, peer) = (unsafe { HandleRef::new(transport) }, unsafe { ptr::target(peer) });
    status(with_port(transport, |port| port.connect(ptr::required(peer, "peer")?)))
}

/// Ends the connection: the port sends to any address and receives from any address again. It keeps its number and its
/// device (see udpr_transport_connect).
///
/// Returns: UDPR_OK; UDPR_E_NOT_CONNECTED; UDPR_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_disconnect(transport: *mut udpr_transport) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.disconnect()))
}

/// Gets the peer that the port is connected to.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_NOT_CONNECTED; UDPR_E_CLOSED once the socket is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_peer(
    transport: *const udpr_transport,
    out: *mut udpr_addr,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| {
        out.check("out")?;
        out.give("out", port.get_peer()?)
    }))
}

/// Turns the reports of the kernel and the network to error_received on or off, as UDPR_UDP_ERROR_REPORTS does from the
/// start. Accepted writes that fail are reported in any case.
///
/// Returns: UDPR_OK; UDPR_E_CLOSED; another status of the system.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_set_error_reports(
    transport: *mut udpr_transport,
    on: udpr_bool,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.set_error_reports(on != 0)))
}

/// Gets the local address. It asks the kernel each time.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED once the socket is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_host(
    transport: *const udpr_transport,
    out: *mut udpr_addr,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| {
        out.check("out")?;
        out.give("out", port.get_host()?)
    }))
}

/// Gets how many bytes wait to be sent: those that wait for a full socket, those that were gathered, and those that were posted. They
/// are counted as send_queue_bytes counts them, a datagram as at least 64. It costs little, and may be called before each write.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED once stop_protocol has returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_queued_bytes(
    transport: *const udpr_transport,
    out: *mut usize,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out) });
    status(with_port_briefly(transport, |port| out.give("out", port.get_queued_bytes()?)))
}

/// Stops the port: no datagram is delivered after this, and no write is accepted. stop_protocol is called in a later
/// turn. Until then, calling it again has no effect.
///
/// Returns: UDPR_OK; UDPR_E_CLOSED once stop_protocol has returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_stop_listening(transport: *mut udpr_transport) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.stop_listening()))
}

/// Stops the port as udpr_transport_stop_listening does, but the socket stays open until everything that was accepted (gathered,
/// queued or posted) is with the kernel, or until `timeout` is over. UDPR_NEVER is no bound; 0 is udpr_transport_stop_listening.
///
/// From this call on, writes, posts and udpr_transport_connect return UDPR_E_CLOSED; datagrams that were kept or were not read are
/// discarded; neither write_ready nor the port's delayed calls are called. error_received still is. stop_protocol is called in a
/// later turn, never inside this. Its reason is UDPR_OK, or UDPR_E_TIMED_OUT if something was dropped, which dropped_out counts.
///
/// If this is called again, the earlier end counts. udpr_transport_stop_listening and udpr_transport_close end it at once. A
/// shutdown does not wait for it, and neither does udpr_reactor_free: to wait in a shutdown, return UDPR_PENDING from a
/// before-trigger.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT for a timeout above INT64_MAX that is not UDPR_NEVER; UDPR_E_NO_MEMORY;
/// UDPR_E_CLOSED once stop_protocol has returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_stop_when_sent(
    transport: *mut udpr_transport,
    timeout: udpr_ns,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port_and_reactor(transport, |port, reactor| reactor.stop_when_sent(port, timeout)))
}

/// Stops the port at once: stop_protocol has been called when this returns. It may be called in any callback, also in
/// the port's own: then free_user waits until that has returned. A logger that receives the record of this close, and
/// closes the port itself, gets UDPR_OK before stop_protocol is called.
///
/// Returns: UDPR_OK; UDPR_E_CLOSED once stop_protocol has returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_close(transport: *mut udpr_transport) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.close(Status::OK)))
}

/// Pauses the delivery of datagrams until udpr_transport_resume_reading. The rest of the batch is kept for it, in
/// order. Error reports are still delivered. Calling it again has no effect.
///
/// Returns: UDPR_OK; UDPR_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_pause_reading(transport: *mut udpr_transport) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.pause_reading()))
}

/// Resumes the delivery of datagrams in a later turn, beginning with those that were kept. Calling it again has no
/// effect.
///
/// Returns: UDPR_OK; UDPR_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_resume_reading(transport: *mut udpr_transport) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.resume_reading()))
}

/// Allows or forbids broadcasts (SO_BROADCAST). If they are forbidden, a write to 255.255.255.255 returns UDPR_E_ACCESS
/// at once. A write to the broadcast address of a network, which only the kernel knows, fails when it is sent.
///
/// Returns: UDPR_OK; UDPR_E_CLOSED; another status of the system.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_set_broadcast_allowed(
    transport: *mut udpr_transport,
    allowed: udpr_bool,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.set_broadcast_allowed(allowed != 0)))
}

/// Gets whether broadcasts are allowed: 1 or 0.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_broadcast_allowed(
    transport: *const udpr_transport,
    out: *mut udpr_bool,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| out.give("out", port.get_broadcast_allowed()?.into())))
}

/// Sets the TTL or hop limit, 1 to 255, of datagrams that are not sent to groups. On a dual-stack port it is that of
/// IPv4 and IPv6.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED; another status of the system.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_set_unicast_ttl(
    transport: *mut udpr_transport,
    ttl: u32,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.set_unicast_ttl(ttl)))
}

/// Gets the TTL or hop limit that was set, or the system's default. On a dual-stack port it is that of IPv6.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_unicast_ttl(
    transport: *const udpr_transport,
    out: *mut u32,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| out.give("out", port.get_unicast_ttl()?)))
}

/// Sets a socket option by the system's numbers, as setsockopt(2). `value` may be NULL if `len` is 0.
///
/// SO_BINDTODEVICE and SO_BINDTOIFINDEX have the effect of bind_device, also on a connected port; an empty name, or
/// index 0, ends it. Without CAP_NET_RAW, Linux allows a process only to bind a port that is not bound.
///
/// Returns: UDPR_OK; UDPR_E_NOT_SUPPORTED for options that the library manages itself: UDP_GRO, UDP_SEGMENT,
/// IP_RECVERR, IPV6_RECVERR, SO_ERROR, SO_BROADCAST, memberships of groups, their outgoing interface, and those that
/// make control data, which are packet info, TOS, TTL and timestamps; UDPR_E_CLOSED; what the kernel returned, which is
/// UDPR_E_SYSTEM - ENOPROTOOPT for an option that it does not know.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_set_option(
    transport: *mut udpr_transport,
    level: i32,
    name: i32,
    value: *const c_void,
    len: usize,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, value) = (unsafe { HandleRef::new(transport) }, unsafe { RawBytes::new(value, len) });
    status(with_port(transport, |port| port.set_option(level, name, value.slice("value")?)))
}

/// Gets a socket option by the system's numbers, as getsockopt(2). `len` is the size of `value`, and gets how many
/// bytes were filled.
///
/// Returns: as udpr_transport_set_option.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_option(
    transport: *const udpr_transport,
    level: i32,
    name: i32,
    value: *mut c_void,
    len: *mut usize,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| {
        // SAFETY: NULL, or the caller's length, which nobody else uses during the call.
        let len = unsafe { len.as_mut() }.ok_or_else(|| refusal::null("len"))?;
        if value.is_null() && *len > 0 {
            return Err(refusal::null("value"));
        }
        let mut room = vec![0; (*len).min(OPTION_MAX)];
        let filled = port.get_option(level, name, &mut room)?;
        // SAFETY: the caller's buffer is `len` bytes, of which the kernel filled no more.
        unsafe { std::ptr::copy_nonoverlapping(room.as_ptr(), value.cast(), filled.min(room.len())) };
        *len = filled;
        Ok(())
    }))
}

#[inline]
fn write_message(port: &Arc<Port>, message: &VersionedRef<'_, '_, udpr_message>) -> Result {
    if !message::is_plain(message) {
        return message::with_message(message, &mut |message| port.write_message(message));
    }
    let (data, to) = (message.bytes(), message.destination());
    if try_append(port, data, to) {
        return Ok(());
    }
    port.write(data.slice("data")?, to, Flush::Batched)
}
