//! What waits for a full socket: datagrams in the order they were written, bounded.

use crate::addr::Addr;
use crate::status::Result;
use crate::sys::Control;
use std::collections::VecDeque;

/// What a datagram counts at least, in bytes: empty ones need memory too.
const LEAST: usize = 64;

/// A datagram with memory of its own.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) to: Option<Addr>,
    pub(super) control: Option<Box<Control>>,
    pub(super) data: Vec<u8>,
}

/// A bounded queue of datagrams.
#[derive(Debug)]
pub(super) struct Backlog {
    letters: VecDeque<Letter>,
    charged: usize,
    bytes: usize,
    limit: usize,
}

impl Backlog {
    pub(super) fn new(limit: usize) -> Backlog {
        Backlog { letters: VecDeque::new(), charged: 0, bytes: 0, limit }
    }

    /// True where there is room for what counts `more`, beside `others` that may have to be taken in as well.
    pub(super) fn has_room(&self, more: usize, others: usize) -> bool {
        more.saturating_add(self.charged).saturating_add(others) <= self.limit
    }

    /// What it may count in all.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Adds a copy. NO_MEMORY: nothing was added.
    pub(super) fn push(&mut self, data: &[u8], to: Option<Addr>, control: Option<&Control>) -> Result {
        self.letters.try_reserve(1)?;
        let mut copy = Vec::new();
        copy.try_reserve_exact(data.len())?;
        copy.extend_from_slice(data);
        let control = control.map(|control| Box::new(*control));
        self.add(Letter { to, control, data: copy });
        Ok(())
    }

    /// Adds one that was in another queue. Where there is no memory for it, it comes back.
    pub(super) fn push_letter(&mut self, letter: Letter) -> core::result::Result<(), Letter> {
        if self.letters.try_reserve(1).is_err() {
            return Err(letter);
        }
        self.add(letter);
        Ok(())
    }

    /// Where there is a place for it.
    fn add(&mut self, letter: Letter) {
        self.charged += charge(letter.data.len(), 1);
        self.bytes += letter.data.len();
        self.letters.push_back(letter);
    }

    pub(super) fn pop(&mut self) -> Option<Letter> {
        self.letters.pop_front().inspect(|letter| self.discharge(letter))
    }

    /// Takes the youngest out, down to `len`.
    pub(super) fn truncate(&mut self, len: usize) {
        while self.letters.len() > len {
            self.letters.pop_back().inspect(|letter| self.discharge(letter));
        }
    }

    fn discharge(&mut self, letter: &Letter) {
        self.charged -= charge(letter.data.len(), 1);
        self.bytes -= letter.data.len();
    }

    /// Says who the connected peer was, for those without an address, before there is another.
    pub(super) fn address(&mut self, peer: Option<Addr>) {
        self.letters.iter_mut().for_each(|letter| letter.to = letter.to.or(peer));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Letter> {
        self.letters.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What `len` bytes in `pieces` datagrams count against the bound.
pub(super) fn charge(len: usize, pieces: usize) -> usize {
    len.max(pieces.saturating_mul(LEAST))
}
