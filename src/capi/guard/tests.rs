//! A bug in the library, simulated by a kernel that panics: the reactor is poisoned, the process lives, everything is
//! freed, and nothing is printed. Each test runs in a process of its own, in which the hook that silences panics is
//! set, and checks what the process has printed.

use super::super::callback::Core;
use super::super::{
    embed::*, events::*, life::*, notices::*, observe::*, ports::*, thread::*, time::*, transport::*,
};
use super::silence_panics;
use crate::abi::*;
use crate::status::Status;
use crate::sys::{Kernel, Poller, Received, RecvBatch, RecvOptions, SendBatch, SystemKernel};
use std::ffi::c_void;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::{null, null_mut};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// One call of the C face.
macro_rules! c {
    ($call:expr) => {{
        // SAFETY: every pointer is NULL, or to something of the test's that lives until its end; what was freed is not used.
        unsafe { $call }
    }};
}

const PANIC: i32 = udpr_status_code::UDPR_E_PANIC as i32;
const HOUR: u64 = 3_600_000_000_000;
const LOOPBACK: udpr_addr = udpr_addr {
    family: 4,
    port: 9,
    scope_id: 0,
    flow_info: 0,
    bytes: [127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    reserved: 0,
};

/// Runs `scenario` in a child process, which must succeed within half a minute and print nothing to stderr.
fn alone(test: &str, scenario: fn()) {
    const CHILD: &str = "UDPR_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        // SAFETY: alarm(2) takes an integer; the signal ends a child that hangs.
        unsafe { libc::alarm(30) };
        return scenario();
    }
    let path = format!("capi::guard::tests::{test}");
    let mut child = std::process::Command::new(std::env::current_exe().expect("this program"));
    child.args([&path, "--exact", "--nocapture"]).env(CHILD, "1").env("RUST_BACKTRACE", "0");
    let output = child.output().expect("a child");
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success() && out.contains("1 passed"), "{}\n{out}{err}", output.status);
    assert_eq!(err, "");
}

/// A failed assertion prints its message from now on.
fn be_loud() {
    drop(std::panic::take_hook());
}

/// A payload that cannot be dropped: `catch_unwind` hands it to the code that catches.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a payload was dropped");
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bug {
    Receive,
    Send,
    Unwatch,
}

/// The kernel, with one bug.
struct Buggy(Bug);

impl Buggy {
    fn meet(&self, bug: Bug) {
        if self.0 == bug {
            std::panic::panic_any(Bomb);
        }
    }
}

impl Kernel for Buggy {
    fn receive(
        &self,
        fd: RawFd,
        recv_batch: &mut RecvBatch,
        recv_options: &RecvOptions,
    ) -> io::Result<Received> {
        self.meet(Bug::Receive);
        SystemKernel.receive(fd, recv_batch, recv_options)
    }

    fn send(&self, fd: RawFd, send_batch: &mut SendBatch) -> io::Result<usize> {
        self.meet(Bug::Send);
        SystemKernel.send(fd, send_batch)
    }

    fn unwatch(&self, poller: &Poller, fd: RawFd) -> io::Result<()> {
        self.meet(Bug::Unwatch);
        SystemKernel.unwatch(poller, fd)
    }
}

/// What udpr_reactor_new does, on that kernel.
fn reactor(bug: Bug) -> *mut udpr_reactor {
    silence_panics();
    let core = Core::with_kernel(0, Rc::new(Buggy(bug))).expect("a reactor");
    let core = Box::into_raw(Box::new(core));
    c!(&*core).context().c_handle.set(core.cast());
    core.cast()
}

/// Counts how often something was freed, or called.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn user(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    fn get(&self) -> usize {
        self.0.load(Relaxed)
    }
}

const FREE: udpr_free_fn = Some(count);

unsafe extern "C-unwind" fn count(user: *mut c_void) {
    c!(&*user.cast::<Count>()).0.fetch_add(1, Relaxed);
}

unsafe extern "C-unwind" fn ignore_call(_: *mut udpr_reactor, _: *mut c_void) {}

unsafe extern "C-unwind" fn ignore_visit(_: *mut udpr_transport, _: *mut c_void) {}

unsafe extern "C-unwind" fn ignore_trigger(_: *mut udpr_reactor, _: udpr_id, _: *mut c_void) -> udpr_status {
    Status::OK.code()
}

unsafe extern "C-unwind" fn ignore_watch(_: *mut udpr_reactor, _: udpr_id, _: i32, _: u32, _: *mut c_void) {}

unsafe extern "C-unwind" fn ignore_signal(_: *mut udpr_reactor, _: udpr_id, _: i32, _: *mut c_void) {}

unsafe extern "C-unwind" fn ignore_change(_: *mut udpr_reactor, _: udpr_id, _: *mut c_void) {}

/// The statuses that a test's callbacks have seen.
static SEEN: Mutex<Vec<i32>> = Mutex::new(Vec::new());

fn see(status: i32) {
    SEEN.lock().expect("not poisoned").push(status);
}

fn seen() -> Vec<i32> {
    std::mem::take(&mut *SEEN.lock().expect("not poisoned"))
}

unsafe extern "C-unwind" fn see_error(record: *const udpr_log_record, _: *mut c_void) {
    let record = c!(&*record);
    if record.level == udpr_log_code::UDPR_LOG_ERROR as u32 {
        see(record.status);
    }
}

fn protocol(freed: &Count) -> udpr_protocol {
    // SAFETY: all zero is a protocol.
    let zero: udpr_protocol = unsafe { std::mem::zeroed() };
    udpr_protocol { size: size_of::<udpr_protocol>(), user: freed.user(), free_user: FREE, ..zero }
}

/// A port on loopback, retained, with each write a system call of its own.
fn listen(reactor: *mut udpr_reactor, protocol: &udpr_protocol) -> *mut udpr_transport {
    // SAFETY: all zero is the default.
    let zero: udpr_udp_options = unsafe { std::mem::zeroed() };
    let flags = udpr_udp_flag::UDPR_UDP_UNBATCHED as u32;
    let options = udpr_udp_options { size: size_of::<udpr_udp_options>(), flags, ..zero };
    let mut port = null_mut();
    let status =
        c!(udpr_reactor_listen_udp(reactor, 0, c"127.0.0.1".as_ptr(), protocol, &options, &mut port));
    assert_eq!(status, 0);
    port
}

fn host(port: *const udpr_transport) -> udpr_addr {
    let mut host = LOOPBACK;
    assert_eq!(c!(udpr_transport_get_host(port, &mut host)), 0);
    host
}

/// Sends one datagram to a port; the socket is for who wants to watch it.
fn send_to(port: *const udpr_transport) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.send_to(b"datagram", ("127.0.0.1", host(port).port)).expect("sent");
    socket
}

/// Every function that needs the reactor, by its name, with what it answers.
fn call_everything(
    reactor: *mut udpr_reactor,
    port: *mut udpr_transport,
    remote: *mut udpr_remote,
    freed: &Count,
) -> Vec<(&'static str, i32)> {
    let (user, mut addr, mut out) = (freed.user(), LOOPBACK, null_mut());
    let (mut id, mut pending, mut fd, mut timeout, mut queued) = (0, 0, 0, 0, 0);
    // SAFETY: all zero is a message without options.
    let zero: udpr_message = unsafe { std::mem::zeroed() };
    let message = udpr_message { size: size_of::<udpr_message>(), to: &LOOPBACK, ..zero };
    macro_rules! table {
        ($($name:ident($($argument:expr),*);)*) => {
            vec![$((stringify!($name), c!($name($($argument),*)))),*]
        };
    }
    table! {
        udpr_reactor_start(reactor);
        udpr_reactor_iterate(reactor, 0);
        udpr_reactor_run(reactor);
        udpr_reactor_stop(reactor);
        udpr_reactor_crash(reactor);
        udpr_reactor_set_user(reactor, null_mut());
        udpr_reactor_backend_fd(reactor, &mut fd);
        udpr_reactor_next_timeout(reactor, &mut timeout);
        udpr_reactor_watch(reactor, 0, 1, Some(ignore_watch), user, FREE, &mut id);
        udpr_reactor_change_watch(reactor, 1, 1);
        udpr_reactor_watch_signal(reactor, 1, Some(ignore_signal), user, FREE, &mut id);
        udpr_reactor_watch_interfaces(reactor, Some(ignore_change), user, FREE, &mut id);
        udpr_reactor_unwatch(reactor, 1);
        udpr_reactor_listen_udp(reactor, 0, null(), &protocol(freed), null(), null_mut());
        udpr_reactor_gather(reactor);
        udpr_reactor_flush(reactor);
        udpr_reactor_each_transport(reactor, Some(ignore_visit), null_mut());
        udpr_reactor_call_later(reactor, 0, Some(ignore_call), user, FREE, &mut id);
        udpr_reactor_cancel_call(reactor, 1);
        udpr_reactor_reset_call(reactor, 1, 0);
        udpr_reactor_delay_call(reactor, 1, 0);
        udpr_reactor_delayed_calls(reactor, null_mut(), 0, &mut pending);
        udpr_reactor_advance(reactor, 0);
        udpr_reactor_call_when_running(reactor, Some(ignore_call), user, FREE, &mut id);
        udpr_reactor_add_trigger(reactor, 0, 1, Some(ignore_trigger), user, FREE, &mut id);
        udpr_reactor_remove_trigger(reactor, 1);
        udpr_reactor_finish_trigger(reactor, 1);
        udpr_reactor_fire_event(reactor, 1);
        udpr_reactor_call_from_thread(reactor, Some(ignore_call), user, FREE);
        udpr_reactor_call_in_thread(reactor, Some(count), None, user, FREE);
        udpr_reactor_suggest_thread_pool_size(reactor, 1);
        udpr_reactor_cancel_resolve(reactor, 1);
        udpr_reactor_remote(reactor, &mut out);
        udpr_reactor_set_logger(reactor, 4, Some(see_error), user, FREE);
        udpr_remote_call(remote, Some(ignore_call), user, FREE);
        udpr_remote_stop(remote);
        udpr_remote_wake(remote);
        udpr_transport_write(port, null(), 0, &addr);
        udpr_transport_write_sequence(port, null(), 0, &addr);
        udpr_transport_reply(port, null(), null(), 0);
        udpr_transport_post(port, null(), 0, &addr);
        udpr_transport_post_message(port, &message);
        udpr_transport_flush(port);
        udpr_transport_get_host(port, &mut addr);
        udpr_transport_get_queued_bytes(port, &mut queued);
        udpr_transport_pause_reading(port);
        udpr_transport_resume_reading(port);
        udpr_transport_stop_listening(port);
        udpr_transport_stop_when_sent(port, 1);
        udpr_transport_close(port);
    }
}

/// One of everything that is freed; a panic while receiving; every call; the end.
#[test]
fn a_panic_in_a_turn_kills_the_reactor_alone() {
    alone("a_panic_in_a_turn_kills_the_reactor_alone", || {
        let (reactor, late) = (reactor(Bug::Receive), Count::default());
        let freed = [const { Count(AtomicUsize::new(0)) }; 6];
        let [of_port, users @ ..] = &freed;
        let [call, trigger, watch, logger, last] = users.each_ref().map(Count::user);
        let (port, mut id, mut remote) = (listen(reactor, &protocol(of_port)), 0, null_mut());
        let peer = send_to(port);
        let fd = peer.as_raw_fd();
        let made = [
            c!(udpr_reactor_call_later(reactor, HOUR, Some(ignore_call), call, FREE, &mut id)),
            c!(udpr_reactor_add_trigger(reactor, 2, 1, Some(ignore_trigger), trigger, FREE, &mut id)),
            c!(udpr_reactor_watch(reactor, fd, 1, Some(ignore_watch), watch, FREE, &mut id)),
            c!(udpr_reactor_set_logger(reactor, 4, Some(see_error), logger, FREE)),
            c!(udpr_reactor_remote(reactor, &mut remote)),
        ];
        let run = c!(udpr_reactor_run(reactor));
        let running = c!(udpr_reactor_is_running(reactor));
        let after = call_everything(reactor, port, remote, &late);
        let pointers = [
            c!(udpr_reactor_user(reactor)),
            c!(udpr_transport_user(port)),
            c!(udpr_transport_reactor(port)).cast(),
        ];
        let fileno = c!(udpr_transport_fileno(port));
        let end = c!(udpr_reactor_free(reactor));
        let closed = [
            c!(udpr_transport_flush(port)),
            c!(udpr_remote_wake(remote)),
            c!(udpr_remote_call(remote, Some(ignore_call), last, FREE)),
        ];
        c!(udpr_transport_release(port));
        c!(udpr_remote_release(remote));
        be_loud();
        assert_eq!((made, run, running, end), ([0; 5], PANIC, 0, 0));
        let alive: Vec<_> = after.iter().filter(|(_, status)| *status != PANIC).collect();
        assert!(alive.is_empty(), "{alive:?}");
        assert_eq!((pointers, fileno), ([null_mut(); 3], -1));
        assert_eq!(closed, [udpr_status_code::UDPR_E_CLOSED as i32; 3]);
        assert_eq!(freed.each_ref().map(Count::get), [1; 6]);
        assert_eq!(late.get(), 11, "what a dead reactor was asked for is freed in the failing call");
        assert_eq!(seen(), [PANIC], "the log has it once");
        assert_usable();
    });
}

/// In the callback of a port: the write that meets the bug, one more, and the end, from here and from another thread.
unsafe extern "C-unwind" fn write_and_free(
    port: *mut udpr_transport,
    datagram: *const udpr_datagram,
    _: *mut c_void,
) {
    let (reactor, to) = (c!(udpr_transport_reactor(port)), &raw const c!(&*datagram).sender);
    for _ in 0..2 {
        see(c!(udpr_transport_write(port, null(), 0, to)));
    }
    see(c!(udpr_reactor_free(reactor)));
    let address = reactor as usize;
    let other = std::thread::spawn(move || c!(udpr_reactor_free(address as *mut udpr_reactor)));
    see(other.join().expect("it does not panic"));
}

#[test]
fn a_panic_inside_a_callback_cannot_free_the_reactor_under_it() {
    alone("a_panic_inside_a_callback_cannot_free_the_reactor_under_it", || {
        let (reactor, freed) = (reactor(Bug::Send), Count::default());
        let port =
            listen(reactor, &udpr_protocol { datagram_received: Some(write_and_free), ..protocol(&freed) });
        drop(send_to(port));
        let run = c!(udpr_reactor_run(reactor));
        let (inside, before) = (seen(), freed.get());
        let end = c!(udpr_reactor_free(reactor));
        c!(udpr_transport_release(port));
        be_loud();
        let (reentrant, wrong) =
            (udpr_status_code::UDPR_E_REENTRANT as i32, udpr_status_code::UDPR_E_WRONG_THREAD as i32);
        assert_eq!(inside, [PANIC, PANIC, reentrant, wrong]);
        assert_eq!((run, end, before, freed.get()), (PANIC, 0, 0, 1));
        assert_usable();
    });
}

/// A call from another thread: a write, which meets the bug.
unsafe extern "C-unwind" fn write_empty(_: *mut udpr_reactor, port: *mut c_void) {
    see(c!(udpr_transport_write(port.cast(), null(), 0, &LOOPBACK)));
}

unsafe extern "C-unwind" fn see_call(_: *mut udpr_reactor, _: *mut c_void) {
    see(0);
}

#[test]
fn a_dead_reactor_calls_nothing_more() {
    alone("a_dead_reactor_calls_nothing_more", || {
        let (reactor, freed, mut id) = (reactor(Bug::Send), Count::default(), 0);
        let port = listen(reactor, &protocol(&freed));
        let made = [
            c!(udpr_reactor_call_from_thread(reactor, Some(write_empty), port.cast(), None)),
            c!(udpr_reactor_call_from_thread(reactor, Some(see_call), freed.user(), FREE)),
            c!(udpr_reactor_call_later(reactor, 0, Some(see_call), freed.user(), FREE, &mut id)),
        ];
        let (run, inside) = (c!(udpr_reactor_run(reactor)), seen());
        let (end, after) = (c!(udpr_reactor_free(reactor)), seen());
        c!(udpr_transport_release(port));
        be_loud();
        assert_eq!((made, run, end), ([0; 3], PANIC, 0));
        assert_eq!((inside, after, freed.get()), (vec![PANIC], vec![], 3));
    });
}

#[test]
fn a_panic_inside_free_frees_all_the_same() {
    alone("a_panic_inside_free_frees_all_the_same", || {
        let (reactor, freed) = (reactor(Bug::Unwatch), [const { Count(AtomicUsize::new(0)) }; 6]);
        let [first, second, users @ ..] = &freed;
        let [call, trigger, watch, thread] = users.each_ref().map(Count::user);
        let (released, retained) = (listen(reactor, &protocol(first)), listen(reactor, &protocol(second)));
        let peer = send_to(retained);
        let (fd, mut id) = (peer.as_raw_fd(), 0);
        c!(udpr_transport_release(released));
        let made = [
            c!(udpr_reactor_call_later(reactor, HOUR, Some(ignore_call), call, FREE, &mut id)),
            c!(udpr_reactor_add_trigger(reactor, 2, 1, Some(ignore_trigger), trigger, FREE, &mut id)),
            c!(udpr_reactor_watch(reactor, fd, 1, Some(ignore_watch), watch, FREE, &mut id)),
            c!(udpr_reactor_call_from_thread(reactor, Some(ignore_call), thread, FREE)),
        ];
        let end = c!(udpr_reactor_free(reactor));
        // Also what a port holds that lives on: its last holder may be any thread.
        let at_the_end = freed.each_ref().map(Count::get);
        let closed = c!(udpr_transport_flush(retained));
        let address = retained as usize;
        let other = std::thread::spawn(move || c!(udpr_transport_release(address as *mut udpr_transport)));
        other.join().expect("it does not panic");
        be_loud();
        assert_eq!((made, end, at_the_end), ([0; 4], 0, [1; 6]));
        assert_eq!(
            (closed, freed.each_ref().map(Count::get)),
            (udpr_status_code::UDPR_E_CLOSED as i32, [1; 6])
        );
        assert_usable();
    });
}

/// The process goes on: another reactor works.
fn assert_usable() {
    let mut reactor = null_mut();
    assert_eq!(c!(udpr_reactor_new(null(), &mut reactor)), 0);
    let freed = Count::default();
    let port = listen(reactor, &protocol(&freed));
    drop(send_to(port));
    assert_eq!(c!(udpr_reactor_iterate(reactor, -1)), 0);
    assert_eq!(c!(udpr_transport_close(port)), 0);
    c!(udpr_transport_release(port));
    assert_eq!((c!(udpr_reactor_free(reactor)), freed.get()), (0, 1));
}
