//! What waits for a full socket: datagrams in the order they were written, bounded.

use crate::addr::Addr;
use crate::status::Result;
use crate::sys::{Control, charge};
use std::collections::VecDeque;

/// A datagram with memory of its own.
#[derive(Debug)]
pub(super) struct QueuedDatagram {
    pub(super) to: Option<Addr>,
    pub(super) control: Option<Box<Control>>,
    pub(super) data: Vec<u8>,
}

/// A bounded queue of datagrams.
#[derive(Debug)]
pub(super) struct SendQueue {
    datagrams: VecDeque<QueuedDatagram>,
    charged: usize,
    bytes: usize,
    limit: usize,
}

impl SendQueue {
    pub(super) fn new(limit: usize) -> SendQueue {
        SendQueue { datagrams: VecDeque::new(), charged: 0, bytes: 0, limit }
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
        self.datagrams.try_reserve(1)?;
        let mut copy = Vec::new();
        copy.try_reserve_exact(data.len())?;
        copy.extend_from_slice(data);
        let control = control.map(|control| Box::new(*control));
        self.add(QueuedDatagram { to, control, data: copy });
        Ok(())
    }

    /// Adds one that was in another queue. Where there is no memory for it, it comes back.
    pub(super) fn push_datagram(
        &mut self,
        datagram: QueuedDatagram,
    ) -> core::result::Result<(), QueuedDatagram> {
        if self.datagrams.try_reserve(1).is_err() {
            return Err(datagram);
        }
        self.add(datagram);
        Ok(())
    }

    /// Where there is a place for it.
    fn add(&mut self, datagram: QueuedDatagram) {
        self.charged += charge(datagram.data.len(), 1);
        self.bytes += datagram.data.len();
        self.datagrams.push_back(datagram);
    }

    pub(super) fn pop(&mut self) -> Option<QueuedDatagram> {
        self.datagrams.pop_front().inspect(|datagram| self.discharge(datagram))
    }

    /// Takes the youngest out, down to `len`.
    pub(super) fn truncate(&mut self, len: usize) {
        while self.datagrams.len() > len {
            self.datagrams.pop_back().inspect(|datagram| self.discharge(datagram));
        }
    }

    fn discharge(&mut self, datagram: &QueuedDatagram) {
        self.charged -= charge(datagram.data.len(), 1);
        self.bytes -= datagram.data.len();
    }

    /// Says who the connected peer was, for those without an address, before there is another.
    pub(super) fn set_missing_peer(&mut self, peer: Option<Addr>) {
        self.datagrams.iter_mut().for_each(|datagram| datagram.to = datagram.to.or(peer));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &QueuedDatagram> {
        self.datagrams.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.datagrams.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
