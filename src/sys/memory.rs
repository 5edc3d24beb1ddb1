//! Memory that is also accessed through stored raw pointers: the kernel's message headers, and the datagrams that a C
//! program receives.
//!
//! A `Box` is not enough. Whenever a box is moved, or its content is borrowed mutably, the pointers that were made from it
//! before become invalid in Rust's aliasing model. Here each allocation is owned by one root pointer. Every pointer that is kept
//! derives from the root, and references are made from it for one use at a time, so that neither moving the owner nor
//! reading and writing through it invalidates what was handed out.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Bytes of a cache line on all common processors.
const CACHE_LINE: usize = 64;

/// An array on the heap whose elements keep their addresses.
#[derive(Debug)]
pub(super) struct StableArray<T, const N: usize>(NonNull<[T; N]>);

impl<T, const N: usize> StableArray<T, N> {
    /// The array is made element by element in its place: an array of this size does not belong on the stack.
    pub(super) fn from_fn(make: impl FnMut(usize) -> T) -> StableArray<T, N> {
        let elements: Box<[T]> = (0..N).map(make).collect();
        assert_eq!(elements.len(), N);
        StableArray(NonNull::from(Box::leak(elements)).cast())
    }

    /// A pointer to one element, or past the last, which stays valid as long as the array.
    pub(super) fn at(&self, index: usize) -> *mut T {
        assert!(index <= N);
        self.0.as_ptr().cast::<T>().wrapping_add(index)
    }
}

impl<T, const N: usize> Deref for StableArray<T, N> {
    type Target = [T; N];

    #[inline]
    fn deref(&self) -> &[T; N] {
        // SAFETY: N elements, leaked by from_fn and freed by drop alone.
        unsafe { self.0.as_ref() }
    }
}

impl<T, const N: usize> DerefMut for StableArray<T, N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T; N] {
        // SAFETY: as in deref; what holds a pointer uses it in a call that has no reference.
        unsafe { self.0.as_mut() }
    }
}

impl<T, const N: usize> Drop for StableArray<T, N> {
    fn drop(&mut self) {
        // SAFETY: leaked by from_fn; an array has the layout of a slice of its length.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// Zeroed bytes that begin on a cache line. The system provides the memory only when it is written to.
///
/// The kernel copies datagrams up to a third more slowly to memory that is not aligned to cache lines. If the allocator
/// were asked for the alignment, the standard library would write the zeros itself, and so touch all of it.
#[derive(Debug)]
pub(super) struct ZeroedBytes {
    allocation: NonNull<[u8]>,
    first: *mut u8,
    len: usize,
}

impl ZeroedBytes {
    pub(super) fn new(len: usize) -> ZeroedBytes {
        let allocation = NonNull::from(Box::leak(vec![0u8; len + CACHE_LINE - 1].into_boxed_slice()));
        let bytes = allocation.as_ptr().cast::<u8>();
        let skipped = bytes.addr().next_multiple_of(CACHE_LINE) - bytes.addr();
        ZeroedBytes { allocation, first: bytes.wrapping_add(skipped), len }
    }

    /// A pointer to one of the bytes, or past the last, which stays valid as long as they do.
    pub(super) fn at(&self, start: usize) -> *mut u8 {
        self.first.wrapping_add(start)
    }

    /// The same, where `len` of them follow.
    #[inline]
    pub(super) fn piece(&self, start: usize, len: usize) -> *mut u8 {
        assert!(len <= self.len && start <= self.len - len);
        self.at(start)
    }

    /// The bytes of a piece. The caller has to make sure that nothing writes there meanwhile by a pointer.
    #[inline]
    pub(super) fn slice(&self, start: usize, len: usize) -> &[u8] {
        // SAFETY: initialised bytes of this memory.
        unsafe { std::slice::from_raw_parts(self.piece(start, len), len) }
    }

    /// The same, to write to.
    #[inline]
    pub(super) fn slice_mut(&mut self, start: usize, len: usize) -> &mut [u8] {
        // SAFETY: initialised bytes of this memory, which is borrowed as a whole.
        unsafe { std::slice::from_raw_parts_mut(self.piece(start, len), len) }
    }
}

impl Drop for ZeroedBytes {
    fn drop(&mut self) {
        // SAFETY: leaked by new, and nothing refers to it any more.
        drop(unsafe { Box::from_raw(self.allocation.as_ptr()) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_keep_their_addresses() {
        let array = StableArray::<u32, 1000>::from_fn(|index| index as u32);
        let last = array.at(999);
        let mut moved = Box::new(array);
        assert_eq!((moved.len(), moved.at(999), moved[999]), (1000, last, 999));
        moved[998] = 7;
        // SAFETY: an element of the array, to which no reference is left.
        unsafe { last.write(8) };
        assert_eq!(moved[997..], [997, 7, 8]);
    }

    #[test]
    fn bytes_begin_on_a_cache_line() {
        for len in [1, 63, 64, 65, 300_000] {
            let mut bytes = ZeroedBytes::new(len);
            assert_eq!((bytes.at(0).addr() % CACHE_LINE, bytes.slice(0, len)), (0, &vec![0; len][..]));
            bytes.slice_mut(len - 1, 1)[0] = 1;
            assert_eq!(bytes.slice(len - 1, 1), [1]);
        }
    }

    #[test]
    #[should_panic]
    fn no_slice_goes_beyond_the_end() {
        ZeroedBytes::new(64).slice(1, usize::MAX);
    }
}
