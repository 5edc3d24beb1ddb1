//! A turn allocates nothing for the datagrams that it receives and sends, once its buffers are allocated.
#![allow(unsafe_code, reason = "a global allocator that counts is unsafe to implement")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use support::*;
use udpr::addr::Addr;
use udpr::port::{Options, Port, flag};
use udpr::reactor::{PortCall, Reactor, Repeat, flag as reactor_flag};
use udpr::sys::SystemKernel;

/// The system's allocator; counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The number of allocations of this thread so far.
fn allocations() -> usize {
    ALLOCATIONS.get()
}

// SAFETY: every method calls the system's allocator, after counting, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller has to meet the same requirements.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as in `alloc`.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const BURST: usize = 50;
/// Datagrams before counting begins, and those for which allocations are counted.
const WARM_UP: usize = 1000;
const DATAGRAMS: usize = 100_000;

#[test]
fn echoed_datagrams_allocate_nothing() {
    let data = [7; 1200];
    assert_no_allocation(flag::NO_OFFLOAD, &data, |peer, host| {
        (0..BURST).for_each(|_| peer.send(&data, host));
    });
}

#[test]
fn merged_datagrams_allocate_nothing() {
    let data = [7; 1200 * BURST];
    assert_no_allocation(0, &data, |peer, host| {
        peer.enable_gro();
        peer.send_gso(&data, 1200, host);
    });
}

#[test]
fn calls_from_threads_and_delayed_calls_allocate_nothing() {
    let reactor = Reactor::with_kernel(0, Rc::new(SystemKernel)).expect("a reactor");
    let rounds = |count| {
        let before = allocations();
        for _ in 0..count {
            // Boxing a closure without captures does not allocate.
            for _ in 0..BURST {
                reactor.remote.call(ClosureCall::new(|_| ())).expect("called");
                reactor.call_later(0, ClosureCall::new(|_| ())).expect("called later");
            }
            reactor.iterate(Some(0)).expect("a turn");
        }
        allocations() - before
    };
    assert!(rounds(100) > 0, "the first ones allocate the queues, which shows that allocations are counted");
    assert_eq!(rounds(1000), 0);
    let stats = reactor.get_stats();
    assert_eq!((stats.calls_from_thread, stats.timers_fired), (55_000, 55_000));
    reactor.close();
}

/// Counts beats, and moves its grid.
struct Moving(Rc<Cell<u64>>);

impl Repeat<ClosureCall> for Moving {
    fn beat(&mut self, reactor: &Reactor<ClosureCall>, id: u64, beats: u64) {
        self.0.set(self.0.get() + beats);
        reactor.reset_call(id, 1).expect("it is pending");
    }
}

impl PortCall for Moving {
    fn call(&mut self, _: &Arc<Port>, _: u64, beats: u64) {
        self.0.set(self.0.get() + beats);
    }
}

#[test]
fn periodic_calls_allocate_nothing() {
    let (record, beats) = (Rc::new(CallbackRecord::default()), Rc::new(Cell::new(0)));
    let reactor = Reactor::with_kernel(reactor_flag::MANUAL_CLOCK, Rc::new(SystemKernel)).expect("a reactor");
    let port =
        listen_with_offload(&reactor, &Options::default(), ClosureProtocol::new(&record)).expect("a port");
    reactor.call_every(10, Box::new(Moving(beats.clone()))).expect("memory");
    reactor.call_port_every(&port, 1, Box::new(Moving(beats.clone()))).expect("memory");
    reactor.advance(1000).expect("a manual clock");
    let before = (allocations(), beats.get());
    reactor.advance(100_000).expect("a manual clock");
    assert_eq!((allocations() - before.0, beats.get() - before.1), (0, 200_000));
    reactor.close();
}

/// `send` sends [`BURST`] datagrams, which are echoed as messages equal to `data`.
fn assert_no_allocation(flags: u32, data: &[u8], send: impl Fn(&Peer, &Addr)) {
    let (record, peer) = (Rc::new(CallbackRecord::default()), Peer::new());
    let reactor = Reactor::with_kernel(0, Rc::new(SystemKernel)).expect("a reactor");
    let followed = Rc::new(Cell::new(0));
    let count = followed.clone();
    let echo = ClosureProtocol::new(&record).on_datagram(move |port, datagram| {
        let shortly = write_by_append(port, datagram.data(), &datagram.sender);
        count.set(count.get() + usize::from(shortly));
    });
    let options = Options { flags, ..Options::default() };
    let port = listen_with_offload(&reactor, &options, echo).expect("a port");
    let (host, mut echoed) = (port.get_host().expect("open"), 0);
    let mut buffer = vec![0; 65_536];
    let mut bursts = |count: usize| {
        let mut allocated = 0;
        for _ in 0..count {
            send(&peer, &host);
            echoed += BURST;
            let before = allocations();
            turn_until(&reactor, || record.received.get() == echoed);
            allocated += allocations() - before;
            (0..1200 * BURST / data.len()).for_each(|_| assert_eq!(peer.receive(&mut buffer), data));
        }
        allocated
    };
    assert!(
        bursts(WARM_UP / BURST) > 0,
        "the first ones allocate the buffers, which shows that allocations are counted"
    );
    assert_eq!(bursts(DATAGRAMS / BURST), 0);
    let stats = port.get_stats().expect("open");
    let total = WARM_UP + DATAGRAMS;
    assert_eq!((stats.datagrams_in, stats.datagrams_out), (total as u64, total as u64));
    // With merging, only the first write of a burst is not an append.
    assert_eq!(followed.get(), if flags == flag::NO_OFFLOAD { 0 } else { total / BURST * (BURST - 1) });
    reactor.close();
}
