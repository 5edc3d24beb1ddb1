//! Messages as C has them.

use super::ptr::{Pieces, VersionedRef};
use crate::abi::*;
use crate::port::{Flush, Message};
use crate::refusal;
use crate::status::Result;

const TOS: u32 = udpr_message_flag::UDPR_MESSAGE_TOS as u32;
const NOW: u32 = udpr_message_flag::UDPR_MESSAGE_NOW as u32;
const PIECES: u32 = udpr_message_flag::UDPR_MESSAGE_PIECES as u32;
const TTL: u32 = udpr_message_flag::UDPR_MESSAGE_TTL as u32;
const SEND_AT: u32 = udpr_message_flag::UDPR_MESSAGE_SEND_AT as u32;

/// True for a message of data and a destination alone: all other fields are zero, except that `tos` needs a flag to matter.
#[inline(always)]
pub(super) fn is_plain(message: &udpr_message) -> bool {
    // In the order of the fields, so that neighbours are read at once.
    let pair = |first: u32, second: u32| u64::from(first) | u64::from(second) << 32;
    let settings = pair(message.interface_index, message.flags) | u64::from(message.segment_size);
    let sizes = message.source.addr() | message.pieces.addr() | message.piece_count | message.reserved;
    settings | sizes as u64 | pair(message.ttl, message.reserved_2) | message.send_at | message.tag == 0
}

/// Calls `send` with a message, after checking what only its form in C can have wrong.
pub(super) fn with_message(
    message: &VersionedRef<'_, '_, udpr_message>,
    send: &mut dyn FnMut(Message<'_>) -> Result,
) -> Result {
    let has = |flag: u32| message.flags & flag != 0;
    check(message, has)?;
    // SAFETY: as promised of the struct; without the flag there are none.
    let mut pieces = unsafe { Pieces::new(message.pieces, message.piece_count) }?;
    let payload = if has(PIECES) { pieces.payload()? } else { message.bytes().slice("data")?.into() };
    send(Message {
        payload,
        to: message.destination(),
        source: message.source_addr(),
        interface_index: message.interface_index,
        tos: has(TOS).then_some(message.tos),
        ttl: has(TTL).then_some(message.ttl),
        send_at: has(SEND_AT).then_some(message.send_at),
        segment_size: message.segment_size as usize,
        flush: if has(NOW) { Flush::Immediate } else { Flush::Batched },
        tag: message.tag,
    })
}

/// The rules of the fields, which say more than their values.
fn check(message: &udpr_message, has: impl Fn(u32) -> bool) -> Result {
    let unknown = message.flags & !(TOS | NOW | PIECES | TTL | SEND_AT);
    if unknown != 0 {
        return Err(refusal::unknown_flags("flags", unknown));
    }
    for (name, word) in [("reserved", message.reserved as u64), ("reserved_2", message.reserved_2.into())] {
        if word != 0 {
            return Err(refusal::unknown_field("", name, word, "this version knows only 0"));
        }
    }
    let piece_count = message.piece_count as u64;
    let with_flag = [
        (TTL, "ttl", message.ttl.into(), "0 without UDPR_MESSAGE_TTL"),
        (SEND_AT, "send_at", message.send_at, "0 without UDPR_MESSAGE_SEND_AT"),
        (PIECES, "piece_count", piece_count, "0 without UDPR_MESSAGE_PIECES"),
    ];
    for (flag, name, value, rule) in with_flag {
        if value != 0 && !has(flag) {
            return Err(refusal::invalid(name, value, rule));
        }
    }
    if has(PIECES) && message.len != 0 {
        return Err(refusal::invalid("len", message.len as u64, "0 with UDPR_MESSAGE_PIECES"));
    }
    match (has(PIECES), message.data.is_null(), message.pieces.is_null()) {
        (true, false, _) => Err(refusal::wrong("data", "is not NULL, with UDPR_MESSAGE_PIECES")),
        (false, _, false) => Err(refusal::wrong("pieces", "is not NULL, without UDPR_MESSAGE_PIECES")),
        _ => Ok(()),
    }
}
