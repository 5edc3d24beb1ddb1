//! Failing allocations: a call that fails with NO_MEMORY has changed nothing, and succeeds when there is memory again.
#![allow(unsafe_code, reason = "a global allocator that fails is unsafe to implement")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use support::*;
use udpr::addr::Addr;
use udpr::port::{Flush, Message, Options, Port};
use udpr::reactor::{
    Call, Job, NoticeCallback, PortCall, Reactor, Repeat, ResolveCallback, Trigger, Watcher,
};
use udpr::status::{Result, Status};
use udpr::sys::{Handle, Interest, Kernel, Readiness, Report, SendBatch};
use udpr::timer::{Due, Timed, Timers};
use udpr::trigger::{Event, Phase};

/// The system's allocator, which fails for a thread after a number of allocations, or always.
struct Failing;

thread_local! {
    static FAIL_AFTER: Cell<u32> = const { Cell::new(u32::MAX) };
    static ALWAYS_FAIL: Cell<bool> = const { Cell::new(false) };
}

/// Whether this allocation of the calling thread fails.
fn fails() -> bool {
    match FAIL_AFTER.get() {
        u32::MAX => ALWAYS_FAIL.get(),
        left => {
            FAIL_AFTER.set(left.checked_sub(1).unwrap_or(u32::MAX));
            left == 0
        }
    }
}

// SAFETY: every method calls the system's allocator or returns NULL, which means that there is no memory.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller has to meet the same requirements.
        if fails() { std::ptr::null_mut() } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`.
        if fails() { std::ptr::null_mut() } else { unsafe { System.realloc(old, layout, size) } }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

/// Calls `act` while its first allocation fails, then its second, and so on, until none fails. Returns how many failed.
/// `state` must be the same after each failure.
fn fail_each_allocation<S: PartialEq + std::fmt::Debug>(
    state: impl Fn() -> S,
    mut act: impl FnMut() -> Result,
) -> u32 {
    for nth in 0.. {
        let before = state();
        FAIL_AFTER.set(nth);
        let result = act();
        let has_failed = FAIL_AFTER.replace(u32::MAX) == u32::MAX;
        if !has_failed {
            assert_eq!(result, Ok(()));
            return nth;
        }
        assert_eq!((result, state()), (Err(Status::NO_MEMORY), before), "allocation {nth}");
    }
    unreachable!("every act ends")
}

/// Calls `act` while every allocation fails. An allocation that must not fail would abort the process.
fn without_memory<T>(act: impl FnOnce() -> T) -> T {
    ALWAYS_FAIL.set(true);
    let result = act();
    ALWAYS_FAIL.set(false);
    result
}

/// A kernel whose sockets can be full.
#[derive(Default)]
struct Full(Cell<bool>);

impl Kernel for Full {
    fn send(&self, fd: RawFd, send_batch: &mut SendBatch) -> io::Result<usize> {
        if self.0.get() {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        }
        send_batch.send(fd, usize::MAX)
    }
}

struct Sender {
    kernel: Rc<Full>,
    reactor: Reactor<ClosureCall>,
    port: Arc<Port>,
    peer: Peer,
}

impl Sender {
    /// A port that has written once, so that what is allocated only once exists.
    fn new() -> Sender {
        let kernel = Rc::new(Full::default());
        let reactor = Reactor::with_kernel(0, kernel.clone()).expect("a reactor");
        let closures = Box::new(ClosureProtocol::new(&Rc::default()));
        let port = reactor.listen_udp(0, "127.0.0.1", &Options::default(), closures).expect("a port");
        let sender = Sender { kernel, reactor, port, peer: Peer::new() };
        sender.write(0).expect("a write");
        sender
    }

    fn write(&self, number: u32) -> Result {
        write_number(&self.port, number, &self.peer.addr(), Flush::Batched)
    }

    fn turn_until_sent(&self, count: u64) {
        self.kernel.0.set(false);
        let sent = || self.port.get_stats().is_ok_and(|stats| stats.datagrams_out == count);
        turn_until(&self.reactor, sent);
    }
}

#[test]
fn a_write_to_a_full_socket_that_cannot_be_queued() {
    let sender = Sender::new();
    sender.kernel.0.set(true);
    let state = || {
        sender.port.get_stats().map(|stats| (stats.queued_datagrams, stats.queued_bytes, stats.dropped_out))
    };
    let failed: u32 = (1..40).map(|number| fail_each_allocation(state, || sender.write(number))).sum();
    assert!(failed >= 39, "each is copied, {failed} failed");
    sender.turn_until_sent(40);
    assert_eq!(sender.peer.receive_numbers(40), (0..40).collect::<Vec<_>>());
}

#[test]
fn a_port_that_cannot_stop_when_all_is_sent_still_listens() {
    let sender = Sender::new();
    sender.kernel.0.set(true);
    sender.write(1).expect("queued");
    let state = || sender.reactor.context().next_stop_deadline();
    let stop = || sender.reactor.stop_when_sent(&sender.port, 60_000_000_000);
    assert_eq!(fail_each_allocation(state, || stop().inspect_err(|_| sender.write(2).expect("queued"))), 1);
    assert_eq!(sender.write(3), Err(Status::CLOSED));
    sender.kernel.0.set(false);
    turn_until(&sender.reactor, || !sender.port.is_open());
    assert_eq!(sender.peer.receive_numbers(3), [0, 1, 2]);
}

#[test]
fn a_segmented_message_is_queued_completely_or_not_at_all() {
    let sender = Sender::new();
    sender.kernel.0.set(true);
    sender.write(1).expect("a write that is queued");
    let data: Vec<u8> = (2..22u32).flat_map(u32::to_be_bytes).collect();
    let to = sender.peer.addr();
    let message =
        || Message { payload: data[..].into(), to: Some(&to), tag: 7, segment_size: 4, ..Message::default() };
    let state = || {
        sender.port.get_stats().map(|stats| (stats.queued_datagrams, stats.queued_bytes, stats.dropped_out))
    };
    let failed = fail_each_allocation(state, || sender.port.write_message(message()));
    assert!(failed > 40, "each piece is copied, with its tag, {failed} failed");
    sender.turn_until_sent(22);
    assert_eq!(sender.peer.receive_numbers(22), (0..22).collect::<Vec<_>>());
}

#[test]
fn a_post_that_cannot_be_copied() {
    let sender = Sender::new();
    let to = sender.peer.addr();
    let post = |number: u32| sender.port.shared.post(&number.to_be_bytes(), Some(&to));
    post(1).expect("a first post, for which the port is listed");
    // A turn, so that the next post has to list the port again.
    sender.turn_until_sent(2);
    let failed = fail_each_allocation(|| (), || post(2));
    assert!(failed >= 2, "it is copied, and the port is listed, {failed} failed");
    let failed: u32 = (3..40).map(|number| fail_each_allocation(|| (), || post(number))).sum();
    assert!(failed >= 37, "each is copied, {failed} failed");
    sender.turn_until_sent(40);
    assert_eq!(sender.peer.receive_numbers(40), (0..40).collect::<Vec<_>>());
}

#[test]
fn a_call_from_a_thread_that_cannot_be_queued_is_dropped() {
    let (sender, calls) = (Sender::new(), Arc::new(AtomicU32::new(0)));
    let count = |calls: Arc<AtomicU32>| ClosureCall::new(move |_| _ = calls.fetch_add(1, Ordering::Relaxed));
    for queued in 0..40 {
        let (first, second) = (count(calls.clone()), count(calls.clone()));
        let mut waiting = [Some(second), Some(first)].into_iter().flatten();
        FAIL_AFTER.set(0);
        let mut result = sender.reactor.remote.call(waiting.next_back().expect("a call"));
        FAIL_AFTER.set(u32::MAX);
        if result.is_err() {
            assert_eq!(result, Err(Status::NO_MEMORY));
            assert_eq!(Arc::strong_count(&calls), queued + 2, "the call is dropped");
            result = sender.reactor.remote.call(waiting.next_back().expect("another call"));
        }
        assert_eq!(result, Ok(()));
    }
    turn_until(&sender.reactor, || calls.load(Ordering::Relaxed) == 40);
}

/// Counts calls. The number of references to the counter is the number of objects that exist.
struct Count(Arc<AtomicU32>);

impl Call for Count {
    fn call(&mut self, _: &Reactor<Count>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Trigger<Count> for Count {
    fn fire(&self, _: &Reactor<Count>, _: u64) -> Status {
        self.0.fetch_add(1, Ordering::Relaxed);
        Status::PENDING
    }
}

impl NoticeCallback<Count> for Count {
    fn call(&self, _: &Reactor<Count>, _: u64) {}
}

impl Watcher<Count> for Count {
    fn ready(&self, _: &Reactor<Count>, _: Handle, _: Readiness) {}
}

impl ResolveCallback<Count> for Count {
    fn resolved(self: Box<Self>, _: &Reactor<Count>, _: u64, answer: Result<&[Addr]>) {
        self.0.fetch_add(answer.map_or(0, |addrs| addrs.len() as u32), Ordering::Relaxed);
    }
}

impl Job<Count> for Count {
    fn work(&mut self) {}

    fn done(self: Box<Self>) -> Count {
        *self
    }
}

/// A reactor whose calls are counted.
struct Counting {
    reactor: Reactor<Count>,
    calls: Arc<AtomicU32>,
}

impl Counting {
    fn new() -> Counting {
        Counting { reactor: Reactor::new(0, 0, 0).expect("a reactor"), calls: Arc::default() }
    }

    fn count(&self) -> Count {
        Count(self.calls.clone())
    }

    fn turn_until_called(&self, count: u32) {
        while self.calls.load(Ordering::Relaxed) < count {
            self.reactor.iterate(Some(TIMEOUT.as_nanos() as u64)).expect("a turn");
        }
        assert_eq!((self.calls.load(Ordering::Relaxed), Arc::strong_count(&self.calls)), (count, 1));
    }
}

#[test]
fn a_delayed_call_without_memory_is_dropped() {
    let fixture = Counting::new();
    let state = || (fixture.reactor.delayed_calls(&mut []), Arc::strong_count(&fixture.calls));
    let call = || fixture.reactor.call_later(0, fixture.count()).map(drop);
    let failed: u32 = (0..100).map(|_| fail_each_allocation(state, call)).sum();
    assert!(failed >= 3 * 5, "lists double from 4 to 128, {failed} failed");
    fixture.turn_until_called(100);
}

/// A call with this interval.
struct Tick(u64);

impl Timed for Tick {
    fn interval(&self) -> u64 {
        self.0
    }

    fn stand_in(interval: u64) -> Tick {
        Tick(interval)
    }
}

/// Ends a call that was begun, after it has moved itself or not, and returns how many calls are over: 1 or 0.
fn end(timers: &mut Timers<Tick>, due: Due<Tick>, moves_itself: bool, now: u64) -> u64 {
    let before = (timers.due(due.id), timers.last_due(due.id));
    if moves_itself && without_memory(|| timers.reset(due.id, now + 5, now)) == Err(Status::NO_MEMORY) {
        assert_eq!((timers.due(due.id), timers.last_due(due.id)), before);
    }
    without_memory(|| timers.end_call(due.id, due.call)).map_or(0, |_| 1)
}

#[test]
fn a_delayed_call_needs_no_memory_to_be_called_or_cancelled() {
    let (mut timers, random, mut now) = (Timers::new(), Random::new(1), 0);
    let (mut pending, mut made, mut ended) = (Vec::with_capacity(100_000), 0, 0);
    for step in 0..100_000 {
        // Phases in which more calls are created alternate with phases in which more end.
        match random.below(if step % 5000 < 3000 { 20 } else { 40 }) {
            0..12 => {
                without_memory(|| timers.reserve()).or_else(|_| timers.reserve()).expect("memory");
                let interval = if random.below(32) == 0 { 500 + random.below(500) } else { 0 };
                let call = Tick(interval);
                pending.push(without_memory(|| timers.insert(now + random.below(1000), call)));
                made += 1;
            }
            12..14 => _ = without_memory(|| timers.next_due()),
            14..16 => {
                let due = without_memory(|| timers.pop_until(now, now));
                ended += due.map_or(0, |due| end(&mut timers, due, random.below(4) == 0, now));
            }
            16..18 => {
                now += random.below(20);
                without_memory(|| timers.begin_pass());
                while let Some(due) = without_memory(|| timers.pop_due(now)) {
                    ended += end(&mut timers, due, random.below(4) == 0, now);
                    // It waits for the next pass, in a list that may have no memory.
                    if random.below(2) == 0 && timers.reserve().is_ok() {
                        without_memory(|| (timers.insert(now, Tick(0)), timers.next_due()));
                        made += 1;
                    }
                }
            }
            18 => {
                let Some(id) = pending.last() else { continue };
                let (due, reset) = (timers.due(*id), without_memory(|| timers.reset(*id, now, now)));
                assert!(reset != Err(Status::NO_MEMORY) || timers.due(*id) == due);
            }
            _ => {
                let Some(id) = pending.pop() else { continue };
                ended += u64::from(without_memory(|| timers.cancel(id)).is_ok());
            }
        }
    }
    ended += std::iter::from_fn(|| without_memory(|| timers.take_any())).count() as u64;
    assert!(made > 10_000 && timers.is_empty(), "{made} were made");
    assert_eq!(made, ended);
}

impl Repeat<Count> for Count {
    fn beat(&mut self, _: &Reactor<Count>, _: u64, _: u64) {}
}

impl PortCall for Count {
    fn call(&mut self, _: &Arc<Port>, _: u64, _: u64) {}
}

#[test]
fn a_periodic_call_and_a_ports_call_without_memory_are_dropped() {
    let fixture = Counting::new();
    let (reactor, record) = (&fixture.reactor, Rc::new(CallbackRecord::default()));
    let protocol = Box::new(ClosureProtocol::new(&record));
    let port = reactor.listen_udp(0, "127.0.0.1", &Options::default(), protocol).expect("a port");
    let state = || (reactor.delayed_calls(&mut []), Arc::strong_count(&fixture.calls));
    let mut boxes: Vec<Box<Count>> = (0..8).map(|_| Box::new(fixture.count())).collect();
    let mut every = || reactor.call_every(1, boxes.pop().expect("a call"));
    // The heap, the slots, the list of vacant ones, and the new calls.
    fail_each(&[0, 1, 1, 1], &mut every);
    every().expect("memory");
    drop(boxes);
    assert_eq!(state(), (1, 2));
    let call = || reactor.call_port_later(&port, 1, Box::new(fixture.count()));
    call().expect("memory for what a port makes once");
    // The sets of the port and the lists of the reactor have room for three more.
    (0..2).for_each(|_| _ = call().expect("memory"));
    let mut boxes: Vec<Box<Count>> = (0..5).map(|_| Box::new(fixture.count())).collect();
    let mut later = || reactor.call_port_later(&port, 1, boxes.pop().expect("a call"));
    fail_each(&[0, 1, 1, 1], &mut later);
    later().expect("memory");
    assert_eq!(state(), (5, 6));
    port.close(Status::OK).expect("open");
    assert_eq!(state(), (1, 2), "the port's calls end with it");
}

#[test]
fn a_trigger_without_memory_is_dropped() {
    let fixture = Counting::new();
    let mut ids = Vec::with_capacity(100);
    let before = [Event::Startup, Event::Shutdown];
    for round in 0..100 {
        let trigger = Rc::new(fixture.count());
        let add = || {
            let event = before[round % 2];
            let id = fixture.reactor.add_trigger(Phase::Before, event, trigger.clone())?;
            ids.push(id);
            Ok(())
        };
        fail_each_allocation(|| Rc::strong_count(&trigger), add);
        assert_eq!(Rc::strong_count(&trigger), 2);
    }
    let when_running = || fixture.reactor.call_when_running(fixture.count()).map(drop);
    let failed: u32 =
        (0..100).map(|_| fail_each_allocation(|| Arc::strong_count(&fixture.calls), when_running)).sum();
    assert!(failed >= 3, "from 128 places to 256, {failed} failed");
    without_memory(|| fixture.reactor.start()).expect("started");
    assert_eq!(fixture.calls.load(Ordering::Relaxed), 50, "those before a startup");
    without_memory(|| ids.iter().for_each(|id| fixture.reactor.remove_trigger(*id).expect("it is there")));
    fixture.turn_until_called(150);
}

/// Calls `act` while each of these allocations fails in turn. Memory that an earlier try has allocated is kept, so the numbers
/// count from the first allocation of each try.
fn fail_each<T: std::fmt::Debug>(allocations: &[u32], mut act: impl FnMut() -> Result<T>) {
    for nth in allocations {
        FAIL_AFTER.set(*nth);
        let result = act().map(drop);
        let has_failed = FAIL_AFTER.replace(u32::MAX) == u32::MAX;
        assert_eq!((has_failed, result), (true, Err(Status::NO_MEMORY)));
    }
}

#[test]
fn a_watch_without_memory_is_dropped() {
    let (fixture, socket) = (Counting::new(), UdpSocket::bind("127.0.0.1:0").expect("a socket"));
    let mut watchers: Vec<Box<Count>> = (0..4).map(|_| Box::new(fixture.count())).collect();
    let mut watch =
        || fixture.reactor.watch(socket.as_raw_fd(), Interest::READABLE, watchers.pop().expect("a watcher"));
    // The slots, the list of vacant slots, the table of descriptors.
    fail_each(&[0, 1, 1], &mut watch);
    watch().expect("a watch");
    assert_eq!(Arc::strong_count(&fixture.calls), 2);
}

#[test]
fn a_watch_of_notices_without_memory_is_dropped() {
    let fixture = Counting::new();
    let mut callbacks: Vec<Box<Count>> = (0..3).map(|_| Box::new(fixture.count())).collect();
    let mut watch =
        || fixture.reactor.watch_signal(libc::SIGWINCH, callbacks.pop().expect("a callback")).map(drop);
    // The slots and the list of vacant slots.
    fail_each(&[0, 1], &mut watch);
    watch().expect("a watch");
    assert_eq!(Arc::strong_count(&fixture.calls), 2);
    let fixture = Counting::new();
    let mut callbacks: Vec<Box<Count>> = (0..3).map(|_| Box::new(fixture.count())).collect();
    let mut watch = || fixture.reactor.watch_interfaces(callbacks.pop().expect("a callback")).map(drop);
    fail_each(&[0, 1], &mut watch);
    watch().expect("a watch");
    assert_eq!(Arc::strong_count(&fixture.calls), 2);
}

#[test]
fn a_look_up_without_memory_is_dropped() {
    let fixture = Counting::new();
    let mut calls: Vec<Box<Count>> = (0..7).map(|_| Box::new(fixture.count())).collect();
    let mut resolve = || fixture.reactor.resolve("127.0.0.1", 1, 0, 0, calls.pop().expect("a call"));
    // After the result: the slots and the list of vacant slots; for the deadlines the heap, the same two, and the new ones.
    fail_each(&[1, 2, 2, 2, 2, 2], &mut resolve);
    resolve().expect("a look-up");
    assert_eq!(Arc::strong_count(&fixture.calls), 2);
    fixture.turn_until_called(1);
}

#[test]
fn work_without_memory_is_dropped() {
    let fixture = Counting::new();
    fixture.reactor.suggest_thread_pool_size(1).expect("a pool");
    let mut jobs: Vec<Box<Count>> = (0..2).map(|_| Box::new(fixture.count())).collect();
    let mut work = || fixture.reactor.call_in_thread(jobs.pop().expect("a job"));
    // After its box.
    fail_each(&[1], &mut work);
    work().expect("room");
    fixture.turn_until_called(1);
    assert_eq!(Arc::strong_count(&fixture.calls), 1);
}

#[test]
fn a_port_without_memory_is_dropped() {
    let (reactor, record) =
        (Reactor::<ClosureCall>::new(0, 0, 0).expect("a reactor"), Rc::new(CallbackRecord::default()));
    let mut protocols: Vec<Box<ClosureProtocol>> =
        (0..3).map(|_| Box::new(ClosureProtocol::new(&record))).collect();
    let mut listen = || {
        let protocol = protocols.pop().expect("a protocol");
        reactor.listen_udp(0, "127.0.0.1", &Options::default(), protocol)
    };
    // After the two boxes of the port: the slots and the list of vacant slots.
    fail_each(&[2, 3], || listen().map(drop));
    listen().expect("a port");
    assert_eq!((record.dropped.get(), record.started.get()), (2, 1));
}

#[test]
fn datagrams_that_cannot_be_kept_are_discarded_and_counted() {
    let (reactor, record, peer) = (
        Reactor::<ClosureCall>::new(0, 0, 0).expect("a reactor"),
        Rc::new(CallbackRecord::default()),
        Peer::new(),
    );
    let pausing = ClosureProtocol::new(&record).on_datagram(|port, _| port.pause_reading().expect("open"));
    let port = reactor.listen_udp(0, "127.0.0.1", &Options::default(), Box::new(pausing)).expect("a port");
    let to = port.get_host().expect("an address");
    let turn = |received: usize| {
        port.resume_reading().expect("open");
        reactor.iterate(Some(TIMEOUT.as_nanos() as u64)).expect("a turn");
        assert_eq!(record.received.get(), received);
    };
    // So that what is allocated only once exists.
    (0..2).for_each(|_| peer.send(b"kept", &to));
    (1..=2).for_each(turn);
    (0..4).for_each(|_| peer.send(b"discarded", &to));
    without_memory(|| turn(3));
    assert_eq!(port.get_stats().map(|stats| stats.discarded_in), Ok(3));
    peer.send(b"after", &to);
    turn(4);
}

#[test]
fn a_report_without_memory_is_delivered_without_its_data() {
    assert_eq!(*Report::copy(b"data"), *b"data");
    assert_eq!(*without_memory(|| Report::copy(b"data")), []);
}
