//! The one place that reads the clock.

use windows_sys::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};

const SECOND: u64 = 1_000_000_000;

/// Nanoseconds of the performance counter: it is never set back, and goes on while the system is suspended.
pub fn now() -> u64 {
    let (mut ticks, mut frequency) = (0, 0);
    // SAFETY: it writes one integer, and always succeeds.
    unsafe { QueryPerformanceCounter(&mut ticks) };
    // SAFETY: as above.
    unsafe { QueryPerformanceFrequency(&mut frequency) };
    nanoseconds(ticks as u64, frequency as u64)
}

fn nanoseconds(ticks: u64, frequency: u64) -> u64 {
    ticks / frequency * SECOND + ticks % frequency * SECOND / frequency
}

/// Busy-waits for so many nanoseconds: for times that are shorter than putting the thread to sleep and waking it.
pub fn spin_for(nanoseconds: u64) {
    let end = now() + nanoseconds;
    while now() < end {
        std::hint::spin_loop();
    }
}
