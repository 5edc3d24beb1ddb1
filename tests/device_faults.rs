//! The device that a port is bound to, with a kernel that does not bind it again, or is too old to bind by index.

mod support;

use std::rc::Rc;
use std::sync::Arc;
use support::*;
use udpr::port::{Flush, Options, Port, flag};
use udpr::status::Status;
use udpr::sys::{Kernel, SystemKernel};

use CallResult::{Errno, Real};
use Syscall::{Bind, Option as GetOption, SetOption};

/// linux/socket.h, since Linux 5.1.
const SO_BINDTOIFINDEX: i32 = 62;

fn bound_to_lo() -> Fixture {
    Fixture::with(&Options { bind_device: Some(c"lo"), ..Options::default() })
}

fn connected() -> Fixture {
    let fixture = bound_to_lo();
    fixture.port.connect(&fixture.peer.addr()).expect("connected");
    fixture
}

fn device(port: &Arc<Port>) -> Vec<u8> {
    let mut name = vec![0; libc::IFNAMSIZ];
    let len = SystemKernel.raw_option(port.fileno(), libc::SOL_SOCKET, libc::SO_BINDTODEVICE, &mut name);
    name.truncate(len.expect("an open port"));
    name
}

/// Makes every call that sets an option fail.
fn fail_options(kernel: &ScriptedKernel) {
    kernel.start_trace(Some(Fault::Always(SetOption, libc::EPERM)));
}

#[test]
fn a_port_that_cannot_be_bound_to_its_device_again_sends_nothing() {
    for disconnects in [false, true] {
        let (fixture, other) = (connected(), Peer::new());
        let (to, port) = (other.addr(), &fixture.port);
        fail_options(&fixture.kernel);
        let changed = if disconnects { port.disconnect() } else { port.connect(&to) };
        assert_eq!(changed, Err(Status::PERMISSION));
        assert_eq!(port.get_peer(), Err(Status::NOT_CONNECTED));
        assert_eq!(port.write(b"ping", Some(&to), Flush::Immediate), Err(Status::NO_INTERFACE));
        fixture.in_callback(move |port| {
            assert_eq!(port.write(b"ping", Some(&to), Flush::Batched), Err(Status::NO_INTERFACE));
        });
        assert_eq!(port.connect(&to), Err(Status::PERMISSION), "again");
        assert!(other.has_nothing_to_read() && fixture.peer.has_nothing_to_read());
        // It is bound as soon as the kernel allows it.
        fixture.kernel.end_trace();
        port.connect(&to).expect("connected");
        assert_eq!(device(port), b"lo\0");
        port.write(b"ping", None, Flush::Immediate).expect("written");
        assert_eq!(other.receive(&mut [0; 8]), b"ping");
    }
}

/// Datagrams accepted earlier are not sent either.
#[test]
fn queued_datagrams_are_not_sent_without_the_device() {
    let (fixture, other) = (connected(), Peer::new());
    fixture.kernel.fail(Syscall::Send, [libc::EAGAIN]);
    fixture.port.write(b"first", None, Flush::Immediate).expect("queued");
    fixture.kernel.fail(Syscall::Send, [libc::EAGAIN]);
    fail_options(&fixture.kernel);
    assert_eq!(fixture.port.connect(&other.addr()), Err(Status::PERMISSION));
    let second = fixture.port.write(b"second", Some(&other.addr()), Flush::Immediate);
    assert_eq!(second, Err(Status::NO_INTERFACE), "not queued after the first one");
    fixture.turn_until_sent();
    fixture.turn_until(|fixture| fixture.record.reports.borrow().len() == 1);
    assert_eq!(fixture.record.reports.borrow()[0].status, Status::NO_INTERFACE);
    assert!(other.has_nothing_to_read() && fixture.peer.has_nothing_to_read());
    fixture.kernel.end_trace();
}

#[test]
fn a_program_that_binds_the_socket_again_can_send() {
    for device in [&b"lo\0"[..], b"\0"] {
        let fixture = connected();
        fail_options(&fixture.kernel);
        assert_eq!(fixture.port.disconnect(), Err(Status::PERMISSION));
        fixture.kernel.end_trace();
        fixture
            .port
            .set_option(libc::SOL_SOCKET, libc::SO_BINDTODEVICE, device)
            .expect("a device of this host");
        assert_eq!(fixture.write(1), Ok(()));
        fixture.assert_received([1]);
    }
}

/// As before Linux 5.1.
#[test]
fn a_kernel_that_cannot_bind_by_index_binds_by_name() {
    let kernel: Rc<ScriptedKernel> = Rc::default();
    kernel.remove_option(libc::SOL_SOCKET, SO_BINDTOIFINDEX);
    let options = Options { bind_device: Some(c"lo"), flags: flag::NO_OFFLOAD, ..Options::default() };
    let (fixture, other) = (Fixture::with_offload(kernel, &options), Peer::new());
    let number = fixture.host().port;
    for peer in [&fixture.peer, &other, &fixture.peer] {
        fixture.port.connect(&peer.addr()).expect("connected");
        assert_eq!(device(&fixture.port), b"lo\0");
    }
    fixture.port.disconnect().expect("connected until now");
    assert_eq!((&device(&fixture.port)[..], fixture.host().port), (&b"lo\0"[..], number));
    // The interface was removed: its name cannot be read, and the port does not change.
    fixture.port.connect(&other.addr()).expect("connected");
    fixture.kernel.script(GetOption, [Real, Real, Errno(libc::ENODEV)]);
    assert_eq!(fixture.port.connect(&fixture.peer.addr()), Err(Status::NO_INTERFACE));
    assert_eq!(fixture.port.get_peer(), Ok(other.addr()));
    fixture.port.write(b"ping", None, Flush::Immediate).expect("written");
    assert_eq!(other.receive(&mut [0; 8]), b"ping");
}

/// udpr created the socket itself, so it is not bound to a device.
#[test]
fn a_listen_without_a_device_does_not_read_the_device() {
    let fixture = Fixture::new();
    let (options, binds) = (fixture.kernel.count(GetOption), fixture.kernel.count(Bind));
    let port =
        listen(&fixture.reactor, &Options::default(), ClosureProtocol::new(&fixture.record)).expect("a port");
    assert_eq!((fixture.kernel.count(GetOption), fixture.kernel.count(Bind)), (options, binds + 2));
    port.close(Status::OK).expect("open");
}
