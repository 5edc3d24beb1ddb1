//! What one port has gathered while callbacks run, and the short way of a datagram that goes where the last one went.

use super::backlog::charge;
use super::message::Manner;
use crate::addr::Addr;
use crate::sys::{Limits, Outbound, Room};

/// Datagrams of one port that are to leave together.
#[derive(Debug)]
pub(super) struct Gathering {
    outbound: Box<Outbound>,
    /// What those that the arena knows of would count in the queue.
    charged: usize,
    /// Where the last datagram went, none for the peer. What was found out about it holds for others of its size, too:
    /// only connecting, a setter or a stop could change that, and they send what was gathered first.
    to: Option<Addr>,
    /// Where those go that follow it. The arena does not know of them before [`Gathering::settle`].
    room: Room,
}

impl Gathering {
    pub(super) fn new(outbound: Box<Outbound>) -> Gathering {
        Gathering { outbound, charged: 0, to: None, room: Room::NONE }
    }

    /// The short way of one more datagram. False where it cannot follow the last one.
    #[inline]
    pub(super) fn extend(&mut self, data: &[u8], to: Option<&Addr>) -> bool {
        let (len, room) = (data.len(), &mut self.room);
        let fits = len == room.segment && room.end - room.start >= len;
        let follows = fits && Addr::are_same(self.to.as_ref(), to) && self.outbound.put(room.start, data);
        if follows {
            room.start += len;
        }
        follows
    }

    /// The long way, where [`Gathering::has_room`]. The queue takes what counts `limit` in all.
    pub(super) fn push(
        &mut self,
        len: usize,
        to: Option<&Addr>,
        manner: Manner<'_>,
        (limits, limit): (Limits, usize),
        fill: impl FnOnce(&mut [u8]),
    ) {
        self.settle();
        self.outbound.push(len, manner.segment, manner.target(to), limits, fill);
        self.charged += charge(len, manner.pieces(len));
        self.to = to.copied();
        self.room = Room::NONE;
        if manner.is_plain() {
            let (each, left) = (charge(len, 1), limit.saturating_sub(self.charged));
            // Few queues are so full that they must be divided up.
            let few = left < each * limits.segments;
            let segments = if few { left / each } else { limits.segments };
            self.room = self.outbound.room(segments, limits);
        }
    }

    /// True where `len` more bytes fit as `pieces` datagrams.
    pub(super) fn has_room(&self, len: usize, pieces: usize) -> bool {
        self.outbound.has_room(self.room.taken() + len, pieces)
    }

    /// What all of it would count in the queue.
    pub(super) fn charged(&self) -> usize {
        self.charged + self.room.taken() / self.room.segment * charge(self.room.segment, 1)
    }

    /// What is to be sent.
    pub(super) fn finish(mut self) -> Box<Outbound> {
        self.settle();
        self.outbound
    }

    fn settle(&mut self) {
        if self.room.taken() > 0 {
            self.charged = self.charged();
            self.outbound.join(&std::mem::replace(&mut self.room, Room::NONE));
        }
    }
}
