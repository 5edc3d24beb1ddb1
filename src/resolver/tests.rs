use super::*;

fn query(name: &str) -> Query {
    Query { name: CString::new(name).unwrap(), port: 1, version: 0 }
}

/// `count` that wait, each with its number.
fn waiting(count: usize) -> (Lookups<usize>, Vec<u64>) {
    let mut lookups = Lookups::default();
    let ids = (0..count).map(|number| lookups.add(10, Some(query("a")), number)).collect();
    (lookups, ids)
}

/// Begins all that may begin now.
fn begin_all<T>(lookups: &mut Lookups<T>, now: u64) -> Vec<u64> {
    let begun = || match lookups.begin(now) {
        Next::Begin(id, _) => Some(id),
        _ => None,
    };
    std::iter::from_fn(begun).collect()
}

#[test]
fn one_answer_each() {
    let mut lookups = Lookups::default();
    let (early, late) = (lookups.add(10, None, 'a'), lookups.add(20, None, 'b'));
    assert_eq!(lookups.next_deadline(), Some(10));
    assert_eq!(lookups.complete(early, Err(Status::CANCELLED)), Ok(()));
    assert_eq!(lookups.complete(early, Ok(Vec::new())), Err(Status::NOT_FOUND));
    assert_eq!(lookups.next_deadline(), Some(20));
    let results = lookups.take_results(20);
    assert_eq!(results, [(early, Err(Status::CANCELLED)), (late, Err(Status::TIMED_OUT))]);
    assert_eq!(lookups.complete(late, Ok(Vec::new())), Err(Status::NOT_FOUND));
    assert_eq!(lookups.take(early), Some(('a', false)));
    assert_eq!((lookups.take(late), lookups.take(late)), (Some(('b', false)), None));
}

#[test]
fn an_answer_that_was_not_told_can_be_cancelled() {
    let mut lookups = Lookups::default();
    let (known, open) = (lookups.add(10, None, 'a'), lookups.add(10, None, 'b'));
    assert_eq!(lookups.complete(known, Ok(Vec::new())), Ok(()));
    assert_eq!((lookups.cancel(known), lookups.cancel(open)), (Ok(()), Ok(())));
    assert_eq!(
        (lookups.cancel(known), lookups.cancel(open)),
        (Err(Status::NOT_FOUND), Err(Status::NOT_FOUND))
    );
    assert_eq!(lookups.take_results(0).len(), 2);
    assert_eq!((lookups.take(known), lookups.take(open)), (Some(('a', true)), Some(('b', true))));
    assert_eq!(lookups.cancel(known), Err(Status::NOT_FOUND));
}

#[test]
fn they_begin_in_order_as_many_as_may() {
    let (mut lookups, ids) = waiting(UNDER_WAY_MAX + 2);
    assert_eq!(begin_all(&mut lookups, 0), ids[..UNDER_WAY_MAX]);
    assert_eq!((lookups.begin(0), lookups.threads()), (Next::Nothing, UNDER_WAY_MAX));
    lookups.thread_ended(ids[3], Ok(Vec::new()));
    assert_eq!(lookups.threads(), UNDER_WAY_MAX - 1);
    assert_eq!(lookups.begin(0), Next::Begin(ids[UNDER_WAY_MAX], query("a")));
    assert_eq!(lookups.begin(0), Next::Nothing);
}

#[test]
fn one_that_was_given_up_leaves_its_place_to_another() {
    let (mut lookups, ids) = waiting(UNDER_WAY_MAX + 3);
    begin_all(&mut lookups, 0);
    let [cancelled, next, last] = ids[UNDER_WAY_MAX..] else { unreachable!("three") };
    lookups.cancel(cancelled).unwrap(); // it waited: it never begins
    lookups.cancel(ids[0]).unwrap();
    assert_eq!(begin_all(&mut lookups, 0), [next]);
    assert_eq!(lookups.threads(), UNDER_WAY_MAX + 1);
    // It answers too late: nothing changes but the number of threads.
    lookups.thread_ended(ids[0], Ok(Vec::new()));
    assert_eq!((lookups.begin(0), lookups.threads()), (Next::Nothing, UNDER_WAY_MAX));
    // A time that is up counts as well.
    assert_eq!(lookups.take_results(10).len(), UNDER_WAY_MAX + 3);
    assert_eq!((lookups.begin(10), lookups.take(last).is_some()), (Next::Nothing, true));
}

#[test]
fn a_burst_that_nobody_waits_for_does_not_use_up_the_threads() {
    let (mut lookups, mut now) = (Lookups::default(), 1);
    let give_up_one = |lookups: &mut Lookups<()>, now| {
        let id = lookups.add(u64::MAX, Some(query("dead")), ());
        let next = lookups.begin(now);
        lookups.cancel(id).unwrap();
        lookups.take_results(now);
        lookups.take(id);
        next
    };
    for _ in 0..UNDER_WAY_MAX {
        assert!(matches!(give_up_one(&mut lookups, now), Next::Begin(..)));
    }
    for _ in 0..1000 {
        assert_eq!(give_up_one(&mut lookups, now), Next::NotBefore(now + PACE));
    }
    assert_eq!((lookups.threads(), lookups.waiting, lookups.under_way), (UNDER_WAY_MAX, 0, 0));
    for threads in UNDER_WAY_MAX..THREADS_MAX {
        now += PACE;
        assert_eq!(lookups.threads(), threads);
        assert!(matches!(give_up_one(&mut lookups, now), Next::Begin(..)));
    }
    assert_eq!(give_up_one(&mut lookups, u64::MAX), Next::Nothing);
    assert!(lookups.queue.len() <= UNDER_WAY_MAX + 2, "given up, they leave the queue");
}

#[test]
fn one_without_a_thread_is_the_next_one_again() {
    let (mut lookups, ids) = waiting(2);
    assert_eq!(lookups.begin(0), Next::Begin(ids[0], query("a")));
    lookups.requeue(ids[0], query("a"));
    assert_eq!((lookups.threads(), begin_all(&mut lookups, 0)), (0, ids));
}

#[test]
fn whatever_happens_nothing_stays() {
    let (mut lookups, mut ids, mut state) = (Lookups::default(), Vec::new(), 1u64);
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % bound
    };
    let mut running = Vec::new();
    for now in 0..20_000 {
        match below(5) {
            0 | 1 => ids.push(lookups.add(now + below(50) as u64, Some(query("a")), ())),
            2 => running.extend(begin_all(&mut lookups, now * PACE)),
            3 if !running.is_empty() => {
                let id = running.swap_remove(below(running.len()));
                lookups.thread_ended(id, Ok(Vec::new()));
            }
            _ if !ids.is_empty() => drop(lookups.cancel(ids.swap_remove(below(ids.len())))),
            _ => {}
        }
        for (id, _) in lookups.take_results(now) {
            assert!(lookups.take(id).is_some());
        }
        assert_eq!(lookups.threads(), running.len());
        assert!(lookups.under_way <= UNDER_WAY_MAX && running.len() <= THREADS_MAX);
        assert!(lookups.queue.len() <= 2 * lookups.waiting + UNDER_WAY_MAX + 1);
    }
    running.drain(..).for_each(|id| lookups.thread_ended(id, Ok(Vec::new())));
    lookups.complete_all(Status::CANCELLED);
    for (id, _) in lookups.take_results(0) {
        lookups.take(id);
    }
    assert!(lookups.is_empty());
    assert_eq!((lookups.waiting, lookups.under_way, lookups.threads()), (0, 0, 0));
}
