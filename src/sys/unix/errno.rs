//! The calling thread's `errno`.

#[cfg(target_os = "linux")]
use libc::__errno_location as errno_location;
#[cfg(not(target_os = "linux"))]
use libc::__error as errno_location;

/// Runs `body` and leaves the calling thread's `errno` as it was before, as signal handlers must.
pub(in crate::sys) fn preserve<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: the address of the calling thread's own errno, which is valid as long as the thread lives.
    let errno = unsafe { errno_location() };
    // SAFETY: as above.
    let saved = unsafe { *errno };
    let result = body();
    // SAFETY: as above.
    unsafe { *errno = saved };
    result
}
