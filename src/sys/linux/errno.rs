//! The calling thread's `errno`, for what must leave it alone: signal handlers.

/// Runs `body`, and has `errno` as it was before.
pub(in crate::sys) fn preserve<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: the address of the calling thread's own errno, which is valid as long as the thread lives.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let saved = unsafe { *errno };
    let result = body();
    // SAFETY: as above.
    unsafe { *errno = saved };
    result
}
