//! Uses parts of Rust's standard library of which each Rust library in a program has a copy: panics, threads, allocation.

/// Returns 42 if this library's copy of the standard library works.
#[no_mangle]
pub extern "C" fn other_answer() -> u32 {
    let caught = std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(40u32)));
    let forty = caught.unwrap_err().downcast::<u32>().map_or(0, |number| *number);
    std::thread::spawn(move || forty + 2).join().unwrap_or(0)
}
