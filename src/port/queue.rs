//! The bounded queue of datagrams that wait for a full socket, in the order in which they were written.

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

    /// True if there is room for what is charged `more`, and for other datagrams that are charged `others`.
    pub(super) fn has_room(&self, more: usize, others: usize) -> bool {
        more.saturating_add(self.charged).saturating_add(others) <= self.limit
    }

    /// The limit to what all datagrams are charged.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Adds a copy.
    ///
    /// # Errors
    /// [`Status::NO_MEMORY`](crate::status::Status::NO_MEMORY): nothing was added.
    pub(super) fn push(&mut self, data: &[u8], to: Option<Addr>, control: Option<&Control>) -> Result {
        self.datagrams.try_reserve(1)?;
        let mut copy = Vec::new();
        copy.try_reserve_exact(data.len())?;
        copy.extend_from_slice(data);
        let control = control.map(|control| Box::new(*control));
        self.add(QueuedDatagram { to, control, data: copy });
        Ok(())
    }

    /// Adds one that was in another queue, or returns it if there is no memory for it.
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

    /// Adds one for which memory is reserved.
    fn add(&mut self, datagram: QueuedDatagram) {
        self.charged += charge(datagram.data.len(), 1);
        self.bytes += datagram.data.len();
        self.datagrams.push_back(datagram);
    }

    pub(super) fn pop(&mut self) -> Option<QueuedDatagram> {
        self.datagrams.pop_front().inspect(|datagram| self.discharge(datagram))
    }

    /// Removes the last ones until `len` are left.
    pub(super) fn truncate(&mut self, len: usize) {
        while self.datagrams.len() > len {
            self.datagrams.pop_back().inspect(|datagram| self.discharge(datagram));
        }
    }

    fn discharge(&mut self, datagram: &QueuedDatagram) {
        self.charged -= charge(datagram.data.len(), 1);
        self.bytes -= datagram.data.len();
    }

    /// Makes `peer` the destination of the datagrams to the connected peer, before the port is connected to another one.
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

    /// What all datagrams are charged.
    pub(super) fn charged(&self) -> usize {
        self.charged
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
