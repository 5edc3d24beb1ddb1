use super::*;

#[test]
fn one_thread_at_a_time() {
    let owner = OwnerLock::new().unwrap();
    let entry = owner.enter().unwrap();
    assert!(!entry.is_nested() && owner.enter().unwrap().is_nested());
    std::thread::scope(|scope| {
        let other = scope.spawn(|| owner.enter().err());
        assert_eq!(other.join().unwrap(), Some(Status::WRONG_THREAD));
    });
    drop(entry);
    std::thread::scope(|scope| assert!(scope.spawn(|| owner.enter().is_ok()).join().unwrap()));
}

#[test]
fn pinned_to_a_thread() {
    let owner = OwnerLock::new().unwrap();
    owner.enter().unwrap().pin();
    assert!(!owner.enter().unwrap().is_nested());
    std::thread::scope(|scope| {
        let other = scope.spawn(|| owner.enter().err());
        assert_eq!(other.join().unwrap(), Some(Status::WRONG_THREAD));
        scope.spawn(|| owner.unpin()).join().unwrap();
        assert_eq!(scope.spawn(|| owner.enter().err()).join().unwrap(), Some(Status::WRONG_THREAD));
        owner.unpin();
        assert_eq!(scope.spawn(|| owner.enter().err()).join().unwrap(), None);
    });
}

#[test]
fn closed_and_dead() {
    let owner = OwnerLock::new().unwrap();
    let entry = owner.enter().unwrap();
    owner.mark_batch_valid();
    assert_eq!(owner.is_batch_valid(), owner.is_wiped_on_fork());
    assert!(!owner.is_unusable());
    owner.poison();
    assert!(owner.is_unusable() && !owner.is_batch_valid());
    assert_eq!(owner.enter().err(), Some(Status::PANIC));
    assert_eq!(owner.enter_poisoned().err(), Some(Status::REENTRANT));
    std::thread::scope(|scope| {
        let other = scope.spawn(|| owner.enter_poisoned().err());
        assert_eq!(other.join().unwrap(), Some(Status::WRONG_THREAD));
    });
    drop(entry);
    assert_eq!((owner.is_unusable(), owner.enter().err()), (true, Some(Status::PANIC)));
    assert!(owner.enter_poisoned().is_ok());
    owner.close();
    assert_eq!(owner.enter().err(), Some(Status::CLOSED));
}

/// As in a forked child, where the page is wiped.
fn forked() -> OwnerLock {
    let owner = OwnerLock::new().unwrap();
    owner.word().store(FORKED, Ordering::Release);
    owner
}

fn elsewhere(owner: &OwnerLock) -> Status {
    let enter = || owner.enter_forked().err().unwrap_or(Status::OK);
    std::thread::scope(|scope| scope.spawn(enter).join().unwrap())
}

#[test]
fn a_forked_lock_lets_one_thread_in() {
    let owner = forked();
    let inside = owner.enter_forked().unwrap();
    assert_eq!(elsewhere(&owner), Status::WRONG_THREAD);
    assert!(owner.is_forked() && owner.is_unusable());
    assert_eq!((owner.enter().err(), owner.check_open()), (Some(Status::CLOSED), Err(Status::CLOSED)));
    assert_eq!(inside.revive(|| Err(Status::NO_FILES)), Err(Status::NO_FILES));
    assert!(owner.is_forked());
    assert_eq!(owner.enter_forked().unwrap().revive(|| Ok(())), Ok(()));
    assert!(!owner.is_forked() && !owner.is_unusable() && owner.enter().is_ok());
    assert_eq!(elsewhere(&owner), Status::NOT_SUPPORTED);
}

#[test]
fn a_forked_lock_that_was_closed_stays_closed() {
    let owner = forked();
    owner.enter_forked().unwrap().close();
    assert!(owner.is_forked() && owner.is_unusable());
    assert_eq!(elsewhere(&owner), Status::WRONG_THREAD);
    assert_eq!(owner.enter_forked().err(), Some(Status::CLOSED));
    assert_eq!(owner.enter().err(), Some(Status::CLOSED));
}

#[test]
fn a_thread_that_was_inside_at_the_fork_keeps_a_child_from_reviving() {
    let owner = OwnerLock::new().unwrap();
    let entry = owner.enter().unwrap();
    owner.word().store(FORKED, Ordering::Release);
    assert_eq!(owner.enter_forked().unwrap().revive(|| Ok(())), Err(Status::REENTRANT));
    let revive = || owner.enter_forked().unwrap().revive(|| Ok(()));
    let other = std::thread::scope(|scope| scope.spawn(revive).join().unwrap());
    assert_eq!(other, Err(Status::WRONG_THREAD));
    drop(entry);
    assert!(owner.is_forked());
    assert_eq!(owner.enter_forked().unwrap().revive(|| Ok(())), Ok(()));
}

/// As if the page could not be wiped.
fn unwiped() -> OwnerLock {
    let owner = OwnerLock::new().unwrap();
    owner.process.store(process_id(), Ordering::Relaxed);
    owner
}

#[test]
fn without_the_wiped_page_all_is_the_same() {
    let owner = unwiped();
    let mut entry = owner.enter().unwrap();
    assert!(!entry.is_nested() && owner.enter().unwrap().is_nested());
    assert!(!owner.is_inside() && !owner.is_unusable() && !owner.is_forked());
    owner.mark_batch_valid();
    assert!(!owner.is_batch_valid());
    std::thread::scope(|scope| {
        let other = scope.spawn(|| owner.enter().err());
        assert_eq!(other.join().unwrap(), Some(Status::WRONG_THREAD));
    });
    entry.pin();
    drop(entry);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| owner.enter().err());
        assert_eq!(other.join().unwrap(), Some(Status::WRONG_THREAD));
    });
    let entry = owner.enter().unwrap();
    owner.poison();
    assert_eq!(
        (owner.enter().err(), owner.enter_poisoned().err()),
        (Some(Status::PANIC), Some(Status::REENTRANT))
    );
    drop(entry);
    let entry = owner.enter_poisoned().unwrap();
    assert!(owner.enter().unwrap().is_nested());
    drop(entry);
    owner.close();
    assert_eq!(owner.enter().err(), Some(Status::CLOSED));
}

/// The same words in another process, as a forked child has them.
fn fork(owner: &OwnerLock) {
    owner.process.store(process_id() + 1, Ordering::Relaxed);
}

#[test]
fn without_the_wiped_page_a_child_is_found_out() {
    let owner = unwiped();
    fork(&owner);
    assert_eq!(
        (owner.enter().err(), owner.is_forked(), owner.is_unusable()),
        (Some(Status::CLOSED), true, true)
    );
    owner.enter_forked().unwrap().revive(|| Ok(())).unwrap();
    assert!(owner.enter().is_ok() && !owner.is_forked());
    let entry = owner.enter().unwrap();
    fork(&owner);
    assert_eq!((owner.enter().err(), owner.check_open()), (Some(Status::CLOSED), Err(Status::CLOSED)));
    let child = owner.enter_forked().unwrap();
    assert_eq!(child.revive(|| Ok(())).err(), Some(Status::REENTRANT));
    drop(entry);
    assert!(owner.is_forked());
}

/// A child whose parent was forked while another of its threads marked the word.
#[test]
fn without_the_wiped_page_nobody_waits_for_the_parent() {
    let owner = unwiped();
    owner.process.store(-(process_id() + 1), Ordering::Relaxed);
    assert_eq!(owner.enter().err(), Some(Status::CLOSED));
}
