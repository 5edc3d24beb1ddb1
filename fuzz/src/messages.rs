//! udpr_transport_write_messages with arbitrary arrays of messages.
#![allow(unsafe_code)]

use super::input::Input;
use std::ptr::{from_ref, null};
use udpr::abi::{udpr_addr, udpr_bytes, udpr_message, udpr_message_flag as Flag, udpr_transport};
use udpr::addr::{Addr, family};
use udpr::capi::transport::{udpr_transport_get_host, udpr_transport_write_messages};
use udpr::status::Status;

/// All bytes of the datagrams.
pub const BYTE: u8 = 7;
/// Longer than any datagram.
static DATA: [u8; 70_000] = [BYTE; 70_000];
const OURS: usize = size_of::<udpr_message>();
/// The size of the first release.
const FIRST: usize = std::mem::offset_of!(udpr_message, pieces);
const TOS: u32 = Flag::UDPR_MESSAGE_TOS as u32;
const PIECES: u32 = Flag::UDPR_MESSAGE_PIECES as u32;
const TTL: u32 = Flag::UDPR_MESSAGE_TTL as u32;
const SEND_AT: u32 = Flag::UDPR_MESSAGE_SEND_AT as u32;
const KNOWN: u32 = Flag::UDPR_MESSAGE_NOW as u32 | TOS | PIECES | TTL | SEND_AT;

/// A message, the errors with which it has to be rejected, and whether the kernel may reject it.
struct Message {
    value: udpr_message,
    /// What the message points to.
    _pieces: Box<[udpr_bytes; 3]>,
    errors: Vec<Status>,
    open: bool,
}

/// Writes up to four messages. Input: their number, their stride, the messages, and errors of the array.
pub fn write(transport: *mut udpr_transport, input: &mut Input<'_>) {
    let mut host = Addr::UNSPECIFIED;
    // SAFETY: a transport that is retained, and an address of one layout with the header's.
    assert_eq!(unsafe { udpr_transport_get_host(transport, (&raw mut host).cast()) }, 0);
    let (destinations, sources) = addresses(&host);
    let (count, more) = (usize::from(input.byte() % 5), input.byte());
    let stride = OURS + if more & 3 == 3 { usize::from(more) } else { 0 };
    let mut messages: Vec<_> = (0..count).map(|_| message(input, &host, &destinations, &sources)).collect();
    let mut array = vec![0; (count * stride).max(size_of::<usize>())];
    for (message, place) in messages.iter_mut().zip(array.chunks_mut(stride)) {
        let choice = input.byte();
        let size = if choice & 15 == 15 { usize::from(input.u16()) } else { stride };
        message.value.size = size;
        // SAFETY: the bytes of a message, which has no padding.
        let bytes = unsafe { std::slice::from_raw_parts(from_ref(&message.value).cast::<u8>(), OURS) };
        place[..OURS].copy_from_slice(bytes);
        if size != stride {
            message.errors.push(Status::INVALID_ARGUMENT);
        } else if choice & 16 != 0 && stride > OURS {
            place[OURS + usize::from(choice) % (stride - OURS)] = 1;
            message.errors.push(Status::VERSION);
        }
    }
    // The size of the first message is the stride.
    if messages.first().is_some_and(|first| first.value.size != stride) {
        array.truncate(OURS.min(array.len()));
        let size = messages[0].value.size;
        if (FIRST..=4096).contains(&size) {
            return;
        }
    }
    let mut accepted = usize::MAX;
    // SAFETY: a transport that is retained, and an array of `count` messages.
    let status =
        unsafe { udpr_transport_write_messages(transport, array.as_ptr().cast(), count, &mut accepted) };
    check_result(&messages, accepted, Status::from_code(status));
}

fn check_result(messages: &[Message], accepted: usize, status: Status) {
    assert!(accepted <= messages.len());
    assert_eq!(status == Status::OK, accepted == messages.len(), "{status:?} and {accepted}");
    for (index, message) in messages[..accepted].iter().enumerate() {
        assert_eq!(message.errors, [], "message {index} was accepted");
    }
    // A full socket, and errors of the kernel for an immediate send, may be returned without an error of the message.
    if let Some(message) = messages.get(accepted) {
        let system = status == Status::WOULD_BLOCK || message.open;
        let ours = [Status::INVALID_ARGUMENT, Status::VERSION, Status::ADDRESS_FAMILY, Status::NOT_CONNECTED];
        let right = message.errors.contains(&status)
            || (message.errors.is_empty() && system && !ours.contains(&status));
        assert!(right && status != Status::PANIC, "{status:?} to {:?}", message.errors);
    }
}

/// A destination and its error: all of them are this host, or invalid.
type Destination = (Option<Addr>, Option<Status>);

fn addresses(host: &Addr) -> ([Destination; 8], [Option<Addr>; 6]) {
    let other = if host.family == family::INET {
        Addr::v6(LOOPBACK, host.port, 0)
    } else {
        Addr::v4([127, 0, 0, 1], host.port)
    };
    let destinations = [
        (Some(*host), None),
        (Some(*host), None),
        (Some(*host), None),
        (None, Some(Status::NOT_CONNECTED)),
        (Some(other), Some(Status::ADDRESS_FAMILY)),
        (Some(Addr { port: 0, ..*host }), Some(Status::INVALID_ARGUMENT)),
        (Some(Addr { family: 5, ..*host }), Some(Status::INVALID_ARGUMENT)),
        (Some(Addr { reserved: 1, ..*host }), Some(Status::VERSION)),
    ];
    let mut group = *host;
    group.bytes[0] = if host.family == family::INET { 224 } else { 0xff };
    let foreign = Addr { bytes: [10; 16], ..*host };
    (destinations, [None, None, Some(*host), Some(other), Some(group), Some(foreign)])
}

const LOOPBACK: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

fn message(input: &mut Input<'_>, host: &Addr, to: &[Destination; 8], from: &[Option<Addr>; 6]) -> Message {
    let (to, source) = (&to[usize::from(input.byte()) % 8], &from[usize::from(input.byte()) % 6]);
    let (len, segment_size) = (input.u32() as usize, input.u32());
    let len = if segment_size == 0 || segment_size >= 1000 { len % DATA.len() } else { len % 3000 };
    let flags = input.byte();
    let flags = if flags & 128 != 0 { input.u32() } else { u32::from(flags) & KNOWN };
    let tos = if flags & TOS != 0 { input.u32() } else { 0 };
    // Only an interface that does not exist, since no datagram may leave this host.
    let interface_index = input.choose(&[0, 0, 0, 0x7fff_fff0]);
    let pointer =
        |addr: &Option<Addr>| addr.as_ref().map_or(null(), |addr| from_ref(addr).cast::<udpr_addr>());
    let more = input.byte();
    let ttl = if flags & TTL != 0 || more & 15 == 1 { input.u32() % 300 } else { 0 };
    let send_at =
        if flags & SEND_AT != 0 || more & 15 == 2 { u64::from(input.u32()) << (more & 32) } else { 0 };
    let in_pieces = flags & PIECES != 0;
    let piece =
        |start: usize, end: usize| udpr_bytes { data: DATA[start..].as_ptr().cast(), len: end - start };
    let pieces = Box::new([piece(0, len / 3), udpr_bytes { data: null(), len: 0 }, piece(len / 3, len)]);
    let value = udpr_message {
        size: OURS,
        data: if in_pieces { null() } else { DATA.as_ptr().cast() },
        len: if in_pieces { 0 } else { len },
        to: pointer(&to.0),
        source: pointer(source),
        interface_index,
        flags,
        tos,
        segment_size,
        pieces: if in_pieces || more & 15 == 3 { pieces.as_ptr() } else { null() },
        piece_count: if in_pieces { pieces.len() } else { 0 },
        reserved: usize::from(more & 15 == 4),
        ttl,
        reserved_2: u32::from(more & 15 == 5),
        send_at,
        tag: u64::from(more >> 6),
    };
    let mut errors = Vec::from_iter(to.1);
    let mut error_if = |is_supported: bool, status| errors.extend(is_supported.then_some(status));
    let longest = if host.family == family::INET { 65_507 } else { 65_527 };
    let one = if segment_size == 0 { len } else { len.min(segment_size as usize) };
    error_if(flags & !KNOWN != 0, Status::VERSION);
    error_if(tos > 255, Status::INVALID_ARGUMENT);
    error_if(matches!(more & 15, 4 | 5), Status::VERSION);
    // Each destination is one host.
    let ttl_range = if flags & TTL != 0 { 1..=255 } else { 0..=0 };
    error_if(!ttl_range.contains(&ttl), Status::INVALID_ARGUMENT);
    error_if(send_at > i64::MAX as u64 || (send_at != 0 && flags & SEND_AT == 0), Status::INVALID_ARGUMENT);
    error_if(!in_pieces && more & 15 == 3, Status::INVALID_ARGUMENT);
    error_if(one > longest, Status::MESSAGE_TOO_LONG);
    error_if(source.is_some_and(|source| source.family != host.family), Status::ADDRESS_FAMILY);
    error_if(source.is_some_and(|source| source.is_multicast()), Status::INVALID_ARGUMENT);
    let open = interface_index != 0 || source.is_some_and(|source| source.bytes != host.bytes);
    Message { value, _pieces: pieces, errors, open }
}
