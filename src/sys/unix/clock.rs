//! The one place that reads the clock.

/// Nanoseconds of the monotonic clock (`CLOCK_MONOTONIC`, clock_gettime(2)): it is never set back, and stops while the
/// system is suspended.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime(2) writes one timespec. It fails for unknown clocks only.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Busy-waits for so many nanoseconds: for times that are shorter than putting the thread to sleep and waking it.
pub fn spin_for(nanoseconds: u64) {
    let end = now() + nanoseconds;
    while now() < end {
        std::hint::spin_loop();
    }
}
