//! The device that a port is bound to, through a kernel that does not take it again, or is too old to know its index.

mod support;

use std::rc::Rc;
use std::sync::Arc;
use support::*;
use udpr::port::{Flush, Options, Port, flag};
use udpr::status::Status;
use udpr::sys::{Kernel, Linux};

use Answer::{Errno, Real};
use Syscall::{Bind, Option as GetOption, SetOption};

/// linux/socket.h, since Linux 5.1.
const SO_BINDTOIFINDEX: i32 = 62;

fn on_lo() -> Scene {
    Scene::with(&Options { bind_device: Some(c"lo"), ..Options::default() })
}

fn connected() -> Scene {
    let scene = on_lo();
    scene.port.connect(&scene.peer.addr()).expect("connected");
    scene
}

fn device(port: &Arc<Port>) -> Vec<u8> {
    let mut name = vec![0; libc::IFNAMSIZ];
    let len = Linux.raw_option(port.fileno(), libc::SOL_SOCKET, libc::SO_BINDTODEVICE, &mut name);
    name.truncate(len.expect("an open port"));
    name
}

/// Every call that sets an option fails.
fn no_options(kernel: &Scripted) {
    kernel.begin(Some(Fault::Always(SetOption, libc::EPERM)));
}

#[test]
fn a_port_that_cannot_have_its_device_again_sends_nothing() {
    for disconnects in [false, true] {
        let (scene, other) = (connected(), Peer::new());
        let (to, port) = (other.addr(), &scene.port);
        no_options(&scene.kernel);
        let changed = if disconnects { port.disconnect() } else { port.connect(&to) };
        assert_eq!(changed, Err(Status::PERMISSION));
        assert_eq!(port.get_peer(), Err(Status::NOT_CONNECTED));
        assert_eq!(port.write(b"ping", Some(&to), Flush::Immediate), Err(Status::NO_INTERFACE));
        scene.in_callback(move |port| {
            assert_eq!(port.write(b"ping", Some(&to), Flush::Batched), Err(Status::NO_INTERFACE));
        });
        assert_eq!(port.connect(&to), Err(Status::PERMISSION), "again");
        assert!(other.is_silent() && scene.peer.is_silent());
        // It is bound as soon as the kernel lets it.
        scene.kernel.end();
        port.connect(&to).expect("connected");
        assert_eq!(device(port), b"lo\0");
        port.write(b"ping", None, Flush::Immediate).expect("written");
        assert_eq!(other.receive(&mut [0; 8]), b"ping");
    }
}

/// What was accepted before does not leave either.
#[test]
fn what_waits_for_a_full_socket_is_not_sent_without_the_device() {
    let (scene, other) = (connected(), Peer::new());
    scene.kernel.fail(Syscall::Send, [libc::EAGAIN]);
    scene.port.write(b"first", None, Flush::Immediate).expect("queued");
    scene.kernel.fail(Syscall::Send, [libc::EAGAIN]);
    no_options(&scene.kernel);
    assert_eq!(scene.port.connect(&other.addr()), Err(Status::PERMISSION));
    let second = scene.port.write(b"second", Some(&other.addr()), Flush::Immediate);
    assert_eq!(second, Err(Status::NO_INTERFACE), "not queued behind the first one");
    scene.turn_until_sent();
    scene.turn_until(|scene| scene.diary.reports.borrow().len() == 1);
    assert_eq!(scene.diary.reports.borrow()[0].status, Status::NO_INTERFACE);
    assert!(other.is_silent() && scene.peer.is_silent());
    scene.kernel.end();
}

#[test]
fn a_host_that_binds_the_socket_anew_may_send_again() {
    for device in [&b"lo\0"[..], b"\0"] {
        let scene = connected();
        no_options(&scene.kernel);
        assert_eq!(scene.port.disconnect(), Err(Status::PERMISSION));
        scene.kernel.end();
        scene
            .port
            .set_option(libc::SOL_SOCKET, libc::SO_BINDTODEVICE, device)
            .expect("a device of this host");
        assert_eq!(scene.write(1), Ok(()));
        scene.assert_received([1]);
    }
}

/// Before Linux 5.1.
#[test]
fn a_kernel_that_knows_no_index_is_asked_for_the_name() {
    let kernel: Rc<Scripted> = Rc::default();
    kernel.forget_option(libc::SOL_SOCKET, SO_BINDTOIFINDEX);
    let options = Options { bind_device: Some(c"lo"), flags: flag::NO_OFFLOAD, ..Options::default() };
    let (scene, other) = (Scene::merging(kernel, &options), Peer::new());
    let number = scene.host().port;
    for peer in [&scene.peer, &other, &scene.peer] {
        scene.port.connect(&peer.addr()).expect("connected");
        assert_eq!(device(&scene.port), b"lo\0");
    }
    scene.port.disconnect().expect("connected until now");
    assert_eq!((&device(&scene.port)[..], scene.host().port), (&b"lo\0"[..], number));
    // The interface is gone: the name cannot be had, and nothing is done.
    scene.port.connect(&other.addr()).expect("connected");
    scene.kernel.script(GetOption, [Real, Real, Errno(libc::ENODEV)]);
    assert_eq!(scene.port.connect(&scene.peer.addr()), Err(Status::NO_INTERFACE));
    assert_eq!(scene.port.get_peer(), Ok(other.addr()));
    scene.port.write(b"ping", None, Flush::Immediate).expect("written");
    assert_eq!(other.receive(&mut [0; 8]), b"ping");
}

/// It had made the socket itself, which is bound to nothing.
#[test]
fn a_listen_without_a_device_does_not_ask_for_one() {
    let scene = Scene::new();
    let (options, binds) = (scene.kernel.count(GetOption), scene.kernel.count(Bind));
    let port = listen(&scene.reactor, &Options::default(), Closures::new(&scene.diary)).expect("a port");
    assert_eq!((scene.kernel.count(GetOption), scene.kernel.count(Bind)), (options, binds + 2));
    port.close(Status::OK).expect("open");
}
