use super::*;

#[test]
fn one_thread_at_a_time() {
    let gate = Gate::new().unwrap();
    let entry = gate.enter().unwrap();
    assert!(!entry.is_nested() && gate.enter().unwrap().is_nested());
    std::thread::scope(|scope| {
        let other = scope.spawn(|| gate.enter().err());
        assert_eq!(other.join().unwrap(), Some(Status::WRONG_THREAD));
    });
    drop(entry);
    std::thread::scope(|scope| assert!(scope.spawn(|| gate.enter().is_ok()).join().unwrap()));
}

#[test]
fn pinned_to_a_thread() {
    let gate = Gate::new().unwrap();
    gate.enter().unwrap().pin();
    assert!(!gate.enter().unwrap().is_nested());
    std::thread::scope(|scope| {
        let other = scope.spawn(|| gate.enter().err());
        assert_eq!(other.join().unwrap(), Some(Status::WRONG_THREAD));
        scope.spawn(|| gate.unpin()).join().unwrap();
        assert_eq!(scope.spawn(|| gate.enter().err()).join().unwrap(), Some(Status::WRONG_THREAD));
        gate.unpin();
        assert_eq!(scope.spawn(|| gate.enter().err()).join().unwrap(), None);
    });
}

#[test]
fn closed_and_dead() {
    let gate = Gate::new().unwrap();
    let entry = gate.enter().unwrap();
    gate.calm();
    assert!(gate.is_calm() && !gate.is_lost());
    gate.kill();
    assert!(gate.is_lost() && !gate.is_calm());
    assert_eq!(gate.enter().err(), Some(Status::PANIC));
    assert_eq!(gate.enter_dead().err(), Some(Status::REENTRANT));
    std::thread::scope(|scope| {
        let other = scope.spawn(|| gate.enter_dead().err());
        assert_eq!(other.join().unwrap(), Some(Status::WRONG_THREAD));
    });
    drop(entry);
    assert_eq!((gate.is_lost(), gate.enter().err()), (true, Some(Status::PANIC)));
    assert!(gate.enter_dead().is_ok());
    gate.close();
    assert_eq!(gate.enter().err(), Some(Status::CLOSED));
}

/// As in a forked child, where the page is wiped.
fn forked() -> Gate {
    let gate = Gate::new().unwrap();
    gate.word().store(FORKED, Ordering::Release);
    gate
}

fn elsewhere(gate: &Gate) -> Status {
    let enter = || gate.enter_forked().err().unwrap_or(Status::OK);
    std::thread::scope(|scope| scope.spawn(enter).join().unwrap())
}

#[test]
fn a_forked_gate_lets_one_thread_in() {
    let gate = forked();
    let inside = gate.enter_forked().unwrap();
    assert_eq!(elsewhere(&gate), Status::WRONG_THREAD);
    assert!(gate.is_forked() && gate.is_lost());
    assert_eq!((gate.enter().err(), gate.check_open()), (Some(Status::CLOSED), Err(Status::CLOSED)));
    assert_eq!(inside.revive(|| Err(Status::NO_FILES)), Err(Status::NO_FILES));
    assert!(gate.is_forked());
    assert_eq!(gate.enter_forked().unwrap().revive(|| Ok(())), Ok(()));
    assert!(!gate.is_forked() && !gate.is_lost() && gate.enter().is_ok());
    assert_eq!(elsewhere(&gate), Status::NOT_SUPPORTED);
}

#[test]
fn a_forked_gate_that_was_closed_stays_closed() {
    let gate = forked();
    gate.enter_forked().unwrap().close();
    assert!(gate.is_forked() && gate.is_lost());
    assert_eq!(elsewhere(&gate), Status::WRONG_THREAD);
    assert_eq!(gate.enter_forked().err(), Some(Status::CLOSED));
    assert_eq!(gate.enter().err(), Some(Status::CLOSED));
}

#[test]
fn a_thread_that_was_inside_at_the_fork_keeps_a_child_from_reviving() {
    let gate = Gate::new().unwrap();
    let entry = gate.enter().unwrap();
    gate.word().store(FORKED, Ordering::Release);
    assert_eq!(gate.enter_forked().unwrap().revive(|| Ok(())), Err(Status::REENTRANT));
    let revive = || gate.enter_forked().unwrap().revive(|| Ok(()));
    let other = std::thread::scope(|scope| scope.spawn(revive).join().unwrap());
    assert_eq!(other, Err(Status::WRONG_THREAD));
    drop(entry);
    assert!(gate.is_forked());
    assert_eq!(gate.enter_forked().unwrap().revive(|| Ok(())), Ok(()));
}

/// As if the page could not be wiped.
fn unwiped() -> Gate {
    let gate = Gate::new().unwrap();
    gate.process.store(own_process(), Ordering::Relaxed);
    gate
}

#[test]
fn without_the_wiped_page_all_is_the_same() {
    let gate = unwiped();
    let mut entry = gate.enter().unwrap();
    assert!(!entry.is_nested() && gate.enter().unwrap().is_nested());
    assert!(!gate.is_inside() && !gate.is_lost() && !gate.is_forked());
    gate.calm();
    assert!(!gate.is_calm());
    std::thread::scope(|scope| {
        let other = scope.spawn(|| gate.enter().err());
        assert_eq!(other.join().unwrap(), Some(Status::WRONG_THREAD));
    });
    entry.pin();
    drop(entry);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| gate.enter().err());
        assert_eq!(other.join().unwrap(), Some(Status::WRONG_THREAD));
    });
    let entry = gate.enter().unwrap();
    gate.kill();
    assert_eq!((gate.enter().err(), gate.enter_dead().err()), (Some(Status::PANIC), Some(Status::REENTRANT)));
    drop(entry);
    let entry = gate.enter_dead().unwrap();
    assert!(gate.enter().unwrap().is_nested());
    drop(entry);
    gate.close();
    assert_eq!(gate.enter().err(), Some(Status::CLOSED));
}

/// The same words in another process, as a forked child has them.
fn fork(gate: &Gate) {
    gate.process.store(own_process() + 1, Ordering::Relaxed);
}

#[test]
fn without_the_wiped_page_a_child_is_found_out() {
    let gate = unwiped();
    fork(&gate);
    assert_eq!((gate.enter().err(), gate.is_forked(), gate.is_lost()), (Some(Status::CLOSED), true, true));
    gate.enter_forked().unwrap().revive(|| Ok(())).unwrap();
    assert!(gate.enter().is_ok() && !gate.is_forked());
    let entry = gate.enter().unwrap();
    fork(&gate);
    assert_eq!((gate.enter().err(), gate.check_open()), (Some(Status::CLOSED), Err(Status::CLOSED)));
    let child = gate.enter_forked().unwrap();
    assert_eq!(child.revive(|| Ok(())).err(), Some(Status::REENTRANT));
    drop(entry);
    assert!(gate.is_forked());
}

/// A child whose parent was forked while another of its threads marked the word.
#[test]
fn without_the_wiped_page_nobody_waits_for_the_parent() {
    let gate = unwiped();
    gate.process.store(-(own_process() + 1), Ordering::Relaxed);
    assert_eq!(gate.enter().err(), Some(Status::CLOSED));
}
