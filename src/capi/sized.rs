//! Structs that begin with their size, from older and newer headers than ours.

use crate::status::{Result, Status};

/// No struct of ours will ever be larger.
const SIZE_MAX: usize = 4096;

/// A struct of the header that begins with `size_t size`.
///
/// # Safety
/// `repr(C)`, without padding at its end, its first field a `usize` that is its size, valid with every other byte zero.
pub(super) unsafe trait Sized: Copy {
    /// Its size in the first release that had it.
    const FIRST: usize = size_of::<Self>();
}

/// The size at the head of a struct, which must be one that some release could have.
#[inline]
pub(super) fn size<T: Sized>(head: *const T) -> Result<usize> {
    if head.is_null() {
        return Err(Status::INVALID_ARGUMENT);
    }
    // SAFETY: the caller passes a struct that begins with its size; a stride of any size may have moved it.
    let size = unsafe { head.cast::<usize>().read_unaligned() };
    if (T::FIRST..=SIZE_MAX).contains(&size) { Ok(size) } else { Err(Status::INVALID_ARGUMENT) }
}

/// A copy of the caller's struct: the default for what it lacks. INVALID_ARGUMENT for NULL and for sizes that cannot
/// be, VERSION where it says more than we know.
#[inline]
pub(super) fn read<T: Sized>(from: *const T) -> Result<T> {
    let copy = read_known(from)?;
    check_rest(from)?;
    Ok(copy)
}

/// As much of the caller's struct as we know.
#[inline]
pub(super) fn read_known<T: Sized>(from: *const T) -> Result<T> {
    let size = size(from)?.min(size_of::<T>());
    if size == size_of::<T>() {
        // SAFETY: the caller's struct is that long.
        return Ok(unsafe { from.read_unaligned() });
    }
    // SAFETY: the trait says that all zero is valid.
    let mut copy: T = unsafe { std::mem::zeroed() };
    // SAFETY: both are at least that long.
    unsafe { std::ptr::copy_nonoverlapping(from.cast::<u8>(), (&raw mut copy).cast(), size) };
    Ok(copy)
}

/// VERSION where the caller's struct says something behind what we know.
#[inline]
pub(super) fn check_rest<T: Sized>(from: *const T) -> Result {
    let (size, ours) = (size(from)?, size_of::<T>());
    if size <= ours {
        return Ok(());
    }
    let behind = from.cast::<u8>().wrapping_add(ours);
    // SAFETY: the caller's struct is `size` bytes; where that is more than ours, these are behind.
    let rest = unsafe { std::slice::from_raw_parts(behind, size.saturating_sub(ours)) };
    if rest.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(Status::VERSION) }
}

/// Fills the caller's struct up to the smaller size, with zeros behind it; its `size` stays. Errors as of [`read`].
pub(super) fn fill<T: Sized>(out: *mut T, value: &T) -> Result {
    let size = size(out)?;
    let head = size_of::<usize>();
    let known = size.min(size_of::<T>());
    let (source, target) = (std::ptr::from_ref(value).cast::<u8>().wrapping_add(head), out.cast::<u8>());
    // SAFETY: both are `known` bytes, and the size at their head is left out.
    unsafe { std::ptr::copy_nonoverlapping(source, target.wrapping_add(head), known - head) };
    // SAFETY: the caller's struct is `size` bytes.
    unsafe { std::ptr::write_bytes(target.wrapping_add(known), 0, size - known) };
    Ok(())
}
