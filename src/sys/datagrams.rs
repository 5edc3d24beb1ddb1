//! Received datagrams, in the form in which the C API passes them on.

use crate::abi::{udpr_datagram, udpr_datagram_flag};
use crate::addr::Addr;
use crate::status::Result;
use std::ops::Deref;

/// The most datagrams that one callback gets.
pub const BATCH_MAX: usize = 256;
/// Set in [`Datagram::flags`](udpr_datagram::flags) if the datagram was longer than the port's `max_packet_size`.
pub const TRUNCATED: u32 = udpr_datagram_flag::UDPR_DATAGRAM_TRUNCATED as u32;
/// Set in [`Datagram::flags`](udpr_datagram::flags) if the destination is a group or a broadcast address.
pub const TO_MANY: u32 = udpr_datagram_flag::UDPR_DATAGRAM_TO_MANY as u32;

/// One received datagram, as the header has it.
///
/// Its bytes belong to the [`RecvBatch`](super::RecvBatch) or [`DeferredBatch`] that lends it out. A datagram with bytes is made
/// nowhere else, and it cannot be copied. So its pointer is always valid.
#[repr(transparent)]
#[derive(Debug)]
pub struct Datagram(udpr_datagram);

impl Deref for Datagram {
    type Target = udpr_datagram;

    #[inline]
    fn deref(&self) -> &udpr_datagram {
        &self.0
    }
}

impl Datagram {
    /// An empty datagram of this sender, without metadata.
    pub const fn empty(sender: Addr) -> Datagram {
        Datagram(udpr_datagram {
            size: size_of::<udpr_datagram>(),
            data: std::ptr::NonNull::dangling().as_ptr(),
            len: 0,
            full_len: 0,
            sender,
            destination: Addr::UNSPECIFIED,
            interface_index: 0,
            flags: 0,
            timestamp: 0,
            tos: -1,
            ttl: -1,
        })
    }

    /// The fields, to be set. The bytes at `data` have to outlive the datagram.
    #[inline]
    pub(super) fn fields(&mut self) -> &mut udpr_datagram {
        &mut self.0
    }

    /// Sets everything that control data reports to its default.
    pub fn clear_meta(&mut self) {
        self.clear_packet_info();
        self.0.timestamp = 0;
        (self.0.tos, self.0.ttl) = (-1, -1);
    }

    /// Sets the destination and the interface to their defaults.
    pub fn clear_packet_info(&mut self) {
        (self.0.destination, self.0.interface_index) = (Addr::UNSPECIFIED, 0);
        self.0.flags &= !TO_MANY;
    }

    /// The payload, or what `max_packet_size` left of it.
    pub fn data(&self) -> &[u8] {
        // SAFETY: data and len are set together, by this module alone, to a piece of the buffer that outlives self.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }

    fn with_data(&self, data: *const u8) -> Datagram {
        Datagram(udpr_datagram { data, ..self.0 })
    }
}

/// Some datagrams in the order in which they were received, as one callback gets them.
#[derive(Clone, Copy, Debug)]
pub struct Datagrams<'a> {
    pub(super) datagrams: &'a [Datagram],
    pub(super) pointers: &'a [*const Datagram],
}

impl<'a> Datagrams<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// One of them.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a Datagram> {
        self.datagrams.get(index)
    }

    /// Each in turn.
    pub fn iter(&self) -> std::slice::Iter<'a, Datagram> {
        self.datagrams.iter()
    }

    /// Their addresses, as a C array of pointers.
    pub fn pointers(&self) -> &'a [*const Datagram] {
        self.pointers
    }

    /// Those behind the first `count`.
    pub fn skip(&self, count: usize) -> Datagrams<'a> {
        let count = count.min(self.len());
        Datagrams { datagrams: &self.datagrams[count..], pointers: &self.pointers[count..] }
    }

    /// Copies the datagrams for which `wanted` is true. The copy owns its memory.
    ///
    /// # Errors
    /// NO_MEMORY.
    pub fn copy_if(&self, wanted: impl Fn(&Datagram) -> bool) -> Result<DeferredBatch> {
        let wanted = || self.iter().filter(|datagram| wanted(datagram));
        let (count, mut deferred) = (wanted().count(), DeferredBatch::default());
        deferred.bytes.try_reserve_exact(wanted().map(|datagram| datagram.len).sum())?;
        deferred.datagrams.try_reserve_exact(count)?;
        deferred.pointers.try_reserve_exact(count)?;
        wanted().for_each(|datagram| deferred.bytes.extend_from_slice(datagram.data()));
        // These derive from the vectors' own pointers, which stay valid while nothing is added, even if the vectors are moved.
        let mut data = deferred.bytes.as_ptr();
        for datagram in wanted() {
            deferred.datagrams.push(datagram.with_data(data));
            data = data.wrapping_add(datagram.len);
        }
        let first = deferred.datagrams.as_ptr();
        deferred.pointers.extend((0..count).map(|index| first.wrapping_add(index)));
        Ok(deferred)
    }
}

/// Datagrams that wait for a later turn, in memory of their own.
#[derive(Debug, Default)]
pub struct DeferredBatch {
    bytes: Vec<u8>,
    datagrams: Vec<Datagram>,
    pointers: Vec<*const Datagram>,
    taken: usize,
}

impl DeferredBatch {
    /// The datagrams that still wait.
    pub fn batch(&self) -> Datagrams<'_> {
        Datagrams { datagrams: &self.datagrams[self.taken..], pointers: &self.pointers[self.taken..] }
    }

    /// Discards the first `count`.
    pub fn discard_first(&mut self, count: usize) {
        self.taken = (self.taken + count).min(self.datagrams.len());
    }
}
