//! What a process has open: the tests that count it run one at a time.

use super::Later;
use std::sync::{Mutex, MutexGuard, PoisonError};
use udpr::reactor::Reactor;

static ALONE: Mutex<()> = Mutex::new(());

/// Until the answer is dropped nobody else who asks for it runs.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This process's descriptors, but for those of files: another test's new thread has one for a moment, in which glibc asks how
/// many processors there are (`get_nprocs`, for its arena of memory).
pub(crate) fn descriptors() -> usize {
    let links = std::fs::read_dir("/proc/self/fd").expect("procfs").flatten();
    links.filter_map(|entry| std::fs::read_link(entry.path()).ok()).filter(|link| !link.is_absolute()).count()
}

/// What the reactor's epoll set watches, as the kernel lists it (proc_pid_fdinfo(5)).
pub(crate) fn watched(reactor: &Reactor<Later>) -> usize {
    let path = format!("/proc/self/fdinfo/{}", reactor.context().epoll.fd());
    let info = std::fs::read_to_string(path).expect("procfs");
    info.lines().filter(|line| line.starts_with("tfd:")).count()
}
