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
    fn new(fixture: &Fixture) -> Around {
        let outer = Epoll::new().expect("an epoll set");
        let inner = fixture.reactor.backend_fd().expect("a descriptor");
        Linux.watch(outer.fd(), inner, READABLE, 1).expect("watched");
        Around(outer)
    }

    fn is_readable(&self, timeout: u64) -> bool {
        let mut events = [Readiness { events: 0, u64: 0 }];
        Linux.wait(&self.0, &mut events, Some(timeout)).expect("a wait") == 1
    }

    /// Readable now if something is due now, and in time if it is due soon.
    fn check(&self, fixture: &Fixture, what: &str) {
        const SOON: u64 = 100_000_000;
        let Some(timeout) = fixture.reactor.next_timeout().filter(|timeout| *timeout < SOON) else { return };
        let patience = if timeout == 0 { 0 } else { TIMEOUT.as_nanos() as u64 };
        assert!(self.is_readable(patience), "{what}: due in {timeout} ns");
    }

    fn turn_until(&self, fixture: &Fixture, what: &str, mut done: impl FnMut(&Fixture) -> bool) {
        let end = Instant::now() + TIMEOUT;
        while !done(fixture) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(self.is_readable(left.as_nanos() as u64), "{what}: in vain");
            fixture.reactor.iterate(Some(0)).expect("a turn");
        }
    }
}

type Act = fn(&Fixture) -> Result;

/// What may be called outside a turn, with what the sockets have to say by then.
const ACTS: [(&str, Act); 14] = [
    ("write to a dead port", |fixture| {
        fixture.port.write(b"dead", Some(&Peer::closed_addr()), Flush::Immediate)
    }),
    ("write", |fixture| fixture.write(1)),
    ("pause", |fixture| fixture.port.pause_reading()),
    ("write while paused", |fixture| fixture.write(2)),
    ("resume", |fixture| fixture.port.resume_reading()),
    ("post", |fixture| fixture.port.shared.post(&3u32.to_be_bytes(), Some(&fixture.peer.addr()))),
    ("reports", |fixture| fixture.port.set_error_reports(true)),
    ("connect to a dead port", |fixture| fixture.port.connect(&Peer::closed_addr())),
    ("write to a dead peer", |fixture| fixture.port.write(b"dead", None, Flush::Batched)),
    ("write to a dead peer again", |fixture| fixture.port.write(b"dead", None, Flush::Batched)),
    ("connect", |fixture| fixture.port.connect(&fixture.peer.addr())),
    ("write to the peer", |fixture| fixture.port.write(&4u32.to_be_bytes(), None, Flush::Batched)),
    ("disconnect", |fixture| fixture.port.disconnect()),
    ("flush", |fixture| fixture.port.flush()),
];

fn fixture() -> (Fixture, Around) {
    let options = Options { flags: flag::ERROR_REPORTS | flag::NO_OFFLOAD, ..Options::default() };
    let fixture = Fixture::with_offload(Rc::default(), &options);
    let around = Around::new(&fixture);
    (fixture, around)
}

/// Every act in turn with one call failing; between some acts there is a turn, if the descriptor asks for one. In the end the
/// port receives and sends.
fn all_acts(fault: Option<Fault>, turns: bool) -> usize {
    let (fixture, around) = fixture();
    fixture.kernel.start_trace(fault);
    for (name, act) in ACTS {
        let _ = act(&fixture);
        let what = format!("{name} with {fault:?}");
        around.check(&fixture, &what);
        if turns && around.is_readable(0) {
            // The wait is one of the calls that fail.
            let _ = fixture.reactor.iterate(Some(0));
            around.check(&fixture, &what);
        }
    }
    let steps = fixture.kernel.end_trace();
    let what = format!("the end with {fault:?}");
    around.check(&fixture, &what);
    // It has no peer any more, if both calls were able to end the connection.
    let _ = fixture.port.disconnect();
    let received = fixture.record.received.get();
    fixture.peer.send(b"now", &fixture.host());
    around.turn_until(&fixture, &what, |fixture| fixture.record.received.get() > received);
    around.turn_until(&fixture, &what, |fixture| fixture.stats().queued_datagrams == 0);
    steps.len()
}

#[test]
fn whatever_fails_outside_a_turn_is_looked_after() {
    for turns in [false, true] {
        let count = all_acts(None, turns);
        assert!(count > ACTS.len());
        for number in 0..count {
            for errno in [libc::ENOBUFS, libc::EAGAIN, libc::ENOMEM, libc::ECONNREFUSED] {
                all_acts(Some(Fault::Once(number, CallResult::Errno(errno))), turns);
            }
        }
    }
}

#[test]
fn a_full_device_met_outside_a_turn() {
    let (fixture, around) = fixture();
    fixture.kernel.fail(Send, [libc::ENOBUFS; 3]);
    assert_eq!(fixture.write(1), Ok(()));
    around.check(&fixture, "the first");
    assert_eq!(fixture.write(2), Ok(()));
    around.turn_until(&fixture, "the retries", |fixture| fixture.stats().queued_datagrams == 0);
    fixture.assert_received([1, 2]);
}

#[test]
fn an_interest_that_could_not_be_changed_outside_a_turn() {
    let (fixture, around) = fixture();
    fixture.kernel.fail(Rewatch, [libc::ENOMEM; 2]);
    fixture.kernel.fail(Watch, [libc::ENOMEM; 2]);
    fixture.port.pause_reading().expect("open");
    fixture.port.resume_reading().expect("open");
    fixture.peer.send(b"now", &fixture.host());
    around.turn_until(&fixture, "the datagram", |fixture| fixture.record.received.get() == 1);
}

#[test]
fn a_stop_met_by_failures() {
    for fault in [None, Some(GetOption), Some(LocalAddr), Some(Rewatch)] {
        let (fixture, around) = fixture();
        fixture.kernel.start_trace(fault.map(|syscall| Fault::Always(syscall, libc::ENOMEM)));
        fixture.port.stop_listening().expect("open");
        fixture.kernel.end_trace();
        around.check(&fixture, "stop");
        around.turn_until(&fixture, "the stop", |fixture| *fixture.record.stopped.borrow() == [Status::OK]);
    }
}
