//! The counters of the header.

/// What a reactor counts, from its making on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct udpr_reactor_stats {
    /// Of this struct, in bytes.
    pub size: usize,
    /// Turns.
    pub iterations: u64,
    /// Turns that found something ready.
    pub wakeups: u64,
    /// Delayed calls that ran.
    pub timers_fired: u64,
    /// Calls from other threads that ran.
    pub calls_from_thread: u64,
    /// Ports whose stop_protocol is still to come.
    pub transports: u64,
    /// Delayed calls that are pending.
    pub timers_pending: u64,
}

/// What a port counts, from its making on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct udpr_transport_stats {
    /// Of this struct, in bytes.
    pub size: usize,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Their bytes, after truncation.
    pub bytes_in: u64,
    /// Datagrams that the kernel took.
    pub datagrams_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Datagrams that the kernel dropped at the socket (SO_MEMINFO's counter): because the receive buffer was full, because
    /// a filter of the socket (SO_ATTACH_FILTER, SO_ATTACH_BPF) did not want them, or because of a wrong checksum. Of
    /// datagrams that came merged (GRO) it counts one; without that (UDPR_UDP_NO_OFFLOAD) what was sent is datagrams_in +
    /// dropped_in.
    pub dropped_in: u64,
    /// Received, but the port had stopped, or been connected to somebody else; or it came to an IPv6 group that the port has
    /// not joined on the interface it came by; or there was no memory to keep it.
    pub discarded_in: u64,
    /// Accepted by a write, and not sent after all.
    pub dropped_out: u64,
    /// Longer than max_packet_size.
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
