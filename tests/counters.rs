//! Whatever system calls return, the counters add up and the peer has received what they count. The results are
//! pseudorandom, the same in every run.

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use support::*;
use udpr::port::{Flush, Options, Stats, flag};
use udpr::status::Status;

use CallResult::{AtMost, Errno, Real};
use Syscall::{Receive, Rewatch, Send};

impl Random {
    fn send_result(&self) -> CallResult {
        match self.below(12) {
            0 | 1 => Errno(libc::EAGAIN),
            2 => Errno(libc::ENOBUFS),
            3 | 4 => Errno(libc::EPERM),
            5 => Errno(libc::EINTR),
            6 => Errno(libc::ECONNREFUSED),
            7..=9 => AtMost(1 + self.below(4) as usize),
            _ => Real,
        }
    }

    /// Without EAGAIN: no kernel returns that while a datagram waits, and after several of them a port waits for a new one.
    fn receive_result(&self) -> CallResult {
        match self.below(8) {
            0 | 1 => Errno(libc::EINTR),
            2 => Errno(libc::ENOMEM),
            3 => Errno(libc::ECONNREFUSED),
            4 | 5 => AtMost(1 + self.below(3) as usize),
            _ => Real,
        }
    }
}

/// The results of a test's writes.
#[derive(Clone, Default)]
struct Writes {
    next: Rc<Cell<u32>>,
    /// Numbers of the writes that were OK.
    accepted: Rc<RefCell<Vec<u32>>>,
    blocked: Rc<Cell<u64>>,
}

impl Writes {
    fn record(&self, result: Result<(), Status>, number: u32) {
        match result {
            Ok(()) => self.accepted.borrow_mut().push(number),
            Err(Status::WOULD_BLOCK) => self.blocked.set(self.blocked.get() + 1),
            Err(status) => assert_eq!(status, Status::PERMISSION, "no other error was scripted"),
        }
    }

    fn next(&self) -> u32 {
        self.next.replace(self.next.get() + 1)
    }
}

/// Makes random writes while sends have random results. Returns the numbers that the peer received.
fn write_through(fixture: &Fixture, random: &Random, writes: &Writes) -> Vec<u32> {
    let mut received = Vec::new();
    for _ in 0..300 {
        fixture.kernel.script(Send, (0..random.below(6)).map(|_| random.send_result()));
        let (to, count) = (fixture.peer.addr(), random.below(20));
        if random.below(2) == 0 {
            let (random, writes) = (random.clone(), writes.clone());
            fixture.in_callback(move |port| {
                for _ in 0..count {
                    let flush = if random.below(8) == 0 { Flush::Immediate } else { Flush::Batched };
                    let number = writes.next();
                    writes.record(write_number(port, number, &to, flush), number);
                }
            });
        } else {
            for _ in 0..count {
                let number = writes.next();
                writes.record(fixture.write(number), number);
            }
        }
        // After ENOBUFS that takes some milliseconds.
        if random.below(3) == 0 {
            fixture.turn_until_sent();
        }
        fixture.assert_counters(writes.accepted.borrow().len() as u64);
        received
            .extend(fixture.peer.receive_numbers(fixture.stats().datagrams_out as usize - received.len()));
    }
    fixture.turn_until_sent();
    received.extend(fixture.peer.receive_numbers(fixture.stats().datagrams_out as usize - received.len()));
    received
}

fn assert_sent_adds_up(flags: u32, seed: u64) -> Stats {
    let fixture = Fixture::with(&Options { flags, send_queue_bytes: 2000, ..Options::default() });
    let (random, writes) = (Random::new(seed), Writes::default());
    let received = write_through(&fixture, &random, &writes);
    let (stats, accepted) = (fixture.stats(), writes.accepted.borrow());
    fixture.assert_counters(accepted.len() as u64);
    assert_eq!(stats.bytes_out, 4 * stats.datagrams_out);
    assert!(received.is_sorted_by(|a, b| a < b), "in order, and none twice");
    assert!(received.iter().all(|number| accepted.binary_search(number).is_ok()), "none that was rejected");
    assert!(fixture.peer.has_nothing_to_read());
    assert!(stats.refused > 0 && stats.datagrams_out > 1000, "the script was played: {stats:?}");
    let may_block = flags & flag::NO_QUEUE == 0;
    assert_eq!((writes.blocked.get() > 0, fixture.record.ready.get() > 0), (may_block, may_block));
    stats
}

#[test]
fn accepted_datagrams_were_sent_or_dropped_or_are_queued() {
    for seed in 1..=5 {
        assert!(assert_sent_adds_up(0, seed).dropped_out > 0);
        assert!(assert_sent_adds_up(flag::NO_QUEUE, seed).dropped_out > 0);
        assert_eq!(
            assert_sent_adds_up(flag::UNBATCHED, seed).dropped_out,
            0,
            "each write has its own result"
        );
    }
}

#[test]
fn received_datagrams_were_delivered_or_discarded_or_are_kept() {
    for seed in 1..=5 {
        let (fixture, random) = (Fixture::new(), Random::new(seed));
        let (next, last) = (Rc::new(Cell::new(0u32)), Rc::new(Cell::default()));
        let (expected, at_stop, in_callback) = (next.clone(), last.clone(), random.clone());
        let protocol = ClosureProtocol::new(&fixture.record)
            .on_datagram(move |port, datagram| {
                assert_eq!(datagram.data(), expected.get().to_be_bytes(), "in order, and none twice");
                expected.set(expected.get() + 1);
                if in_callback.below(10) == 0 {
                    port.pause_reading().expect("it listens");
                }
                if expected.get() == 3000 {
                    port.close(Status::OK).expect("open until now");
                }
            })
            .on_stop(move |port| at_stop.set(port.get_stats().expect("statistics")));
        let port = listen(&fixture.reactor, &Options::default(), protocol).expect("a port");
        let (host, mut sent) = (port.get_host().expect("open"), 0u32);
        while port.is_open() {
            fixture.kernel.script(Receive, (0..random.below(4)).map(|_| random.receive_result()));
            if random.below(20) == 0 {
                fixture.kernel.fail(Rewatch, [libc::ENOMEM]);
            }
            // No more datagrams wait than the receive buffer holds.
            for _ in 0..random.below(40).min(u64::from(next.get() + 100 - sent)) {
                fixture.peer.send(&sent.to_be_bytes(), &host);
                sent += 1;
            }
            fixture.reactor.iterate(Some(0)).expect("a turn");
            if let Ok(stats) = port.get_stats() {
                assert_eq!(stats.datagrams_in, u64::from(next.get()) + stats.kept_datagrams);
                assert_eq!((stats.bytes_in, stats.dropped_in), (4 * stats.datagrams_in, 0));
                port.resume_reading().expect("it listens");
            }
        }
        let stats: Stats = last.get();
        assert_eq!(stats.datagrams_in, 3000 + stats.discarded_in);
        assert_eq!((stats.kept_datagrams, stats.dropped_in), (0, 0));
        assert_eq!(stats.syscalls_in, fixture.kernel.count(Receive) as u64);
    }
}
