//! Structs that a caller fills, with any size and any contents: each function has to return a status that the rules in the
//! header allow. Datagrams are sent only to the port's own loopback address.
//!
//! Input: the structs one after the other, each as sized_struct.rs reads it.
#![allow(unsafe_code)]

use super::input::Input;
use super::messages;
use super::reactor::Reactor;
use super::sized_struct::SizedStruct;
use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::mem::offset_of;
use std::ptr::{null, null_mut};
use udpr::abi::*;
use udpr::capi::observe::{udpr_reactor_get_stats, udpr_transport_get_stats};
use udpr::capi::ports::udpr_reactor_listen_udp;
use udpr::capi::transport::udpr_transport_release;
use udpr::port::flag;
use udpr::status::Status;

/// Counts the callbacks.
#[derive(Default)]
pub struct Counts {
    start: Cell<i32>,
    longest: Cell<usize>,
    started: Cell<usize>,
    received: Cell<usize>,
    wrong: Cell<usize>,
    stopped: Cell<usize>,
    freed: Cell<usize>,
}

pub fn run(input: &[u8]) {
    let mut input = Input(input);
    let reactor = reactor(&mut input);
    let counts = Counts::default();
    let (transport, table) = listen(&reactor, &mut input, &counts);
    if !transport.is_null() {
        messages::write(transport, &mut input);
        (0..3).for_each(|_| reactor.context());
        stats::<udpr_transport_stats>(&mut input, |out| {
            // SAFETY: a transport that is retained, and a struct of the size that it states.
            unsafe { udpr_transport_get_stats(transport, out) }
        });
    }
    stats::<udpr_reactor_stats>(&mut input, |out| {
        // SAFETY: a reactor, and a struct of the size that it states.
        unsafe { udpr_reactor_get_stats(reactor.handle, out) }
    });
    // SAFETY: NULL, or the transport from `listen`.
    unsafe { udpr_transport_release(transport) };
    reactor.free();
    assert_eq!(counts.wrong.get(), 0, "a datagram that was not sent");
    let (known, meta_port) = (table.known, table.table);
    assert_eq!(counts.freed.get(), usize::from(known && meta_port.free_user.is_some()), "free_user");
    let stops = table.listens && meta_port.stop_protocol.is_some();
    assert_eq!(counts.stopped.get(), usize::from(stops), "stop_protocol");
}

fn reactor(input: &mut Input<'_>) -> Reactor {
    const KNOWN: u32 = 7;
    if input.byte() & 1 == 0 {
        return Reactor::new(null()).expect("a reactor");
    }
    let (flags, thread_pool_size) = (input.u32(), input.u32());
    let mut options = udpr_reactor_options { size: 0, flags, thread_pool_size, reserved: 0, spin: 0 };
    let mut passed = SizedStruct::new(&mut options, offset_of!(udpr_reactor_options, reserved), input);
    passed.expect_error(options.flags & !KNOWN != 0, Status::VERSION);
    passed.expect_error(options.thread_pool_size > 1024, Status::INVALID_ARGUMENT);
    let made = Reactor::new(passed.pointer());
    passed.check_status(made.as_ref().err().copied());
    made.unwrap_or_else(|_| Reactor::new(null()).expect("a reactor"))
}

/// A protocol, whether the library could read it, and whether the port listens.
struct Table {
    table: udpr_protocol,
    known: bool,
    listens: bool,
}

fn listen(reactor: &Reactor, input: &mut Input<'_>, counts: &Counts) -> (*mut udpr_transport, Table) {
    let (choices, start) = (input.byte(), input.choose(&[0, 0, 0, 0, 1, -1, -4711, i32::MIN, i32::MAX]));
    counts.start.set(start);
    let mut table = protocol(choices, counts);
    let mut protocol = SizedStruct::new(&mut table, offset_of!(udpr_protocol, configure_socket), input);
    let known = protocol.size_error() != Some(Status::INVALID_ARGUMENT);
    let (device, local) =
        (input.choose(&DEVICES), input.choose(&[c"127.0.0.1", c"127.0.0.1", c"::1", c"localhost"]));
    let mut values = options(input, device);
    let first = offset_of!(udpr_udp_options, write_ready_bytes);
    let mut options = SizedStruct::new(&mut values, first, input);
    check_options(&mut options, &values, device);
    options.expect_error(local == c"localhost", Status::INVALID_ADDRESS);
    let mut out = null_mut();
    let passed: *const udpr_udp_options = if choices & 1 == 0 { options.pointer() } else { null() };
    let longest =
        if passed.is_null() || values.max_packet_size == 0 { 65_535 } else { values.max_packet_size };
    counts.longest.set(longest as usize);
    let place = if choices & 2 == 0 { &raw mut out } else { null_mut() };
    // SAFETY: a reactor, a text, and structs of the sizes that they state, whose pointers are valid as long as the reactor.
    let status = unsafe {
        udpr_reactor_listen_udp(reactor.handle, 0, local.as_ptr(), protocol.pointer(), passed, place)
    };
    let status = (status != 0).then(|| Status::from_code(status));
    assert_eq!(!out.is_null(), status.is_none() && !place.is_null());
    // Without options, their errors do not matter.
    if passed.is_null() {
        protocol.expect_error(local == c"localhost", Status::INVALID_ADDRESS);
    } else {
        protocol.add_errors_of(&options);
    }
    let failed = if start > 0 { Status::INVALID_ARGUMENT } else { Status::from_code(start) };
    protocol.expect_error(table.start_protocol.is_some() && start != 0, failed);
    // On a system without IPv6.
    protocol.allow_errors(local == c"::1", &[Status::ADDRESS_NOT_AVAILABLE, Status::ADDRESS_FAMILY]);
    protocol.check_status(status);
    assert!(counts.started.get() <= 1);
    (out, Table { table, known, listens: status.is_none() })
}

const DEVICES: [Option<&CStr>; 6] =
    [None, None, Some(c"lo"), Some(c""), Some(c"nosuch"), Some(c"longer than any interface's name")];

fn protocol(choices: u8, counts: &Counts) -> udpr_protocol {
    let has = |bit: u8| choices & bit == 0;
    udpr_protocol {
        size: 0,
        user: std::ptr::from_ref(counts).cast_mut().cast(),
        free_user: has(4).then_some(freed as _),
        start_protocol: has(8).then_some(started as _),
        datagram_received: has(16).then_some(received as _),
        datagrams_received: None,
        connection_refused: None,
        error_received: None,
        write_ready: None,
        stop_protocol: has(32).then_some(stopped as _),
        configure_socket: has(64).then_some(configured as _),
    }
}

fn options(input: &mut Input<'_>, device: Option<&CStr>) -> udpr_udp_options {
    let wanted = input.byte();
    let mut number = |bit: u8| if wanted & bit != 0 { input.u32() } else { 0 };
    let flags = number(1);
    udpr_udp_options {
        size: 0,
        // Unknown bits are rare, since one of them is enough for an error.
        flags: if wanted & 128 != 0 { flags } else { flags & flag::KNOWN & !(flag::OFFLOAD | flag::TAKE_FD) },
        max_packet_size: number(2),
        receive_buffer: number(4),
        send_buffer: number(8),
        send_queue_bytes: number(16),
        reserved: number(32),
        bind_device: device.map_or(null(), CStr::as_ptr),
        write_ready_bytes: number(64),
        reserved_2: 0,
    }
}

fn check_options(passed: &mut SizedStruct, options: &udpr_udp_options, device: Option<&CStr>) {
    let buffers = [options.receive_buffer, options.send_buffer];
    passed.expect_error(options.flags & !flag::KNOWN != 0 || options.reserved != 0, Status::VERSION);
    passed.expect_error(options.flags & (flag::OFFLOAD | flag::TAKE_FD) != 0, Status::INVALID_ARGUMENT);
    passed.expect_error(options.max_packet_size > 65_535, Status::INVALID_ARGUMENT);
    passed.expect_error(buffers.iter().any(|size| *size > i32::MAX as u32), Status::INVALID_ARGUMENT);
    let queue = if options.send_queue_bytes == 0 { 1 << 20 } else { options.send_queue_bytes };
    let ready = passed.word(offset_of!(udpr_udp_options, write_ready_bytes));
    passed.expect_error(ready >= queue, Status::INVALID_ARGUMENT);
    passed.expect_error(device.is_some_and(|name| name != c"lo"), Status::NO_INTERFACE);
}

/// Gets statistics into a struct of any size: the library fills it, and nothing after it.
fn stats<T>(input: &mut Input<'_>, get: impl FnOnce(*mut T) -> udpr_status) {
    // SAFETY: statistics are numbers, all of which may be zero.
    let mut room = SizedStruct::new(&mut unsafe { std::mem::zeroed::<T>() }, size_of::<T>(), input);
    let status = get(room.pointer_mut());
    let filled = status == 0;
    // The caller passes nothing in them, so a larger struct is never rejected.
    assert_eq!(filled, room.size_error() != Some(Status::INVALID_ARGUMENT));
    assert!(filled || Status::from_code(status) == Status::INVALID_ARGUMENT);
    assert!(room.keeps_its_size() && (!filled || room.rest_is_zero()));
}

fn counts<'a>(user: *mut c_void) -> &'a Counts {
    // SAFETY: the `user` of every protocol here, which outlives the reactor.
    unsafe { &*user.cast() }
}

fn count(counter: &Cell<usize>) {
    counter.set(counter.get() + 1);
}

unsafe extern "C-unwind" fn started(_: *mut udpr_transport, user: *mut c_void) -> udpr_status {
    count(&counts(user).started);
    counts(user).start.get()
}

unsafe extern "C-unwind" fn configured(fd: i32, local: *const udpr_addr, user: *mut c_void) -> udpr_status {
    assert!(fd >= 0 && !local.is_null() && counts(user).started.get() == 0);
    0
}

unsafe extern "C-unwind" fn received(
    _: *mut udpr_transport,
    datagram: *const udpr_datagram,
    user: *mut c_void,
) {
    // SAFETY: the datagram is valid until this function returns.
    let datagram = unsafe { &*datagram };
    // SAFETY: so is its data.
    let data = unsafe { std::slice::from_raw_parts(datagram.data, datagram.len) };
    let counts = counts(user);
    let cut = datagram.flags & udpr_datagram_flag::UDPR_DATAGRAM_TRUNCATED as u32 != 0;
    let right = datagram.size == size_of::<udpr_datagram>()
        && datagram.len == datagram.full_len.min(counts.longest.get())
        && cut == (datagram.len < datagram.full_len)
        && data.iter().all(|byte| *byte == messages::BYTE);
    count(if right { &counts.received } else { &counts.wrong });
}

unsafe extern "C-unwind" fn stopped(_: *mut udpr_transport, _: udpr_status, user: *mut c_void) {
    count(&counts(user).stopped);
}

unsafe extern "C-unwind" fn freed(user: *mut c_void) {
    count(&counts(user).freed);
}
