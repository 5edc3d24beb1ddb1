//! Uses what two Rust libraries in one program would both bring: panics, threads, allocation.

/// 42, when this library's own standard library works.
#[no_mangle]
pub extern "C" fn other_answer() -> u32 {
    let caught = std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(40u32)));
    let forty = caught.unwrap_err().downcast::<u32>().map_or(0, |number| *number);
    std::thread::spawn(move || forty + 2).join().unwrap_or(0)
}
