//! C functions with their `user`, in the form in which the core calls them.

use super::embed::watch_flags;
use super::ptr::{self, VersionedCopy};
use crate::abi::*;
use crate::addr::Addr;
use crate::log::{Level, Log};
use crate::port::{Delivery, Port, Protocol};
use crate::reactor::{
    Call, Job, NoticeCallback, PortCall, Reactor, Repeat, ResolveCallback, Trigger, Watcher,
};
use crate::refusal;
use crate::status::{Result, Status};
use crate::sys::{CancelDisabled, Handle, Readiness, Report};
use std::ffi::{CStr, c_void};
use std::sync::Arc;

/// What a `udpr_reactor *` points to.
pub(super) type Core = Reactor<CCall>;

/// A `user` and its `free_user`, which is called exactly once, when this is dropped.
pub(super) struct UserData {
    pub(super) user: *mut c_void,
    free: udpr_free_fn,
}

// SAFETY: the header says on which thread each `user` is used and freed, also of those that other threads use.
unsafe impl Send for UserData {}

impl UserData {
    /// # Safety
    /// `free`, and every function that is kept together with this, may be called with `user` on the threads that the
    /// header names; `free` once, as the last call.
    pub(super) unsafe fn new(user: *mut c_void, free: udpr_free_fn) -> UserData {
        UserData { user, free }
    }
}

impl UserData {
    /// After a callback that may have forked: in the child nothing more is called.
    fn leave_in_child(self, reactor: &Core) {
        if reactor.remote.shared.owner.is_forked() {
            std::mem::forget(self);
        }
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(free) = self.free {
            // The caller may be a function that is too fast to disable cancellation.
            let _uncancelled = CancelDisabled::begin();
            // SAFETY: the caller gave a function for this pointer; drop runs once.
            unsafe { free(self.user) };
        }
    }
}

/// A `udpr_call_fn` with its `user`: three words.
pub(super) struct CCall {
    call: unsafe extern "C-unwind" fn(*mut udpr_reactor, *mut c_void),
    user: UserData,
}

impl CCall {
    /// A call of this function.
    ///
    /// # Errors
    /// INVALID_ARGUMENT without a function; then `free_user` was called.
    pub(super) fn new(call: udpr_call_fn, user: UserData) -> Result<CCall> {
        Ok(CCall { call: ptr::required(call, "fn")?, user })
    }

    /// As [`CCall::new`], but without a function `user` stays.
    pub(super) fn take(call: udpr_call_fn, user: &mut Option<UserData>) -> Result<Option<CCall>> {
        let call = ptr::required(call, "fn")?;
        Ok(user.take().map(|user| CCall { call, user }))
    }
}

impl Call for CCall {
    fn call(&mut self, reactor: &Reactor<CCall>) {
        // SAFETY: the caller gave a function for this user; the reactor outlives the call.
        unsafe { (self.call)(reactor_handle(reactor), self.user.user) };
    }
}

/// If nothing is called when a job is done, only its `free_user` runs.
unsafe extern "C-unwind" fn call_nothing(_: *mut udpr_reactor, _: *mut c_void) {}

/// A `udpr_repeat_fn` with its `user`.
pub(super) struct CRepeat {
    beat: unsafe extern "C-unwind" fn(*mut udpr_reactor, udpr_id, u64, *mut c_void),
    user: UserData,
}

impl CRepeat {
    pub(super) fn new(beat: udpr_repeat_fn, user: UserData) -> Result<CRepeat> {
        Ok(CRepeat { beat: ptr::required(beat, "fn")?, user })
    }
}

impl Repeat<CCall> for CRepeat {
    fn beat(&mut self, reactor: &Core, id: u64, beats: u64) {
        // SAFETY: the caller gave a function for this user; the reactor outlives the call.
        unsafe { (self.beat)(reactor_handle(reactor), id, beats, self.user.user) };
    }
}

/// A `udpr_protocol_fn` that is called later, with its `user`.
pub(super) struct CPortCall {
    call: unsafe extern "C-unwind" fn(*mut udpr_transport, *mut c_void),
    user: UserData,
}

impl CPortCall {
    pub(super) fn new(call: udpr_protocol_fn, user: UserData) -> Result<CPortCall> {
        Ok(CPortCall { call: ptr::required(call, "fn")?, user })
    }
}

impl PortCall for CPortCall {
    fn call(&mut self, port: &Arc<Port>, _id: u64, _beats: u64) {
        // SAFETY: the caller gave a function for this user; the port outlives the call.
        unsafe { (self.call)(transport_handle(port), self.user.user) };
    }
}

/// A `udpr_transport_repeat_fn` with its `user`.
pub(super) struct CPortRepeat {
    beat: unsafe extern "C-unwind" fn(*mut udpr_transport, udpr_id, u64, *mut c_void),
    user: UserData,
}

impl CPortRepeat {
    pub(super) fn new(beat: udpr_transport_repeat_fn, user: UserData) -> Result<CPortRepeat> {
        Ok(CPortRepeat { beat: ptr::required(beat, "fn")?, user })
    }
}

impl PortCall for CPortRepeat {
    fn call(&mut self, port: &Arc<Port>, id: u64, beats: u64) {
        // SAFETY: the caller gave a function for this user; the port outlives the call.
        unsafe { (self.beat)(transport_handle(port), id, beats, self.user.user) };
    }
}

/// A `udpr_work_fn`, and the call that follows it: none if only `free_user` is left to be called.
pub(super) struct CJob {
    work: unsafe extern "C-unwind" fn(*mut c_void),
    done: CCall,
}

impl CJob {
    pub(super) fn new(work: udpr_work_fn, done: udpr_call_fn, user: UserData) -> Result<CJob> {
        Ok(CJob {
            work: ptr::required(work, "work")?,
            done: CCall { call: done.unwrap_or(call_nothing), user },
        })
    }
}

impl Job<CCall> for CJob {
    fn work(&mut self) {
        // SAFETY: the caller gave a function for this user, to be called on a pool thread.
        unsafe { (self.work)(self.done.user.user) };
    }

    fn done(self: Box<Self>) -> CCall {
        self.done
    }
}

/// A `udpr_trigger_fn` with its `user`.
pub(super) struct CTrigger {
    fire: unsafe extern "C-unwind" fn(*mut udpr_reactor, udpr_id, *mut c_void) -> udpr_status,
    user: UserData,
}

impl CTrigger {
    pub(super) fn new(fire: udpr_trigger_fn, user: UserData) -> Result<CTrigger> {
        Ok(CTrigger { fire: ptr::required(fire, "fn")?, user })
    }
}

impl Trigger<CCall> for CTrigger {
    fn fire(&self, reactor: &Core, id: u64) -> Status {
        // SAFETY: the caller gave a function for this user; the reactor outlives the call.
        Status::from_code(unsafe { (self.fire)(reactor_handle(reactor), id, self.user.user) })
    }
}

/// A `udpr_watch_fn` with its `user`.
pub(super) struct CWatch {
    ready: unsafe extern "C-unwind" fn(*mut udpr_reactor, udpr_id, Handle, u32, *mut c_void),
    user: UserData,
}

impl CWatch {
    pub(super) fn new(ready: udpr_watch_fn, user: UserData) -> Result<CWatch> {
        Ok(CWatch { ready: ptr::required(ready, "fn")?, user })
    }
}

impl Watcher<CCall> for CWatch {
    fn ready(&self, reactor: &Core, fd: Handle, ready: Readiness) {
        let events = watch_flags(ready);
        // SAFETY: the caller gave a function for this user; the reactor outlives the call.
        unsafe { (self.ready)(reactor_handle(reactor), ready.token, fd, events, self.user.user) };
    }
}

/// A `udpr_signal_fn` with its signal and its `user`.
pub(super) struct CSignal {
    call: unsafe extern "C-unwind" fn(*mut udpr_reactor, udpr_id, i32, *mut c_void),
    number: i32,
    user: UserData,
}

impl CSignal {
    pub(super) fn new(call: udpr_signal_fn, number: i32, user: UserData) -> Result<CSignal> {
        Ok(CSignal { call: ptr::required(call, "fn")?, number, user })
    }
}

impl NoticeCallback<CCall> for CSignal {
    fn call(&self, reactor: &Core, id: u64) {
        // SAFETY: the caller gave a function for this user; the reactor outlives the call.
        unsafe { (self.call)(reactor_handle(reactor), id, self.number, self.user.user) };
    }
}

/// A `udpr_change_fn` with its `user`.
pub(super) struct CChange {
    call: unsafe extern "C-unwind" fn(*mut udpr_reactor, udpr_id, *mut c_void),
    user: UserData,
}

impl CChange {
    pub(super) fn new(call: udpr_change_fn, user: UserData) -> Result<CChange> {
        Ok(CChange { call: ptr::required(call, "fn")?, user })
    }
}

impl NoticeCallback<CCall> for CChange {
    fn call(&self, reactor: &Core, id: u64) {
        // SAFETY: the caller gave a function for this user; the reactor outlives the call.
        unsafe { (self.call)(reactor_handle(reactor), id, self.user.user) };
    }
}

/// A `udpr_resolved_fn` with its `user`.
pub(super) struct CResolved {
    call: unsafe extern "C-unwind" fn(
        *mut udpr_reactor,
        udpr_id,
        udpr_status,
        *const udpr_addr,
        usize,
        *mut c_void,
    ),
    user: UserData,
}

impl CResolved {
    pub(super) fn new(call: udpr_resolved_fn, user: UserData) -> Result<CResolved> {
        Ok(CResolved { call: ptr::required(call, "fn")?, user })
    }
}

impl ResolveCallback<CCall> for CResolved {
    fn resolved(self: Box<Self>, reactor: &Core, id: u64, answer: Result<&[Addr]>) {
        let (status, addrs, count) = match answer {
            Ok(addrs) => (Status::OK, addrs.as_ptr().cast(), addrs.len()),
            Err(status) => (status, std::ptr::null(), 0),
        };
        // SAFETY: the caller gave a function for this user; reactor and addresses outlive the call, and the addresses
        // have the header's layout (abi defines it).
        unsafe { (self.call)(reactor_handle(reactor), id, status.code(), addrs, count, self.user.user) };
        self.user.leave_in_child(reactor);
    }
}

/// The handle that udpr_reactor_new returned.
pub(super) fn reactor_handle(reactor: &Core) -> *mut udpr_reactor {
    reactor.context().c_handle.get().cast()
}

/// The handle of a port, borrowed.
pub(super) fn transport_handle(port: &Arc<Port>) -> *mut udpr_transport {
    Arc::as_ptr(port).cast_mut().cast()
}

/// A `udpr_protocol` without its size, which owns its user.
pub(super) struct CProtocol {
    user: UserData,
    start_protocol: udpr_start_fn,
    datagram_received: udpr_datagram_fn,
    datagrams_received: udpr_datagrams_fn,
    connection_refused: udpr_protocol_fn,
    error_received: udpr_error_fn,
    write_ready: udpr_protocol_fn,
    stop_protocol: udpr_stopped_fn,
}

impl CProtocol {
    pub(super) fn new(table: &VersionedCopy<'_, udpr_protocol>) -> CProtocol {
        CProtocol {
            // SAFETY: as promised of the struct.
            user: unsafe { UserData::new(table.user, table.free_user) },
            start_protocol: table.start_protocol,
            datagram_received: table.datagram_received,
            datagrams_received: table.datagrams_received,
            connection_refused: table.connection_refused,
            error_received: table.error_received,
            write_ready: table.write_ready,
            stop_protocol: table.stop_protocol,
        }
    }
}

/// Calls the protocol's `configure_socket`, if there is one. The port does not keep it.
pub(super) fn configure_socket(
    table: &VersionedCopy<'_, udpr_protocol>,
) -> Option<impl Fn(Handle, &Addr) -> Result> {
    let (configure, user) = (table.configure_socket?, table.user);
    Some(move |fd, local: &Addr| {
        // SAFETY: the caller gave a function for this user, which is not freed before the port is made.
        let result = unsafe { configure(fd, local, user) };
        listen_result("configure_socket", "the result of configure_socket", result)
    })
}

/// What a callback has returned inside a function that listens. `result` names it.
fn listen_result(callback: &'static str, result: &'static str, code: udpr_status) -> Result {
    match Status::from_code(code) {
        Status::OK => Ok(()),
        positive if positive.code() > 0 => {
            Err(refusal::invalid(result, positive.code() as u64, "UDPR_OK, or a status below 0"))
        }
        failure => Err(refusal::returned(failure, callback)),
    }
}

impl Protocol for CProtocol {
    fn start_protocol(&self, port: &Arc<Port>) -> Result {
        let Some(start) = self.start_protocol else { return Ok(()) };
        // SAFETY: the caller gave functions for this user; the port outlives the call.
        let result = unsafe { start(transport_handle(port), self.user.user) };
        listen_result("start_protocol", "the result of start_protocol", result)
    }

    fn datagrams_received(&self, port: &Arc<Port>, delivery: &mut Delivery<'_>) {
        let (transport, user) = (transport_handle(port), self.user.user);
        if let Some(received) = self.datagrams_received {
            let batch = delivery.all();
            let pointers = batch.pointers().as_ptr().cast();
            // SAFETY: as in start_protocol; the datagrams have the header's layout and stay until this returns.
            let taken = unsafe { received(transport, pointers, batch.len(), user) };
            delivery.take(taken);
        } else if let Some(received) = self.datagram_received {
            // SAFETY: as above.
            delivery
                .each(|datagram| unsafe { received(transport, std::ptr::from_ref(datagram).cast(), user) });
        } else {
            let all = delivery.all().len();
            delivery.take(all);
        }
    }

    fn error_received(&self, port: &Arc<Port>, report: &Report) {
        if let Some(received) = self.error_received {
            let report = udpr_error_report {
                size: size_of::<udpr_error_report>(),
                status: report.status.code(),
                origin: report.origin,
                to: report.to,
                reporter: report.reporter,
                icmp_type: report.icmp_type,
                icmp_code: report.icmp_code,
                mtu: report.mtu,
                reserved: 0,
                data: report.data.as_ptr(),
                len: report.data.len(),
                tag: report.tag,
            };
            // SAFETY: as in start_protocol; the report stays until this returns.
            unsafe { received(transport_handle(port), &report, self.user.user) };
        }
    }

    fn connection_refused(&self, port: &Arc<Port>) {
        if let Some(refused) = self.connection_refused {
            // SAFETY: as in start_protocol.
            unsafe { refused(transport_handle(port), self.user.user) };
        }
    }

    fn write_ready(&self, port: &Arc<Port>) {
        if let Some(ready) = self.write_ready {
            // SAFETY: as in start_protocol.
            unsafe { ready(transport_handle(port), self.user.user) };
        }
    }

    fn stop_protocol(&self, port: &Arc<Port>, reason: Status) {
        if let Some(stop) = self.stop_protocol {
            // SAFETY: as in start_protocol.
            unsafe { stop(transport_handle(port), reason.code(), self.user.user) };
        }
    }

    fn user(&self) -> *mut () {
        self.user.user.cast()
    }
}

/// A `udpr_log_fn` with its `user`.
pub(super) struct CLog {
    pub(super) log: unsafe extern "C-unwind" fn(*const udpr_log_record, *mut c_void),
    pub(super) user: UserData,
}

impl Log for CLog {
    fn log(&self, level: Level, status: Status, target: &CStr, message: &CStr) {
        let record = udpr_log_record {
            size: size_of::<udpr_log_record>(),
            level: level as u32,
            status: status.code(),
            target: target.as_ptr(),
            message: message.as_ptr(),
        };
        // SAFETY: the caller gave a function for this user; the record stays until it returns.
        unsafe { (self.log)(&record, self.user.user) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each port has one, idle ones too.
    #[test]
    fn a_protocol_is_nine_words() {
        assert_eq!(size_of::<CProtocol>(), 9 * size_of::<usize>());
    }
}
