//! The device that a port is bound to, through a kernel that does not take it again, or is too old to know its index.

mod support;

use std::rc::Rc;
use std::sync::Arc;
use support::*;
use udpr::port::{Flush, Options, Port, flag};
use udpr::status::Status;
use udpr::sys::{Kernel, Linux};

use CallResult::{Errno, Real};
use Syscall::{Bind, Option as GetOption, SetOption};

/// linux/socket.h, since Linux 5.1.
const SO_BINDTOIFINDEX: i32 = 62;

fn on_lo() -> Fixture {
    Fixture::with(&Options { bind_device: Some(c"lo"), ..Options::default() })
}

fn connected() -> Fixture {
    let fixture = on_lo();
    fixture.port.connect(&fixture.peer.addr()).expect("connected");
    fixture
}

fn device(port: &Arc<Port>) -> Vec<u8> {
    let mut name = vec![0; libc::IFNAMSIZ];
    let len = Linux.raw_option(port.fileno(), libc::SOL_SOCKET, libc::SO_BINDTODEVICE, &mut name);
    name.truncate(len.expect("an open port"));
    name
}

/// Every call that sets an option fails.
fn no_options(kernel: &ScriptedKernel) {
    kernel.start_trace(Some(Fault::Always(SetOption, libc::EPERM)));
}

#[test]
fn a_port_that_cannot_have_its_device_again_sends_nothing() {
    for disconnects in [false, true] {
        let (fixture, other) = (connected(), Peer::new());
        let (to, port) = (other.addr(), &fixture.port);
        no_options(&fixture.kernel);
        let changed = if disconnects { port.disconnect() } else { port.connect(&to) };
        assert_eq!(changed, Err(Status::PERMISSION));
        assert_eq!(port.get_peer(), Err(Status::NOT_CONNECTED));
        assert_eq!(port.write(b"ping", Some(&to), Flush::Immediate), Err(Status::NO_INTERFACE));
        fixture.in_callback(move |port| {
            assert_eq!(port.write(b"ping", Some(&to), Flush::Batched), Err(Status::NO_INTERFACE));
        });
        assert_eq!(port.connect(&to), Err(Status::PERMISSION), "again");
        assert!(other.has_nothing_to_read() && fixture.peer.has_nothing_to_read());
        // It is bound as soon as the kernel lets it.
        fixture.kernel.end_trace();
        port.connect(&to).expect("connected");
        assert_eq!(device(port), b"lo\0");
        port.write(b"ping", None, Flush::Immediate).expect("written");
        assert_eq!(other.receive(&mut [0; 8]), b"ping");
    }
}

/// What was accepted before does not leave either.
#[test]
fn what_waits_for_a_full_socket_is_not_sent_without_the_device() {
    let (fixture, other) = (connected(), Peer::new());
    fixture.kernel.fail(Syscall::Send, [libc::EAGAIN]);
    fixture.port.write(b"first", None, Flush::Immediate).expect("queued");
    fixture.kernel.fail(Syscall::Send, [libc::EAGAIN]);
    no_options(&fixture.kernel);
    assert_eq!(fixture.port.connect(&other.addr()), Err(Status::PERMISSION));
    let second = fixture.port.write(b"second", Some(&other.addr()), Flush::Immediate);
    assert_eq!(second, Err(Status::NO_INTERFACE), "not queued behind the first one");
    fixture.turn_until_sent();
    fixture.turn_until(|fixture| fixture.record.reports.borrow().len() == 1);
    assert_eq!(fixture.record.reports.borrow()[0].status, Status::NO_INTERFACE);
    assert!(other.has_nothing_to_read() && fixture.peer.has_nothing_to_read());
    fixture.kernel.end_trace();
}

#[test]
fn a_host_that_binds_the_socket_anew_may_send_again() {
    for device in [&b"lo\0"[..], b"\0"] {
        let fixture = connected();
        no_options(&fixture.kernel);
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

/// Before Linux 5.1.
#[test]
fn a_kernel_that_knows_no_index_is_asked_for_the_name() {
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
    // The interface is gone: the name cannot be had, and nothing is done.
    fixture.port.connect(&other.addr()).expect("connected");
    fixture.kernel.script(GetOption, [Real, Real, Errno(libc::ENODEV)]);
    assert_eq!(fixture.port.connect(&fixture.peer.addr()), Err(Status::NO_INTERFACE));
    assert_eq!(fixture.port.get_peer(), Ok(other.addr()));
    fixture.port.write(b"ping", None, Flush::Immediate).expect("written");
    assert_eq!(other.receive(&mut [0; 8]), b"ping");
}

/// It had made the socket itself, which is bound to nothing.
#[test]
fn a_listen_without_a_device_does_not_ask_for_one() {
    let fixture = Fixture::new();
    let (options, binds) = (fixture.kernel.count(GetOption), fixture.kernel.count(Bind));
    let port =
        listen(&fixture.reactor, &Options::default(), ClosureProtocol::new(&fixture.record)).expect("a port");
    assert_eq!((fixture.kernel.count(GetOption), fixture.kernel.count(Bind)), (options, binds + 2));
    port.close(Status::OK).expect("open");
}
