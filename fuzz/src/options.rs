//! The structs that a caller fills: of any size, with anything in them, and what each function has to say of them by the
//! rules at the head of the header. Datagrams go to the port's own loopback address alone.
//!
//! Input: the structs one after the other, each as sized.rs reads it.
#![allow(unsafe_code)]

use super::bytes::Bytes;
use super::messages;
use super::reactor::Reactor;
use super::sized::Struct;
use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};
use udpr::abi::*;
use udpr::capi::observe::{udpr_reactor_get_stats, udpr_transport_get_stats};
use udpr::capi::ports::udpr_reactor_listen_udp;
use udpr::capi::transport::udpr_transport_release;
use udpr::port::flag;
use udpr::status::Status;

/// What the callbacks count.
#[derive(Default)]
pub struct Seen {
    start: Cell<i32>,
    longest: Cell<usize>,
    started: Cell<usize>,
    received: Cell<usize>,
    wrong: Cell<usize>,
    stopped: Cell<usize>,
    freed: Cell<usize>,
}

pub fn run(input: &[u8]) {
    let mut input = Bytes(input);
    let reactor = reactor(&mut input);
    let seen = Seen::default();
    let (transport, table) = listen(&reactor, &mut input, &seen);
    if !transport.is_null() {
        messages::write(transport, &mut input);
        (0..3).for_each(|_| reactor.context());
        stats::<udpr_transport_stats>(&mut input, |out| {
            // SAFETY: a transport that is retained, and a struct as long as it says.
            unsafe { udpr_transport_get_stats(transport, out) }
        });
    }
    stats::<udpr_reactor_stats>(&mut input, |out| {
        // SAFETY: a reactor, and a struct as long as it says.
        unsafe { udpr_reactor_get_stats(reactor.handle, out) }
    });
    // SAFETY: NULL, or what listen has given.
    unsafe { udpr_transport_release(transport) };
    reactor.end();
    assert_eq!(seen.wrong.get(), 0, "a datagram that nobody sent");
    let (known, meta_port) = (table.known, table.table);
    assert_eq!(seen.freed.get(), usize::from(known && meta_port.free_user.is_some()), "free_user");
    let stops = table.listens && meta_port.stop_protocol.is_some();
    assert_eq!(seen.stopped.get(), usize::from(stops), "stop_protocol");
}

fn reactor(input: &mut Bytes<'_>) -> Reactor {
    const KNOWN: u32 = 7;
    if input.byte() & 1 == 0 {
        return Reactor::new(null()).expect("a reactor");
    }
    let options = udpr_reactor_options { size: 0, flags: input.u32(), thread_pool_size: input.u32() };
    let mut given = Struct::new(&options, input);
    given.fault(options.flags & !KNOWN != 0, Status::VERSION);
    given.fault(options.thread_pool_size > 1024, Status::INVALID_ARGUMENT);
    let made = Reactor::new(given.pointer());
    given.judge(made.as_ref().err().copied());
    made.unwrap_or_else(|_| Reactor::new(null()).expect("a reactor"))
}

/// A protocol, whether the library could read it, and whether the port came to be.
struct Table {
    table: udpr_protocol,
    known: bool,
    listens: bool,
}

fn listen(reactor: &Reactor, input: &mut Bytes<'_>, seen: &Seen) -> (*mut udpr_transport, Table) {
    let (choices, start) = (input.byte(), input.choose(&[0, 0, 0, 0, 1, -1, -4711, i32::MIN, i32::MAX]));
    seen.start.set(start);
    let table = protocol(choices, seen);
    let mut protocol = Struct::new(&table, input);
    let known = protocol.fault_of_size() != Some(Status::INVALID_ARGUMENT);
    let (device, local) =
        (input.choose(&DEVICES), input.choose(&[c"127.0.0.1", c"127.0.0.1", c"::1", c"localhost"]));
    let values = options(input, device);
    let mut options = Struct::new(&values, input);
    check_options(&mut options, &values, device);
    options.fault(local == c"localhost", Status::INVALID_ADDRESS);
    let mut out = null_mut();
    let given: *const udpr_udp_options = if choices & 1 == 0 { options.pointer() } else { null() };
    let longest =
        if given.is_null() || values.max_packet_size == 0 { 65_535 } else { values.max_packet_size };
    seen.longest.set(longest as usize);
    let place = if choices & 2 == 0 { &raw mut out } else { null_mut() };
    // SAFETY: a reactor, a text, and structs as long as they say, with pointers that live as long as the reactor.
    let status = unsafe {
        udpr_reactor_listen_udp(reactor.handle, 0, local.as_ptr(), protocol.pointer(), given, place)
    };
    let status = (status != 0).then(|| Status::from_code(status));
    assert_eq!(!out.is_null(), status.is_none() && !place.is_null());
    // Without its own faults, if there were no options or the protocol could not be read.
    if given.is_null() {
        protocol.fault(local == c"localhost", Status::INVALID_ADDRESS);
    } else {
        protocol.take_faults(&options);
    }
    let failed = if start > 0 { Status::INVALID_ARGUMENT } else { Status::from_code(start) };
    protocol.fault(table.start_protocol.is_some() && start != 0, failed);
    // A system without IPv6.
    protocol.may(local == c"::1", &[Status::ADDRESS_NOT_AVAILABLE, Status::ADDRESS_FAMILY]);
    protocol.judge(status);
    assert!(seen.started.get() <= 1);
    (out, Table { table, known, listens: status.is_none() })
}

const DEVICES: [Option<&CStr>; 6] =
    [None, None, Some(c"lo"), Some(c""), Some(c"nosuch"), Some(c"longer than any interface's name")];

fn protocol(choices: u8, seen: &Seen) -> udpr_protocol {
    let has = |bit: u8| choices & bit == 0;
    udpr_protocol {
        size: 0,
        user: std::ptr::from_ref(seen).cast_mut().cast(),
        free_user: has(4).then_some(freed as _),
        start_protocol: has(8).then_some(started as _),
        datagram_received: has(16).then_some(received as _),
        datagrams_received: None,
        connection_refused: None,
        error_received: None,
        write_ready: None,
        stop_protocol: has(32).then_some(stopped as _),
    }
}

fn options(input: &mut Bytes<'_>, device: Option<&CStr>) -> udpr_udp_options {
    let wanted = input.byte();
    let mut number = |bit: u8| if wanted & bit != 0 { input.u32() } else { 0 };
    let flags = number(1);
    udpr_udp_options {
        size: 0,
        // Most of the bits that there are not are as good as one.
        flags: if wanted & 128 != 0 { flags } else { flags & flag::KNOWN & !(flag::OFFLOAD | flag::TAKE_FD) },
        max_packet_size: number(2),
        receive_buffer: number(4),
        send_buffer: number(8),
        send_queue_bytes: number(16),
        reserved: number(32),
        bind_device: device.map_or(null(), CStr::as_ptr),
    }
}

fn check_options(given: &mut Struct, options: &udpr_udp_options, device: Option<&CStr>) {
    let buffers = [options.receive_buffer, options.send_buffer];
    given.fault(options.flags & !flag::KNOWN != 0 || options.reserved != 0, Status::VERSION);
    given.fault(options.flags & (flag::OFFLOAD | flag::TAKE_FD) != 0, Status::INVALID_ARGUMENT);
    given.fault(options.max_packet_size > 65_535, Status::INVALID_ARGUMENT);
    given.fault(buffers.iter().any(|size| *size > i32::MAX as u32), Status::INVALID_ARGUMENT);
    given.fault(device.is_some_and(|name| name != c"lo"), Status::NO_INTERFACE);
}

/// What the library fills: as much as there is room for, nothing behind.
fn stats<T>(input: &mut Bytes<'_>, get: impl FnOnce(*mut T) -> udpr_status) {
    // SAFETY: stats are numbers; all of them may be zero.
    let mut room = Struct::new(&unsafe { std::mem::zeroed::<T>() }, input);
    let status = get(room.pointer_mut());
    let filled = status == 0;
    // Nothing in them is the caller's, so there is nothing that a newer caller could ask for.
    assert_eq!(filled, room.fault_of_size() != Some(Status::INVALID_ARGUMENT));
    assert!(filled || Status::from_code(status) == Status::INVALID_ARGUMENT);
    assert!(room.keeps_its_size() && (!filled || room.rest_is_zero()));
}

fn seen<'a>(user: *mut c_void) -> &'a Seen {
    // SAFETY: the user of every protocol here, which outlives the reactor.
    unsafe { &*user.cast() }
}

fn count(counter: &Cell<usize>) {
    counter.set(counter.get() + 1);
}

unsafe extern "C-unwind" fn started(_: *mut udpr_transport, user: *mut c_void) -> udpr_status {
    count(&seen(user).started);
    seen(user).start.get()
}

unsafe extern "C-unwind" fn received(
    _: *mut udpr_transport,
    datagram: *const udpr_datagram,
    user: *mut c_void,
) {
    // SAFETY: what the library hands out is valid until this returns.
    let datagram = unsafe { &*datagram };
    // SAFETY: likewise its bytes.
    let data = unsafe { std::slice::from_raw_parts(datagram.data, datagram.len) };
    let seen = seen(user);
    let cut = datagram.flags & udpr_datagram_flag::UDPR_DATAGRAM_TRUNCATED as u32 != 0;
    let right = datagram.size == size_of::<udpr_datagram>()
        && datagram.len == datagram.full_len.min(seen.longest.get())
        && cut == (datagram.len < datagram.full_len)
        && data.iter().all(|byte| *byte == messages::BYTE);
    count(if right { &seen.received } else { &seen.wrong });
}

unsafe extern "C-unwind" fn stopped(_: *mut udpr_transport, _: udpr_status, user: *mut c_void) {
    count(&seen(user).stopped);
}

unsafe extern "C-unwind" fn freed(user: *mut c_void) {
    count(&seen(user).freed);
}
