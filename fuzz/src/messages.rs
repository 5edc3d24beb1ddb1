//! udpr_transport_write_messages with whatever an array of messages can say.
#![allow(unsafe_code)]

use super::bytes::Bytes;
use std::ptr::{from_ref, null};
use udpr::abi::{udpr_addr, udpr_message, udpr_message_flag, udpr_transport};
use udpr::addr::{Addr, family};
use udpr::capi::transport::{udpr_transport_get_host, udpr_transport_write_messages};
use udpr::status::Status;

/// What is sent.
pub const BYTE: u8 = 7;
/// More than any datagram holds.
static DATA: [u8; 70_000] = [BYTE; 70_000];
const OURS: usize = size_of::<udpr_message>();
const KNOWN: u32 = udpr_message_flag::UDPR_MESSAGE_TOS as u32 | udpr_message_flag::UDPR_MESSAGE_NOW as u32;

/// A message, what is wrong with it, and whether only the kernel can tell.
struct Message {
    value: udpr_message,
    faults: Vec<Status>,
    open: bool,
}

/// Writes up to four messages. Input: their number, their stride, themselves, and what is wrong with the array.
pub fn write(transport: *mut udpr_transport, input: &mut Bytes<'_>) {
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
        // SAFETY: a message is as long as it is, without padding.
        let bytes = unsafe { std::slice::from_raw_parts(from_ref(&message.value).cast::<u8>(), OURS) };
        place[..OURS].copy_from_slice(bytes);
        if size != stride {
            message.faults.push(Status::INVALID_ARGUMENT);
        } else if choice & 16 != 0 && stride > OURS {
            place[OURS + usize::from(choice) % (stride - OURS)] = 1;
            message.faults.push(Status::VERSION);
        }
    }
    // The first one's size is the stride, whatever it says.
    if messages.first().is_some_and(|first| first.value.size != stride) {
        array.truncate(OURS.min(array.len()));
        let size = messages[0].value.size;
        if (OURS..=4096).contains(&size) {
            return;
        }
    }
    let mut taken = usize::MAX;
    // SAFETY: a transport, and an array as long as it says.
    let status =
        unsafe { udpr_transport_write_messages(transport, array.as_ptr().cast(), count, &mut taken) };
    judge(&messages, taken, Status::from_code(status));
}

fn judge(messages: &[Message], taken: usize, status: Status) {
    assert!(taken <= messages.len());
    assert_eq!(status == Status::OK, taken == messages.len(), "{status:?} and {taken}");
    for (index, message) in messages[..taken].iter().enumerate() {
        assert_eq!(message.faults, [], "message {index} was taken");
    }
    // A full socket, and what the kernel says where a datagram leaves at once, are no faults of ours.
    if let Some(message) = messages.get(taken) {
        let system = status == Status::WOULD_BLOCK || message.open;
        let ours = [Status::INVALID_ARGUMENT, Status::VERSION, Status::ADDRESS_FAMILY, Status::NOT_CONNECTED];
        let right = message.faults.contains(&status)
            || (message.faults.is_empty() && system && !ours.contains(&status));
        assert!(right && status != Status::PANIC, "{status:?} to {:?}", message.faults);
    }
}

/// Where to, with what is wrong about it, and where from: all of them this host, or nobody.
type Place = (Option<Addr>, Option<Status>);

fn addresses(host: &Addr) -> ([Place; 8], [Option<Addr>; 6]) {
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

fn message(input: &mut Bytes<'_>, host: &Addr, to: &[Place; 8], from: &[Option<Addr>; 6]) -> Message {
    let (to, source) = (&to[usize::from(input.byte()) % 8], &from[usize::from(input.byte()) % 6]);
    let (len, segment_size) = (input.u32() as usize, input.u32());
    let len = if segment_size == 0 || segment_size >= 1000 { len % DATA.len() } else { len % 3000 };
    let flags = input.byte();
    let flags = if flags & 128 != 0 { input.u32() } else { u32::from(flags) & KNOWN };
    let tos = if flags & udpr_message_flag::UDPR_MESSAGE_TOS as u32 != 0 { input.u32() } else { 0 };
    // No other that is there: a datagram must not leave this host.
    let interface_index = input.choose(&[0, 0, 0, 0x7fff_fff0]);
    let pointer =
        |addr: &Option<Addr>| addr.as_ref().map_or(null(), |addr| from_ref(addr).cast::<udpr_addr>());
    let value = udpr_message {
        size: OURS,
        data: DATA.as_ptr().cast(),
        len,
        to: pointer(&to.0),
        source: pointer(source),
        interface_index,
        flags,
        tos,
        segment_size,
    };
    let mut faults = Vec::from_iter(to.1);
    let mut fault = |is_there: bool, status| faults.extend(is_there.then_some(status));
    let longest = if host.family == family::INET { 65_507 } else { 65_527 };
    let one = if segment_size == 0 { len } else { len.min(segment_size as usize) };
    fault(flags & !KNOWN != 0, Status::VERSION);
    fault(tos > 255, Status::INVALID_ARGUMENT);
    fault(one > longest, Status::MESSAGE_TOO_LONG);
    fault(source.is_some_and(|source| source.family != host.family), Status::ADDRESS_FAMILY);
    fault(source.is_some_and(|source| source.is_multicast()), Status::INVALID_ARGUMENT);
    let open = interface_index != 0 || source.is_some_and(|source| source.bytes != host.bytes);
    Message { value, faults, open }
}
