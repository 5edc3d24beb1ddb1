//! Replies: to the sender of a datagram, from the address that it was sent to.

use super::{Flush, Message, Port};
use crate::addr::{Addr, family};
use crate::refusal;
use crate::status::Result;
use crate::sys::datagrams::{TO_MANY, TRUNCATED};

/// How a datagram arrived: what a reply to it depends on. The port that received it may be another one, or gone.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The sender.
    pub sender: Addr,
    /// The destination; unspecified if it is not known.
    pub destination: Addr,
    /// The interface that received it; 0 if it is not known.
    pub interface_index: u32,
    /// The flags of the datagram.
    pub flags: u32,
}

impl Arrival {
    /// True if a reply is a plain write to the sender.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.destination.family == family::UNSPEC && self.interface_index == 0 && self.flags & !TRUNCATED == 0
    }

    fn check(&self) -> Result {
        let unknown = self.flags & !(TRUNCATED | TO_MANY);
        if unknown != 0 {
            return Err(refusal::unknown_flags("datagram->flags", unknown));
        }
        self.sender.check("datagram->sender.")?;
        // Also on a connected port, whose writes would be refused with WRONG_PEER.
        match self.sender.port {
            0 => Err(refusal::invalid("datagram->sender.port", 0, "1 to 65535")),
            _ => Ok(()),
        }
    }

    fn is_to_many(&self) -> bool {
        self.flags & TO_MANY != 0
    }

    /// The address to send from; None leaves it to the kernel.
    fn source(&self) -> Option<Addr> {
        let destination = &self.destination;
        if destination.family == family::UNSPEC || self.is_to_many() || destination.is_group_or_broadcast() {
            return None;
        }
        let scope_id = if destination.is_link_local() { destination.scope_id } else { 0 };
        Some(Addr { scope_id, ..*destination })
    }

    /// The interface to send by; 0 leaves it to the kernel. Routes may be asymmetric, so it is fixed only if the addresses are
    /// not enough: another link may have the same link-local addresses, and the kernel chooses the source of a reply to a
    /// group or a broadcast by the interface.
    fn interface(&self) -> u32 {
        let is_needed = self.is_to_many() || self.sender.is_link_local() || self.destination.is_link_local();
        if is_needed { self.interface_index } else { 0 }
    }
}

impl Port {
    /// Sends one datagram to the sender of another one, from the address that this was sent to.
    ///
    /// # Errors
    /// Those of [`Port::write_message`]; INVALID_ARGUMENT for a sender with port 0, VERSION for unknown flags.
    pub fn reply(&self, arrival: &Arrival, data: &[u8]) -> Result {
        arrival.check()?;
        let (to, source, interface_index) = (Some(&arrival.sender), arrival.source(), arrival.interface());
        if source.is_none() && interface_index == 0 {
            return self.write(data, to, Flush::Batched);
        }
        let (payload, source) = (data.into(), source.as_ref());
        self.write_message(Message { payload, to, source, interface_index, ..Message::default() })
    }
}
