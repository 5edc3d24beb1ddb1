//! The bounded queue of datagrams that wait for a full socket, in the order in which they were written.

use super::message::Message;
use crate::addr::Addr;
use crate::status::{Result, Status};
use crate::sys::{SendMeta, Unsent, charge};
use std::collections::VecDeque;

/// A datagram with memory of its own.
#[derive(Debug)]
pub(super) struct QueuedDatagram {
    pub(super) to: Option<Addr>,
    pub(super) meta: Option<Box<[SendMeta; 1]>>,
    pub(super) data: Vec<u8>,
}

impl QueuedDatagram {
    pub(super) fn meta(&self) -> Option<&SendMeta> {
        self.meta.as_deref().map(|[meta]| meta)
    }

    pub(super) fn unsent(&self) -> Unsent<'_> {
        let control = self.meta().and_then(SendMeta::control);
        let tag = self.meta().map_or(0, |meta| meta.tag);
        Unsent { data: &self.data, to: self.to.as_ref(), control, tag }
    }
}

/// A box of a copy, for which there may be no memory.
fn try_box(meta: &SendMeta) -> Result<Box<[SendMeta; 1]>> {
    let mut boxed = Vec::new();
    boxed.try_reserve_exact(1)?;
    boxed.push(*meta);
    boxed.into_boxed_slice().try_into().map_err(|_| Status::NO_MEMORY)
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

    /// Adds a datagram of `len` bytes, and returns the place for them.
    ///
    /// # Errors
    /// [`Status::NO_MEMORY`]: nothing was added.
    pub(super) fn push(
        &mut self,
        len: usize,
        to: Option<Addr>,
        meta: Option<&SendMeta>,
    ) -> Result<&mut [u8]> {
        self.datagrams.try_reserve(1)?;
        let mut data = Vec::new();
        data.try_reserve_exact(len)?;
        data.resize(len, 0);
        self.add(QueuedDatagram { to, meta: meta.map(try_box).transpose()?, data });
        Ok(self.datagrams.back_mut().map_or(&mut [], |datagram| &mut datagram.data))
    }

    /// Adds a copy.
    ///
    /// # Errors
    /// Those of [`SendQueue::push`].
    pub(super) fn push_copy(&mut self, data: &[u8], to: Option<Addr>, meta: Option<&SendMeta>) -> Result {
        self.push(data.len(), to, meta)?.copy_from_slice(data);
        Ok(())
    }

    /// Adds the datagrams of a message. If there is no memory, some of them may be added.
    ///
    /// # Errors
    /// Those of [`SendQueue::push`].
    pub(super) fn push_all(
        &mut self,
        message: Message<'_>,
        to: Option<Addr>,
        meta: Option<&SendMeta>,
    ) -> Result {
        let (datagrams, longest, mut payload) = (message.datagrams(), message.longest(), message.payload);
        for _ in 0..datagrams {
            let place = self.push(payload.len().min(longest), to, meta)?;
            payload.copy_next(place);
        }
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
