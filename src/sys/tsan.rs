//! Annotations for ThreadSanitizer, for a library that is not compiled with it.
//!
//! ThreadSanitizer follows the accesses of a program that is compiled with -fsanitize=thread, and the locks of the C
//! library. It does not see our atomic operations: without annotations, it would report a data race wherever one thread
//! hands something to another through this library. Its runtime has two functions for that. They are in the process
//! only if the program has the runtime, so they are weak symbols here, and without them an annotation costs a load and
//! a branch.
//!
//! Stable Rust has no weak symbols, but the assembler has: the words that the linker fills with the functions'
//! addresses, or with 0, are written in assembly. The symbols of those words are hidden, and do not begin with `udpr_`,
//! so that no library exports them.

/// What was [released](release) at this address happens before what the calling thread does from now on.
#[inline(always)]
pub fn acquire<T: ?Sized>(at: *const T) {
    hook::acquire(at.cast());
}

/// What the calling thread has done so far happens before what [acquires](acquire) this address afterwards.
#[inline(always)]
pub fn release<T: ?Sized>(at: *const T) {
    hook::release(at.cast());
}

/// True if the program has ThreadSanitizer's runtime.
pub fn is_active() -> bool {
    hook::is_active()
}

/// On ELF, and not under Miri, which does not execute assembly.
#[cfg(all(target_os = "linux", not(miri)))]
mod hook {
    use std::ffi::c_void;

    type Hook = Option<unsafe extern "C" fn(*const c_void)>;

    #[cfg(target_pointer_width = "64")]
    macro_rules! word {
        () => {
            ".8byte"
        };
    }
    #[cfg(target_pointer_width = "32")]
    macro_rules! word {
        () => {
            ".4byte"
        };
    }

    // Relocated once, when the library is loaded, and read-only then.
    std::arch::global_asm!(
        ".weak __tsan_acquire",
        ".weak __tsan_release",
        ".hidden hidden_udpr_tsan_acquire",
        ".hidden hidden_udpr_tsan_release",
        ".globl hidden_udpr_tsan_acquire",
        ".globl hidden_udpr_tsan_release",
        ".pushsection .data.rel.ro.hidden_udpr_tsan, \"aw\", %progbits",
        ".balign 8",
        "hidden_udpr_tsan_acquire:",
        concat!(word!(), " __tsan_acquire"),
        ".size hidden_udpr_tsan_acquire, . - hidden_udpr_tsan_acquire",
        "hidden_udpr_tsan_release:",
        concat!(word!(), " __tsan_release"),
        ".size hidden_udpr_tsan_release, . - hidden_udpr_tsan_release",
        ".popsection",
    );

    unsafe extern "C" {
        static hidden_udpr_tsan_acquire: Hook;
        static hidden_udpr_tsan_release: Hook;
    }

    #[inline(always)]
    pub(super) fn acquire(at: *const c_void) {
        // SAFETY: a word that never changes after the relocation: a function's address, or 0.
        call(unsafe { hidden_udpr_tsan_acquire }, at);
    }

    #[inline(always)]
    pub(super) fn release(at: *const c_void) {
        // SAFETY: as above.
        call(unsafe { hidden_udpr_tsan_release }, at);
    }

    pub(super) fn is_active() -> bool {
        // SAFETY: as above.
        (unsafe { hidden_udpr_tsan_release }).is_some()
    }

    #[inline(always)]
    fn call(hook: Hook, at: *const c_void) {
        if let Some(hook) = hook {
            // SAFETY: ThreadSanitizer's function takes any address: it is a name to it.
            unsafe { hook(at) };
        }
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod hook {
    pub(super) fn acquire(_at: *const ()) {}

    pub(super) fn release(_at: *const ()) {}

    pub(super) fn is_active() -> bool {
        false
    }
}
