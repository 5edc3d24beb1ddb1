//! What a port counts.

use std::cell::Cell;

/// A snapshot of a port's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Their payload bytes, as delivered.
    pub bytes_in: u64,
    /// Datagrams the kernel took.
    pub datagrams_out: u64,
    /// Their payload bytes.
    pub bytes_out: u64,
    /// By the kernel, receive buffer full.
    pub dropped_in: u64,
    /// Received, but the port had stopped, or been connected to somebody else.
    pub discarded_in: u64,
    /// Accepted by a write, and not sent after all.
    pub dropped_out: u64,
    /// Longer than `max_packet_size`.
    pub truncated_in: u64,
    /// Times that the kernel told of a refused datagram.
    pub refused: u64,
    /// Receiving system calls.
    pub syscalls_in: u64,
    /// Sending system calls.
    pub syscalls_out: u64,
    /// Bytes that wait for a full socket.
    pub queued_bytes: u64,
    /// Datagrams that wait for a full socket.
    pub queued_datagrams: u64,
    /// Received while pausing, waiting for resume.
    pub kept_datagrams: u64,
}

/// The counters of a living port.
#[derive(Debug, Default)]
pub(super) struct Counters(Cell<Stats>);

impl Counters {
    pub(super) fn get(&self) -> Stats {
        self.0.get()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Stats)) {
        let mut stats = self.0.get();
        change(&mut stats);
        self.0.set(stats);
    }
}
