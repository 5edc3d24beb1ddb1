//! A page of memory that a forked child finds wiped.

use super::check;
use std::io;
use std::ops::Deref;
use std::ptr::NonNull;

/// A value on a page of its own, which is all zeros at first, and again in a forked child.
#[derive(Debug)]
pub(in crate::sys) struct WipedPage<T> {
    value: NonNull<T>,
    size: usize,
}

// SAFETY: it owns the page, so it is as good as a Box of the value.
unsafe impl<T: Send> Send for WipedPage<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for WipedPage<T> {}

impl<T> WipedPage<T> {
    /// A page of zeros, and whether a forked child will find it wiped (MADV_WIPEONFORK, madvise(2)): a sandbox or a kernel before
    /// 4.14 may refuse that. Errors: ENOMEM.
    ///
    /// # Safety
    /// All bits of a `T` may be zero, also after it was written to.
    pub(in crate::sys) unsafe fn new() -> io::Result<(WipedPage<T>, bool)> {
        // SAFETY: sysconf(3) takes a constant.
        let size = check(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })?;
        const { assert!(size_of::<T>() <= 4096) };
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new anonymous mapping, at an address that the kernel chooses.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), size, protection, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let value = NonNull::new(page.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: the page was mapped above with this size.
        let is_wiped = unsafe { libc::madvise(page, size, libc::MADV_WIPEONFORK) } == 0;
        Ok((WipedPage { value, size }, is_wiped))
    }
}

impl<T> Deref for WipedPage<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the mapping lives as long as self, is aligned to a page, and the caller of `new` promised that zeros are a value.
        unsafe { self.value.as_ref() }
    }
}

impl<T> Drop for WipedPage<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made, to which nothing refers any more.
        unsafe { libc::munmap(self.value.as_ptr().cast(), self.size) };
    }
}
