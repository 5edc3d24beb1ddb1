//! Chapter "transport: handle and IUDPTransport".

use super::guard::*;
use super::ptr::{self, HandleRef, Out, RawBytes, Strided, VersionedCopy};
use crate::abi::*;
use crate::addr::Addr;
use crate::port::{Flush, Message, Port};
use crate::status::{Result, Status};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;

/// Bytes of the longest option that is looked at: a page and more than any has.
const OPTION_MAX: usize = 64 * 1024;

/// One more reference, for udpr_transport_release. NULL is fine, and comes back. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_retain(transport: *mut udpr_transport) -> *mut udpr_transport {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    unsafe { HandleRef::new(transport) }.retain();
    transport
}

/// One reference less. It never closes the port, which listens until it is stopped, and never calls back. NULL is fine.
/// [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_release(transport: *mut udpr_transport) {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    if !transport.is_null() {
        // SAFETY: the caller gives its own reference up. The last one is never an open port's: its reactor has one.
        drop(unsafe { transport.take_back() });
    }
}

/// The transport's reactor, borrowed. NULL once stop_protocol has returned, and on a wrong thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_reactor(transport: *const udpr_transport) -> *mut udpr_reactor {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    let context = with_port(transport, |port| port.context().ok_or(Status::CLOSED));
    context.map_or(null_mut(), |context| context.c_handle.get().cast())
}

/// The user of the transport's protocol. NULL once stop_protocol has returned, and on a wrong thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_user(transport: *const udpr_transport) -> *mut c_void {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    let user = with_port(transport, |port| port.user().ok_or(Status::CLOSED));
    user.map_or(null_mut(), |user| user.cast())
}

/// The socket's descriptor, borrowed: for options that the library has no name for. -1 once the socket is closed, and on
/// a wrong thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_fileno(transport: *const udpr_transport) -> i32 {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    with_port(transport, |port| Ok(port.fileno())).unwrap_or(-1)
}

/// Sends one datagram of `len` bytes (0 is fine, `data` may be NULL then) to `to`, an address of the port's family.
///
/// UDPR_OK: handed to the kernel or queued. In a callback, writes gather until the dispatch they were made in (one port's
/// batch, or one pass of timers, watches or calls) is done, on whichever port they were made; everything leaves in few
/// system calls. Elsewhere a write leaves at once. Datagrams to one destination leave in the order written; between
/// destinations no order is promised. A full socket queues up to send_queue_bytes, then UDPR_E_WOULD_BLOCK, then
/// write_ready. What was gathered leaves first, before connect, disconnect, stop_listening, close, or a message with
/// UDPR_MESSAGE_NOW take effect; close and the end of stop_listening drop and count what a full socket refuses. What the
/// kernel refuses after UDPR_OK comes to error_received, and is counted in dropped_out.
///
/// A connected port takes NULL or its peer as `to`: the address that udpr_transport_connect was given, or that
/// udpr_transport_get_peer gives. The zone of an address that needs none does not matter. UDPR_E_CLOSED, UDPR_E_NOT_CONNECTED (NULL as `to`),
/// UDPR_E_WRONG_PEER, UDPR_E_ADDRESS_FAMILY, UDPR_E_MESSAGE_TOO_LONG, UDPR_E_ACCESS, UDPR_E_INVALID_ARGUMENT (port 0, say),
/// UDPR_E_NETWORK_UNREACHABLE (a zone other than the device that the port is bound to, say): nothing was sent. A write
/// never answers for an earlier datagram's error.
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
    write_anew(transport, data, to)
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

#[inline(never)]
fn write_anew(
    transport: HandleRef<'_, udpr_transport>,
    data: RawBytes<'_>,
    to: Option<&Addr>,
) -> udpr_status {
    status(with_port(transport, |port| port.write(data.slice()?, to, Flush::Batched)))
}

/// Sends the pieces one after the other as one datagram; otherwise as udpr_transport_write. `pieces` may be NULL where
/// `count` is 0: an empty datagram.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_write_sequence(
    transport: *mut udpr_transport,
    pieces: *const udpr_bytes,
    count: usize,
    to: *const udpr_addr,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, to) = (unsafe { HandleRef::new(transport) }, unsafe { ptr::target(to) });
    // SAFETY: as above.
    let pieces = unsafe { ptr::array(pieces, count) };
    status(with_port(transport, |port| {
        let pieces = pieces?;
        // SAFETY: the promise is of the bytes, too.
        let bytes = || pieces.iter().map(|piece| unsafe { RawBytes::new(piece.data, piece.len) }.slice());
        let total = bytes().try_fold(0usize, |total, bytes| {
            total.checked_add(bytes?.len()).ok_or(Status::MESSAGE_TOO_LONG)
        })?;
        port.write_with(total, to, Flush::Batched, |place| join(bytes().flatten(), place))
    }))
}

/// Sends many datagrams, each as udpr_transport_write would. The stride of the array is messages[0].size, which every
/// element carries. out_taken is always written: how many were accepted; the status is UDPR_OK, or that of
/// messages[*out_taken], and nothing behind that was looked at. UDPR_E_VERSION for unknown flags. UDPR_E_INVALID_ARGUMENT
/// for a tos above 255 and for a group as source, UDPR_E_ADDRESS_FAMILY for a source of another family than the
/// destination's (on a dual-stack port IPv4 is ::ffff:a.b.c.d in both). A source that is not this host's, or an interface
/// that is not there, is found when the datagram leaves. A message that is cut into segments is accepted whole or not at
/// all; where it leaves at once, the status is its first datagram's, and what is lost behind that counts as dropped_out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_write_messages(
    transport: *mut udpr_transport,
    messages: *const udpr_message,
    count: usize,
    out_taken: *mut usize,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out_taken) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out_taken) });
    // SAFETY: as above.
    let messages = unsafe { Strided::new(messages, count) };
    out_taken.set(0);
    status(with_port(transport, |port| {
        out_taken.check()?;
        for (index, message) in messages?.enumerate() {
            write_message(port, &message?)?;
            out_taken.set(index + 1);
        }
        Ok(())
    }))
}

/// Copies a datagram, which leaves in the reactor's next turn, in order for each thread. Posts that wait are bounded by
/// send_queue_bytes, but if none waits, one that counts more is accepted. Statuses as of udpr_transport_write, as far as they can
/// be known at once; UDPR_E_WOULD_BLOCK if too much waits already. After that, and after one that counts more than the bound,
/// write_ready is called when what waited has left. [any thread]
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
    status(anywhere_briefly(|| transport.shared()?.post(data.slice()?, to)))
}

/// Sends now what was gathered. UDPR_E_WOULD_BLOCK where a full socket keeps some of it waiting.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_flush(transport: *mut udpr_transport) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.flush()))
}

/// Talks to `peer` alone from here on: writes go to it without an address, and datagrams of others are no longer delivered,
/// those that wait already included (discarded_in counts them). Again: another peer; the port keeps its number. What was
/// gathered or queued before goes where it was written to. An unspecified address is this host (udpr_transport_get_peer
/// says which address the kernel took).
///
/// UDPR_E_ADDRESS_FAMILY (an IPv4 peer of a dual-stack port: see udpr_addr_map_v4), UDPR_E_INVALID_ARGUMENT (port 0, say),
/// UDPR_E_NETWORK_UNREACHABLE, UDPR_E_ACCESS (a broadcast that was not allowed), what else connect(2) says, UDPR_E_CLOSED:
/// the port is as it was, or has no peer if the former one cannot be reached any more either. Nothing is sent: whether
/// anybody listens there shows after a write (connection_refused).
///
/// The port stays bound to its device, however it was bound (bind_device, udpr_transport_set_option at any time, or before
/// it was adopted). If the kernel does not bind it again, writes return UDPR_E_NO_INTERFACE until a connect succeeds or the
/// option is set. A link-local peer binds the port to the interface of its zone while it is connected.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_connect(
    transport: *mut udpr_transport,
    peer: *const udpr_addr,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, peer) = (unsafe { HandleRef::new(transport) }, unsafe { ptr::addr(peer) });
    status(with_port(transport, |port| port.connect(&peer?)))
}

/// Talks to everybody again; the port keeps its number and its device (see udpr_transport_connect). UDPR_E_NOT_CONNECTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_disconnect(transport: *mut udpr_transport) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.disconnect()))
}

/// The peer that the port is connected to. UDPR_E_NOT_CONNECTED; UDPR_E_CLOSED once the socket is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_peer(
    transport: *const udpr_transport,
    out: *mut udpr_addr,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| {
        out.check()?;
        out.give(port.get_peer()?)
    }))
}

/// Turns error_received for what the kernel and the network report on or off, as UDPR_UDP_ERROR_REPORTS does at the start.
/// Accepted writes that fail are told without it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_set_error_reports(
    transport: *mut udpr_transport,
    on: udpr_bool,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.set_error_reports(on != 0)))
}

/// The local address; asks the kernel each time. UDPR_E_CLOSED once the socket is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_host(
    transport: *const udpr_transport,
    out: *mut udpr_addr,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| {
        out.check()?;
        out.give(port.get_host()?)
    }))
}

/// No datagram after this, and no write; stop_protocol comes in a later turn. Again is fine until then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_stop_listening(transport: *mut udpr_transport) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.stop_listening()))
}

/// Stops now: stop_protocol has run before this returns. Legal in any callback, the port's own too: free_user waits until
/// that has returned. A logger that is told of the port's close, and closes it, too, gets UDPR_OK before stop_protocol has
/// run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_close(transport: *mut udpr_transport) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.close(Status::OK)))
}

/// No datagram until udpr_transport_resume_reading. What is left of the batch is kept for it, in order. Error reports
/// come all the same. Again is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_pause_reading(transport: *mut udpr_transport) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.pause_reading()))
}

/// Datagrams again, in a later turn, those that were kept first. Again is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_resume_reading(transport: *mut udpr_transport) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.resume_reading()))
}

/// Lets the port send broadcasts, or no longer (SO_BROADCAST). Without it a write to 255.255.255.255 is UDPR_E_ACCESS at
/// once; one to a network's broadcast address, which only the kernel knows, when it leaves.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_set_broadcast_allowed(
    transport: *mut udpr_transport,
    allowed: udpr_bool,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.set_broadcast_allowed(allowed != 0)))
}

/// 1 or 0, as UDPR_UDP_BROADCAST or udpr_transport_set_broadcast_allowed has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_broadcast_allowed(
    transport: *const udpr_transport,
    out: *mut udpr_bool,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| out.give(port.get_broadcast_allowed()?.into())))
}

/// The TTL or hop limit of datagrams to anything but groups, 1 to 255, else UDPR_E_INVALID_ARGUMENT. On a dual-stack port
/// for IPv4 and IPv6.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_set_unicast_ttl(
    transport: *mut udpr_transport,
    ttl: u32,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.set_unicast_ttl(ttl)))
}

/// As it was set, else the system's default. On a dual-stack port that of IPv6.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_unicast_ttl(
    transport: *const udpr_transport,
    out: *mut u32,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| out.give(port.get_unicast_ttl()?)))
}

/// setsockopt(2) with the system's numbers; `value` may be NULL where `len` is 0. UDPR_E_NOT_SUPPORTED for options that
/// the library manages itself: UDP_GRO, UDP_SEGMENT, IP_RECVERR, IPV6_RECVERR, SO_ERROR, SO_BROADCAST, memberships of
/// groups, their outgoing interface, and those that make control data: packet info, TOS, TTL, timestamps. Else what the
/// kernel says: an option that it does not know is UDPR_E_SYSTEM - ENOPROTOOPT.
///
/// SO_BINDTODEVICE and SO_BINDTOIFINDEX have the effect of bind_device, also on a connected port; an empty name, or index 0,
/// ends it. Linux lets a process without CAP_NET_RAW bind a port that is not bound, and nothing else.
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
    status(with_port(transport, |port| port.set_option(level, name, value.slice()?)))
}

/// getsockopt(2) with the system's numbers: `len` is the room at `value`, and how much of it was filled. Refused as of
/// udpr_transport_set_option.
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
        let len = unsafe { len.as_mut() }.ok_or(Status::INVALID_ARGUMENT)?;
        if value.is_null() && *len > 0 {
            return Err(Status::INVALID_ARGUMENT);
        }
        let mut room = vec![0; (*len).min(OPTION_MAX)];
        let filled = port.get_option(level, name, &mut room)?;
        // SAFETY: the caller's buffer is `len` bytes, of which the kernel filled no more.
        unsafe { std::ptr::copy_nonoverlapping(room.as_ptr(), value.cast(), filled.min(room.len())) };
        *len = filled;
        Ok(())
    }))
}

/// The pieces one after the other; their lengths make up the place's.
fn join<'a>(pieces: impl Iterator<Item = &'a [u8]>, mut place: &mut [u8]) {
    for bytes in pieces {
        let (head, tail) = place.split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        place = tail;
    }
}

#[inline]
fn write_message(port: &Arc<Port>, message: &VersionedCopy<'_, udpr_message>) -> Result {
    let says = message.flags | message.interface_index | message.segment_size;
    if says != 0 || !message.source.is_null() {
        return write_special(port, message);
    }
    let (data, to) = (message.bytes(), message.destination());
    if try_append(port, data, to) {
        return Ok(());
    }
    port.write(data.slice()?, to, Flush::Batched)
}

/// One of which more is said than where it goes.
#[inline(never)]
fn write_special(port: &Arc<Port>, message: &VersionedCopy<'_, udpr_message>) -> Result {
    const KNOWN: u32 =
        udpr_message_flag::UDPR_MESSAGE_TOS as u32 | udpr_message_flag::UDPR_MESSAGE_NOW as u32;
    if message.flags & !KNOWN != 0 {
        return Err(Status::VERSION);
    }
    let has = |flag: udpr_message_flag| message.flags & flag as u32 != 0;
    let now = has(udpr_message_flag::UDPR_MESSAGE_NOW);
    port.write_message(&Message {
        data: message.bytes().slice()?,
        to: message.destination(),
        source: message.source_addr(),
        interface_index: message.interface_index,
        tos: has(udpr_message_flag::UDPR_MESSAGE_TOS).then_some(message.tos),
        segment_size: message.segment_size as usize,
        flush: if now { Flush::Immediate } else { Flush::Batched },
    })
}
