//! A reactor inside another loop that waits on its one descriptor and on nothing else: whatever is called outside a turn, and
//! whatever fails in it, the descriptor is readable when there is something to do.

mod support;

use std::rc::Rc;
use std::time::Instant;
use support::*;
use udpr::port::{Flush, Options, flag};
use udpr::status::{Result, Status};
use udpr::sys::epoll::READABLE;
use udpr::sys::{Epoll, Kernel, Linux, Readiness};

use Syscall::{LocalAddr, Option as GetOption, Rewatch, Send, Watch};

/// A loop of another kind.
struct Around(Epoll);

impl Around {
    fn new(scene: &Scene) -> Around {
        let outer = Epoll::new().expect("an epoll set");
        let inner = scene.reactor.backend_fd().expect("a descriptor");
        Linux.watch(outer.fd(), inner, READABLE, 1).expect("watched");
        Around(outer)
    }

    fn is_readable(&self, timeout: u64) -> bool {
        let mut events = [Readiness { events: 0, u64: 0 }];
        Linux.wait(&self.0, &mut events, Some(timeout)).expect("a wait") == 1
    }

    /// Readable now if something is due now, and in time if it is due soon.
    fn check(&self, scene: &Scene, what: &str) {
        const SOON: u64 = 100_000_000;
        let Some(timeout) = scene.reactor.next_timeout().filter(|timeout| *timeout < SOON) else { return };
        let patience = if timeout == 0 { 0 } else { PATIENCE.as_nanos() as u64 };
        assert!(self.is_readable(patience), "{what}: due in {timeout} ns");
    }

    fn turn_until(&self, scene: &Scene, what: &str, mut done: impl FnMut(&Scene) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(scene) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(self.is_readable(left.as_nanos() as u64), "{what}: in vain");
            scene.reactor.iterate(Some(0)).expect("a turn");
        }
    }
}

type Act = fn(&Scene) -> Result;

/// What may be called outside a turn, with what the sockets have to say by then.
const ACTS: [(&str, Act); 14] = [
    ("write to a dead port", |scene| scene.port.write(b"dead", Some(&Peer::dead()), Flush::Immediate)),
    ("write", |scene| scene.write(1)),
    ("pause", |scene| scene.port.pause_reading()),
    ("write while paused", |scene| scene.write(2)),
    ("resume", |scene| scene.port.resume_reading()),
    ("post", |scene| scene.port.shared.post(&3u32.to_be_bytes(), Some(&scene.peer.addr()))),
    ("reports", |scene| scene.port.set_error_reports(true)),
    ("connect to a dead port", |scene| scene.port.connect(&Peer::dead())),
    ("write to a dead peer", |scene| scene.port.write(b"dead", None, Flush::Batched)),
    ("write to a dead peer again", |scene| scene.port.write(b"dead", None, Flush::Batched)),
    ("connect", |scene| scene.port.connect(&scene.peer.addr())),
    ("write to the peer", |scene| scene.port.write(&4u32.to_be_bytes(), None, Flush::Batched)),
    ("disconnect", |scene| scene.port.disconnect()),
    ("flush", |scene| scene.port.flush()),
];

fn scene() -> (Scene, Around) {
    let options = Options { flags: flag::ERROR_REPORTS | flag::NO_OFFLOAD, ..Options::default() };
    let scene = Scene::merging(Rc::default(), &options);
    let around = Around::new(&scene);
    (scene, around)
}

/// Every act in turn with one call failing; between some acts there is a turn, if the descriptor asks for one. In the end the
/// port receives and sends.
fn all_acts(fault: Option<Fault>, turns: bool) -> usize {
    let (scene, around) = scene();
    scene.kernel.begin(fault);
    for (name, act) in ACTS {
        let _ = act(&scene);
        let what = format!("{name} with {fault:?}");
        around.check(&scene, &what);
        if turns && around.is_readable(0) {
            // The wait is one of the calls that fail.
            let _ = scene.reactor.iterate(Some(0));
            around.check(&scene, &what);
        }
    }
    let steps = scene.kernel.end();
    let what = format!("the end with {fault:?}");
    around.check(&scene, &what);
    // It has no peer any more, if both calls were able to end the connection.
    let _ = scene.port.disconnect();
    let received = scene.diary.received.get();
    scene.peer.send(b"now", &scene.host());
    around.turn_until(&scene, &what, |scene| scene.diary.received.get() > received);
    around.turn_until(&scene, &what, |scene| scene.stats().queued_datagrams == 0);
    steps.len()
}

#[test]
fn whatever_fails_outside_a_turn_is_looked_after() {
    for turns in [false, true] {
        let count = all_acts(None, turns);
        assert!(count > ACTS.len());
        for number in 0..count {
            for errno in [libc::ENOBUFS, libc::EAGAIN, libc::ENOMEM, libc::ECONNREFUSED] {
                all_acts(Some(Fault::Once(number, Answer::Errno(errno))), turns);
            }
        }
    }
}

#[test]
fn a_full_device_met_outside_a_turn() {
    let (scene, around) = scene();
    scene.kernel.fail(Send, [libc::ENOBUFS; 3]);
    assert_eq!(scene.write(1), Ok(()));
    around.check(&scene, "the first");
    assert_eq!(scene.write(2), Ok(()));
    around.turn_until(&scene, "the retries", |scene| scene.stats().queued_datagrams == 0);
    scene.assert_received([1, 2]);
}

#[test]
fn an_interest_that_could_not_be_changed_outside_a_turn() {
    let (scene, around) = scene();
    scene.kernel.fail(Rewatch, [libc::ENOMEM; 2]);
    scene.kernel.fail(Watch, [libc::ENOMEM; 2]);
    scene.port.pause_reading().expect("open");
    scene.port.resume_reading().expect("open");
    scene.peer.send(b"now", &scene.host());
    around.turn_until(&scene, "the datagram", |scene| scene.diary.received.get() == 1);
}

#[test]
fn a_stop_met_by_failures() {
    for fault in [None, Some(GetOption), Some(LocalAddr), Some(Rewatch)] {
        let (scene, around) = scene();
        scene.kernel.begin(fault.map(|syscall| Fault::Always(syscall, libc::ENOMEM)));
        scene.port.stop_listening().expect("open");
        scene.kernel.end();
        around.check(&scene, "stop");
        around.turn_until(&scene, "the stop", |scene| *scene.diary.stopped.borrow() == [Status::OK]);
    }
}
