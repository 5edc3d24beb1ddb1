//! Of the table of delayed calls: what a model cannot see.

use super::*;
use std::rc::Rc;

/// A call that is made once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Once<T>(T);

impl<T: Default> Timed for Once<T> {
    fn interval(&self) -> u64 {
        0
    }

    fn stand_in(_: u64) -> Self {
        Once(T::default())
    }
}

/// Ends a call that was begun.
fn end<T: Default>(timers: &mut Timers<Once<T>>, due: Option<Due<Once<T>>>) -> Option<T> {
    let due = due?;
    timers.end_call(due.id, due.call).map(|Once(call)| call)
}

/// Calls everything that is due in the present pass.
fn fire_pass<T: Default>(timers: &mut Timers<Once<T>>, now: u64) -> Vec<T> {
    let next = || {
        let due = timers.pop_due(now);
        end(timers, due)
    };
    std::iter::from_fn(next).collect()
}

/// Calls everything that is due in a pass of its own.
fn fire<T: Default>(timers: &mut Timers<Once<T>>, now: u64) -> Vec<T> {
    timers.begin_pass();
    fire_pass(timers, now)
}

#[test]
fn a_timer_is_as_small_as_was_measured() {
    assert_eq!(size_of::<Timer<[u64; 3]>>(), 36);
    assert_eq!(size_of::<Option<Timer<[u64; 3]>>>(), 36);
    assert_eq!(size_of::<Entry>(), 16);
}

#[test]
fn calls_are_handed_back_not_dropped() {
    let call = Rc::new(());
    let mut timers = Timers::new();
    let ids: Vec<_> = (0..200).map(|due| timers.insert(due, Once(call.clone()))).collect();
    let mut back: Vec<_> = ids.iter().take(150).map(|&id| timers.cancel(id).unwrap().0).collect();
    back.extend(fire(&mut timers, 170));
    let due = timers.pop_until(180, 170);
    back.extend(end(&mut timers, due));
    back.extend(std::iter::from_fn(|| timers.take_any()).map(|Once(call)| call));
    assert_eq!((back.len(), Rc::strong_count(&call), timers.len()), (200, 201, 0));
}

#[test]
fn entries_stay_in_proportion_to_the_calls() {
    let mut timers = Timers::new();
    let bound = |timers: &Timers<Once<()>>| {
        timers.heap.len() + timers.fresh.len() + timers.held.len() <= 2 * timers.len() + STALE_SLACK + 1
    };
    let id = timers.insert(1_000_000, Once(()));
    for step in 0..10_000 {
        timers.reset(id, 900_000 - step, 0).unwrap();
        assert!(bound(&timers));
        timers.reset(id, 1_000_000, 0).unwrap();
        let other = timers.insert(2_000_000, Once(()));
        assert_eq!(timers.next_due(), Some(1_000_000), "files the entry again where one was before");
        timers.cancel(other).unwrap();
        assert!(bound(&timers));
    }
    let many: Vec<_> = (0..10_000).map(|due| timers.insert(due, Once(()))).collect();
    for id in many.iter().skip(1) {
        timers.cancel(*id).unwrap();
        assert!(bound(&timers));
    }
    assert_eq!(fire(&mut timers, 1_000_000).len(), 2);
}

#[test]
fn a_call_with_entries_at_every_instant_comes_due_once() {
    let mut timers = Timers::new();
    let id = timers.insert(100, Once("moved"));
    timers.insert(45, Once("other"));
    for due in [50, 40, 60, 30, 50] {
        timers.reset(id, due, 0).unwrap();
    }
    assert_eq!(timers.next_due(), Some(45));
    assert_eq!(fire(&mut timers, 1000), ["other", "moved"]);
    assert_eq!((timers.next_due(), timers.heap.len()), (None, 0));
}

#[test]
fn orders_are_dealt_out_anew_when_they_run_out() {
    let mut timers = Timers::new();
    timers.next_order = NonZeroU32::new(u32::MAX - 11).unwrap();
    let ids: Vec<_> = (0..3).map(|call| timers.insert(7, Once(call))).collect();
    timers.cancel(ids[1]).unwrap();
    timers.begin_pass();
    for call in 3..8 {
        timers.insert(7, Once(call));
    }
    assert_eq!(timers.next_order.get(), 16);
    assert_eq!(fire_pass(&mut timers, 7), [0, 2]);
    timers.reset(ids[0], 1, 0).unwrap_err();
    assert_eq!(fire(&mut timers, 7), [3, 4, 5, 6, 7]);
}

#[test]
fn a_pass_survives_new_orders_when_all_pending_calls_belong_to_it() {
    let mut timers = Timers::new();
    timers.next_order = NonZeroU32::new(u32::MAX - 5).unwrap();
    timers.insert(1, Once("first"));
    timers.insert(1, Once("second"));
    timers.begin_pass();
    timers.insert(1, Once("next pass"));
    assert_eq!(fire_pass(&mut timers, 1), ["first", "second"]);
    assert_eq!(fire(&mut timers, 1), ["next pass"]);
}

#[test]
fn new_orders_keep_the_calls_that_are_periodic() {
    struct Periodic;
    impl Timed for Periodic {
        fn interval(&self) -> u64 {
            10
        }

        fn stand_in(_: u64) -> Self {
            Periodic
        }
    }
    let mut timers = Timers::new();
    timers.next_order = NonZeroU32::new(u32::MAX - 3).unwrap();
    let id = timers.insert(5, Periodic);
    timers.insert(NEVER, Periodic);
    let due = timers.pop_until(37, 36).unwrap();
    assert_eq!((due.id, due.instant, due.beats), (id, 5, 4));
    assert_eq!((timers.next_due(), timers.last_due(id)), (Some(45), Ok(45)));
}
