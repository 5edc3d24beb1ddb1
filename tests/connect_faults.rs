//! Connecting, refusals and failed writes through a kernel that fails at one step after the other.

mod support;

use support::*;
use udpr::addr::Addr;
use udpr::port::{Flush, Options, flag};
use udpr::status::Status;
use udpr::sys::error_queue::origin;

use Answer::{AtMost, Errno, Real};
use Syscall::{Bind, Connect, LocalAddr, Option as GetOption, PeerAddr, ReadError, Receive, Send};

fn connected() -> Scene {
    let scene = Scene::new();
    scene.port.connect(&scene.peer.addr()).expect("connected");
    scene
}

fn peer_of(scene: &Scene) -> Result<Addr, Status> {
    scene.port.get_peer()
}

/// The peer hears the port, and the port the peer.
fn assert_talks_to(scene: &Scene, peer: &Peer) {
    assert_eq!(peer_of(scene), Ok(peer.addr()));
    scene.port.write(b"ping", None, Flush::Immediate).expect("written");
    assert_eq!(peer.receive(&mut [0; 8]), b"ping");
    let before = scene.diary.received.get();
    peer.send(b"pong", &scene.host());
    scene.turn_until(|scene| scene.diary.received.get() == before + 1);
}

#[test]
fn each_step_of_the_first_connect_may_fail() {
    for step in [GetOption, Connect, PeerAddr] {
        let (scene, other) = (Scene::new(), Peer::new());
        // SO_ERROR is asked first; what that says does not matter.
        let before = usize::from(step == GetOption);
        scene.kernel.script(step, std::iter::repeat_n(Real, before).chain([Errno(libc::ENOBUFS)]));
        let status = scene.port.connect(&other.addr());
        assert_eq!(status, Err(Status::from_errno(libc::ENOBUFS)), "{step:?}");
        assert_eq!(peer_of(&scene), Err(Status::NOT_CONNECTED));
        scene.in_callback(|_| ());
        assert_eq!(scene.write(1), Ok(()));
        scene.assert_received([1]);
    }
}

#[test]
fn each_step_of_another_connect_may_fail() {
    let steps = [(LocalAddr, 0), (Connect, 0), (LocalAddr, 1), (Connect, 1), (PeerAddr, 0)];
    for (step, before) in steps {
        let (scene, other) = (connected(), Peer::new());
        scene.kernel.script(step, std::iter::repeat_n(Real, before).chain([Errno(libc::ENOBUFS)]));
        let status = scene.port.connect(&other.addr());
        assert_eq!(status, Err(Status::from_errno(libc::ENOBUFS)), "{step:?} {before}");
        assert_talks_to(&scene, &scene.peer);
    }
}

#[test]
fn a_former_peer_that_is_lost_leaves_the_port_without_one() {
    let (scene, other) = (connected(), Peer::new());
    scene.kernel.script(Connect, [Real, Errno(libc::EADDRNOTAVAIL), Real, Errno(libc::ENETUNREACH)]);
    assert_eq!(scene.port.connect(&other.addr()), Err(Status::ADDRESS_NOT_AVAILABLE));
    assert_eq!(peer_of(&scene), Err(Status::NOT_CONNECTED));
    assert_eq!(scene.write(1), Ok(()), "to the one that it names");
    scene.in_callback(|_| ());
}

#[test]
fn a_connect_never_binds_again_what_was_bound_by_name() {
    let scene = connected();
    let before = scene.kernel.count(Bind);
    (0..3).for_each(|_| scene.port.connect(&scene.peer.addr()).expect("connected"));
    scene.port.disconnect().expect("connected until now");
    assert_eq!(scene.kernel.count(Bind), before);
}

#[test]
fn what_waits_for_a_full_socket_goes_where_it_was_written_to() {
    let (scene, other) = (connected(), Peer::new());
    scene.kernel.fail(Send, [libc::EAGAIN]);
    scene.port.write(b"first", None, Flush::Immediate).expect("queued");
    assert_eq!(scene.stats().queued_datagrams, 1);
    scene.kernel.fail(Send, [libc::EAGAIN]);
    scene.port.connect(&other.addr()).expect("connected");
    scene.port.write(b"other", None, Flush::Immediate).expect("queued");
    scene.turn_until_sent();
    assert_eq!(scene.peer.receive(&mut [0; 8]), b"first");
    assert_eq!(other.receive(&mut [0; 8]), b"other");
    assert!(scene.peer.is_silent() && other.is_silent());
}

#[test]
fn a_refusal_that_a_read_meets() {
    let scene = connected();
    scene.kernel.fail(Receive, [libc::ECONNREFUSED]);
    scene.in_callback(|_| ());
    assert_eq!((scene.diary.refused.get(), scene.stats().refused), (1, 1));
    assert_eq!(scene.diary.received.get(), 1, "what came is not lost");
}

/// And nothing is left of it on the socket, for epoll to tell of.
#[test]
fn a_refusal_that_a_write_meets() {
    let scene = connected();
    scene.kernel.fail(Send, [libc::ECONNREFUSED]);
    assert_eq!(scene.port.write(b"ping", None, Flush::Immediate), Ok(()));
    assert_eq!(scene.diary.refused.get(), 0, "not inside the write");
    scene.reactor.iterate(None).expect("a turn that does not wait");
    assert_eq!((scene.diary.refused.get(), scene.stats().refused), (1, 1));
}

#[test]
fn a_refusal_that_a_read_of_an_unconnected_port_meets_is_nobodys() {
    let scene = Scene::new();
    scene.kernel.fail(Receive, [libc::ECONNREFUSED]);
    scene.in_callback(|_| ());
    assert_eq!((scene.diary.refused.get(), scene.stats().refused), (0, 1));
}

#[test]
fn a_pending_error_costs_a_connected_port_one_try() {
    for errno in [libc::EHOSTUNREACH, libc::ENOPROTOOPT, libc::EMSGSIZE, libc::EACCES, libc::ECONNREFUSED] {
        let scene = connected();
        scene.kernel.fail(Send, [errno]);
        assert_eq!(scene.port.write(b"ping", None, Flush::Immediate), Ok(()));
        assert_eq!(scene.kernel.count(Send), 2);
        assert_eq!(scene.peer.receive(&mut [0; 8]), b"ping");
    }
}

#[test]
fn an_error_that_comes_again_is_the_datagrams_own() {
    for options in [Options::default(), Options { flags: flag::ERROR_REPORTS, ..Options::default() }] {
        let scene = Scene::with(&options);
        scene.port.connect(&scene.peer.addr()).expect("connected");
        scene.kernel.fail(Send, [libc::EPERM; 2]);
        assert_eq!(scene.port.write(b"ping", None, Flush::Immediate), Err(Status::PERMISSION));
        assert_eq!(scene.kernel.count(Send), 2);
        assert!(scene.diary.reports.borrow().is_empty(), "the caller was told");
    }
}

#[test]
fn an_accepted_write_that_fails_is_reported() {
    let scene = Scene::with(&Options { flags: flag::NO_OFFLOAD, ..Options::default() });
    let to = scene.peer.addr();
    scene.kernel.script(Send, [AtMost(1), Errno(libc::EPERM)]);
    scene.write_together(0..3);
    let reports = scene.diary.reports.borrow();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!((report.status, report.origin, report.to), (Status::PERMISSION, origin::LOCAL, to));
    assert_eq!(&report.data[..], 1u32.to_be_bytes());
    assert_eq!(scene.stats().dropped_out, 1);
}

#[test]
fn a_queued_write_that_fails_is_reported_with_its_peer() {
    let scene = connected();
    scene.kernel.fail(Send, [libc::EAGAIN, libc::EPERM, libc::EPERM]);
    scene.port.write(b"ping", None, Flush::Immediate).expect("queued");
    scene.turn_until(|scene| !scene.diary.reports.borrow().is_empty());
    assert_eq!(scene.diary.reports.borrow()[0].to, scene.peer.addr());
    assert_eq!((scene.stats().dropped_out, scene.stats().queued_datagrams), (1, 0));
}

#[test]
fn an_error_queue_that_cannot_be_read_is_no_harm() {
    let scene = Scene::with(&Options { flags: flag::ERROR_REPORTS, ..Options::default() });
    let dead = Peer::new().addr();
    scene.kernel.fail(ReadError, [libc::EINTR, libc::ENOMEM]);
    scene.port.write(b"ping", Some(&dead), Flush::Immediate).expect("written");
    scene.turn_until(|scene| scene.diary.reports.borrow().len() == 1);
    assert_eq!(scene.diary.reports.borrow()[0].to, dead);
}
