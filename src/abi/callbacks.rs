//! The callback types of the header, and the table of a port's callbacks.

use super::handles::{udpr_reactor, udpr_transport};
use super::status::{udpr_id, udpr_status};
use super::values::{udpr_addr, udpr_datagram, udpr_error_report, udpr_log_record};
use std::ffi::c_void;

/// Frees a user pointer. Called exactly once.
pub type udpr_free_fn = Option<unsafe extern "C-unwind" fn(user: *mut c_void)>;
/// A delayed call, or a call from another thread.
pub type udpr_call_fn = Option<unsafe extern "C-unwind" fn(reactor: *mut udpr_reactor, user: *mut c_void)>;
/// A periodic call. `beats` is 1 plus the number of beats that were missed since the last call.
pub type udpr_repeat_fn = Option<
    unsafe extern "C-unwind" fn(reactor: *mut udpr_reactor, id: udpr_id, beats: u64, user: *mut c_void),
>;
/// Work for a thread of the pool.
pub type udpr_work_fn = Option<unsafe extern "C-unwind" fn(user: *mut c_void)>;
/// At startup or shutdown. UDPR_OK or, before-triggers, UDPR_PENDING; a failure is logged.
pub type udpr_trigger_fn = Option<
    unsafe extern "C-unwind" fn(reactor: *mut udpr_reactor, id: udpr_id, user: *mut c_void) -> udpr_status,
>;
/// A look-up has its answer: `count` addresses, or the status that tells why there are none.
pub type udpr_resolved_fn = Option<
    unsafe extern "C-unwind" fn(
        reactor: *mut udpr_reactor,
        id: udpr_id,
        status: udpr_status,
        addrs: *const udpr_addr,
        count: usize,
        user: *mut c_void,
    ),
>;
/// A watched descriptor is ready: `events` are udpr_watch_flag.
pub type udpr_watch_fn = Option<
    unsafe extern "C-unwind" fn(
        reactor: *mut udpr_reactor,
        id: udpr_id,
        fd: i32,
        events: u32,
        user: *mut c_void,
    ),
>;
/// A line of the log.
pub type udpr_log_fn = Option<unsafe extern "C-unwind" fn(record: *const udpr_log_record, user: *mut c_void)>;
/// One of udpr_reactor_each_transport.
pub type udpr_visit_fn =
    Option<unsafe extern "C-unwind" fn(transport: *mut udpr_transport, user: *mut c_void)>;
/// The port is bound. Not UDPR_OK: listen_* fails with it (a positive one as UDPR_E_INVALID_ARGUMENT), and
/// stop_protocol is not called.
pub type udpr_start_fn =
    Option<unsafe extern "C-unwind" fn(transport: *mut udpr_transport, user: *mut c_void) -> udpr_status>;
/// Something happened to a port.
pub type udpr_protocol_fn =
    Option<unsafe extern "C-unwind" fn(transport: *mut udpr_transport, user: *mut c_void)>;
/// A periodic call of a port. `beats` is as in udpr_repeat_fn.
pub type udpr_transport_repeat_fn = Option<
    unsafe extern "C-unwind" fn(transport: *mut udpr_transport, id: udpr_id, beats: u64, user: *mut c_void),
>;
/// A datagram came.
pub type udpr_datagram_fn = Option<
    unsafe extern "C-unwind" fn(
        transport: *mut udpr_transport,
        datagram: *const udpr_datagram,
        user: *mut c_void,
    ),
>;
/// Datagrams came. Returns how many it took: the rest comes in a later turn, or after resume when paused, or is
/// discarded when stopped.
pub type udpr_datagrams_fn = Option<
    unsafe extern "C-unwind" fn(
        transport: *mut udpr_transport,
        datagrams: *const *const udpr_datagram,
        count: usize,
        user: *mut c_void,
    ) -> usize,
>;
/// A write has failed after it was accepted, or the network says so.
pub type udpr_error_fn = Option<
    unsafe extern "C-unwind" fn(
        transport: *mut udpr_transport,
        report: *const udpr_error_report,
        user: *mut c_void,
    ),
>;
/// The port has stopped. `reason` is UDPR_OK if somebody asked for it, else the error that ended it: the socket was closed or shut
/// down behind the library's back, or a sandbox refuses every way to receive (UDPR_E_NOT_SUPPORTED).
pub type udpr_stopped_fn = Option<
    unsafe extern "C-unwind" fn(transport: *mut udpr_transport, reason: udpr_status, user: *mut c_void),
>;

/// A port's callbacks. Copied; every one may be NULL.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_protocol {
    /// Of this struct, in bytes.
    pub size: usize,
    /// Handed to every callback.
    pub user: *mut c_void,
    /// Called once, after the last callback has returned, also when listening fails.
    pub free_user: udpr_free_fn,
    /// Inside listen_*, once the socket is bound.
    pub start_protocol: udpr_start_fn,
    /// For each datagram.
    pub datagram_received: udpr_datagram_fn,
    /// Where set, called once a batch (at most 256) in place of datagram_received.
    pub datagrams_received: udpr_datagrams_fn,
    /// A connected port's earlier write found nobody listening; after error_received, once a turn. The port lives on.
    pub connection_refused: udpr_protocol_fn,
    /// UDPR_UDP_ERROR_REPORTS, and writes the kernel refused after they were accepted (UDPR_ORIGIN_LOCAL). While
    /// reading is paused, too; reports wait for their turn in send_queue_bytes at most, what is beyond is lost.
    pub error_received: udpr_error_fn,
    /// The send queue drained after UDPR_E_WOULD_BLOCK.
    pub write_ready: udpr_protocol_fn,
    /// The last callback of a port: its socket is closed already, the number can be bound again.
    pub stop_protocol: udpr_stopped_fn,
}
