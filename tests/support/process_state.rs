//! The descriptors of the process. Tests that count them run one at a time.

use super::ClosureCall;
use std::sync::{Mutex, MutexGuard, PoisonError};
use udpr::reactor::Reactor;

static ALONE: Mutex<()> = Mutex::new(());

/// Waits until no other test holds the guard.
pub(crate) fn exclusive() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts the descriptors of this process, except those of files: for a new thread of another test, glibc opens a file for a
/// moment to count the processors (`get_nprocs`, for malloc's arenas).
pub(crate) fn open_descriptors() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").expect("procfs").flatten();
    links.filter_map(|entry| std::fs::read_link(entry.path()).ok()).filter(|link| !link.is_absolute()).count()
}

/// Counts the descriptors that the reactor's epoll set watches, as listed by the kernel (proc_pid_fdinfo(5)).
pub(crate) fn watched_descriptors(reactor: &Reactor<ClosureCall>) -> usize {
    let path = format!("/proc/self/fdinfo/{}", reactor.context().poller.handle().expect("a descriptor"));
    let info = std::fs::read_to_string(path).expect("procfs");
    info.lines().filter(|line| line.starts_with("tfd:")).count()
}
