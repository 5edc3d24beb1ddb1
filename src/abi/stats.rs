//! The counters of the header.

/// The counters of a reactor since it was made.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct udpr_reactor_stats {
    /// The size of this struct in bytes.
    pub size: usize,
    /// Turns.
    pub iterations: u64,
    /// Turns in which something was ready.
    pub wakeups: u64,
    /// Delayed calls that were made.
    pub timers_fired: u64,
    /// Calls from other threads that were made.
    pub calls_from_thread: u64,
    /// Ports whose stop_protocol was not called yet.
    pub transports: u64,
    /// Delayed calls that are pending.
    pub timers_pending: u64,
}

/// The counters of a port since it was made.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct udpr_transport_stats {
    /// The size of this struct in bytes.
    pub size: usize,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Their bytes, after truncation.
    pub bytes_in: u64,
    /// Datagrams that the kernel accepted.
    pub datagrams_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Datagrams that the kernel dropped at the socket (SO_MEMINFO): because the receive buffer was full, because a
    /// filter of the socket rejected them (SO_ATTACH_FILTER, SO_ATTACH_BPF), or because a checksum was wrong. Datagrams
    /// that were merged (GRO) count as one. Without merging (UDPR_UDP_NO_OFFLOAD), the number of datagrams that were
    /// sent to the port is datagrams_in + dropped_in.
    pub dropped_in: u64,
    /// Received, but not delivered: the port had stopped, or was connected to another peer; or the datagram was sent to
    /// an IPv6 group that the port has not joined on that interface; or there was no memory to keep it.
    pub discarded_in: u64,
    /// Accepted by a write, but not sent.
    pub dropped_out: u64,
    /// Longer than max_packet_size.
    pub truncated_in: u64,
    /// Refusals that the kernel has reported.
    pub refused: u64,
    /// Receiving system calls.
    pub syscalls_in: u64,
    /// Sending system calls.
    pub syscalls_out: u64,
    /// Bytes that wait for a full socket.
    pub queued_bytes: u64,
    /// Datagrams that wait for a full socket.
    pub queued_datagrams: u64,
    /// Received while the port was paused; they wait for resume.
    pub kept_datagrams: u64,
}
