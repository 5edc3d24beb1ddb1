//! Structs that begin with their size, from headers that are older or newer than ours.

use super::{Out, RawBytes, target};
use crate::abi::{
    udpr_datagram, udpr_interface, udpr_message, udpr_protocol, udpr_reactor_options, udpr_reactor_stats,
    udpr_transport_stats, udpr_udp_options,
};
use crate::addr::Addr;
use crate::port::Arrival;
use crate::refusal;
use crate::status::{Result, Status};
use std::ffi::CStr;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Deref;

/// A struct of the header that begins with `size_t size`.
///
/// # Safety
/// `repr(C)`, without padding at its end, its first field a `usize` that is its size, valid with every other byte zero.
pub(in crate::capi) unsafe trait Versioned: Copy {
    /// Its size in the first release that had it.
    const FIRST: usize = size_of::<Self>();
}

macro_rules! versioned {
    ($($name:ident)*) => {$(
        // SAFETY: repr(C), `size` first, words and pairs of half words behind it, all of them valid as zero.
        unsafe impl Versioned for $name {}
    )*};
}
versioned!(udpr_reactor_stats udpr_transport_stats udpr_interface udpr_datagram);

// SAFETY: as above.
unsafe impl Versioned for udpr_reactor_options {
    const FIRST: usize = std::mem::offset_of!(udpr_reactor_options, reserved);
}

// SAFETY: as above.
unsafe impl Versioned for udpr_protocol {
    const FIRST: usize = std::mem::offset_of!(udpr_protocol, configure_socket);
}

// SAFETY: as above.
unsafe impl Versioned for udpr_udp_options {
    const FIRST: usize = std::mem::offset_of!(udpr_udp_options, write_ready_bytes);
}

// SAFETY: as above.
unsafe impl Versioned for udpr_message {
    const FIRST: usize = std::mem::offset_of!(udpr_message, pieces);
}

/// A struct that the library fills.
///
/// # Safety
/// The only padding, if any, is directly behind `size`: every field behind that has the alignment of the struct.
pub(in crate::capi) unsafe trait Filled: Versioned {
    /// The offset of the first field behind `size`.
    const FIELDS: usize =
        if align_of::<Self>() > size_of::<usize>() { align_of::<Self>() } else { size_of::<usize>() };
}

// SAFETY: 64-bit counters behind `size`.
unsafe impl Filled for udpr_reactor_stats {}
// SAFETY: as above.
unsafe impl Filled for udpr_transport_stats {}
// SAFETY: multiples of 32 bits, without gaps.
unsafe impl Filled for udpr_interface {}

/// No struct of ours will ever be larger.
const SIZE_MAX: usize = 4096;

/// A struct that is NULL, or has a size that no release could have.
#[derive(Clone, Copy, Debug)]
pub(in crate::capi) struct BadSize(Option<usize>);

impl BadSize {
    /// INVALID_ARGUMENT, of this argument.
    #[cold]
    #[inline(never)]
    pub(in crate::capi) fn of(self, argument: &'static str) -> Status {
        match self.0 {
            None => refusal::null(argument),
            Some(size) => {
                refusal::invalid_field(argument, "->size", size as u64, "set it to sizeof the struct")
            }
        }
    }
}

/// The size at the head of a struct.
///
/// # Safety
/// NULL, or the address of a struct that begins with its size.
#[inline]
unsafe fn size<T: Versioned>(head: *const T) -> core::result::Result<usize, BadSize> {
    if head.is_null() {
        return Err(BadSize(None));
    }
    // SAFETY: the caller's promise; a stride of any size may have moved it.
    let size = unsafe { head.cast::<usize>().read_unaligned() };
    if (T::FIRST..=SIZE_MAX).contains(&size) { Ok(size) } else { Err(BadSize(Some(size))) }
}

/// A copy of the caller's struct, with defaults for the fields that it does not have.
#[derive(Clone, Copy)]
pub(in crate::capi) struct VersionedCopy<'a, T> {
    value: T,
    /// The caller's struct has only zeros behind the fields that we know.
    is_whole: bool,
    /// The lifetime of what its pointers point to.
    lent: PhantomData<&'a u8>,
}

impl<'a, T: Versioned> VersionedCopy<'a, T> {
    /// Copies the caller's struct.
    ///
    /// # Safety
    /// NULL, or the address of a struct as long as it says, whose pointers are what the header says during `'a`.
    #[inline]
    pub(in crate::capi) unsafe fn new(from: *const T) -> core::result::Result<VersionedCopy<'a, T>, BadSize> {
        // SAFETY: the caller's promise.
        let size = unsafe { size(from) }?;
        if size == size_of::<T>() {
            // SAFETY: the caller's struct is that long.
            let value = unsafe { from.read_unaligned() };
            return Ok(VersionedCopy { value, is_whole: true, lent: PhantomData });
        }
        // SAFETY: the caller's struct is so long.
        let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), size) };
        Ok(VersionedCopy::of_other_size(bytes))
    }

    /// As [`VersionedCopy::new`], but the default for NULL.
    pub(in crate::capi) unsafe fn or_default(
        from: *const T,
    ) -> core::result::Result<VersionedCopy<'a, T>, BadSize> {
        if from.is_null() {
            return Ok(VersionedCopy::of_other_size(&[]));
        }
        // SAFETY: the caller's promise.
        unsafe { VersionedCopy::new(from) }
    }

    #[cold]
    fn of_other_size(bytes: &[u8]) -> VersionedCopy<'a, T> {
        // SAFETY: the trait says that all zero is valid.
        let mut value: T = unsafe { std::mem::zeroed() };
        let (known, rest) = bytes.split_at(bytes.len().min(size_of::<T>()));
        // A field that the struct has only a part of is missing: every size of a release is a multiple of the alignment.
        let known = &known[..known.len() - known.len() % align_of::<T>()];
        // SAFETY: both are at least that long.
        unsafe { std::ptr::copy_nonoverlapping(known.as_ptr(), (&raw mut value).cast(), known.len()) };
        VersionedCopy { value, is_whole: rest.iter().all(|byte| *byte == 0), lent: PhantomData }
    }

    /// Whether this library knows everything that the struct says. `path` leads to its fields, as in "options->".
    ///
    /// # Errors
    /// VERSION if the caller's struct has something else than zeros behind the fields that we know.
    #[inline]
    pub(in crate::capi) fn check(self, path: &'static str) -> Result<VersionedCopy<'a, T>> {
        if self.is_whole { Ok(self) } else { Err(refusal::newer(path)) }
    }
}

/// How a datagram arrived. Nothing else of it is read: its bytes may be gone.
///
/// # Safety
/// NULL, or the address of a struct as long as it says.
#[inline]
pub(in crate::capi) unsafe fn arrival(
    datagram: *const udpr_datagram,
) -> core::result::Result<Arrival, BadSize> {
    // SAFETY: the caller's promise.
    unsafe { size(datagram) }?;
    Ok(Arrival {
        // SAFETY: the caller's struct has at least the fields of the first release.
        sender: unsafe { (*datagram).sender },
        // SAFETY: as above.
        destination: unsafe { (*datagram).destination },
        // SAFETY: as above.
        interface_index: unsafe { (*datagram).interface_index },
        // SAFETY: as above.
        flags: unsafe { (*datagram).flags },
    })
}

impl<T> Deref for VersionedCopy<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

/// A struct that was copied, or that is the caller's own.
pub(in crate::capi) struct VersionedRef<'r, 'a, T> {
    value: &'r T,
    /// The lifetime of what its pointers point to.
    lent: PhantomData<&'a u8>,
}

impl<'a, T> VersionedCopy<'a, T> {
    pub(in crate::capi) fn by_ref(&self) -> VersionedRef<'_, 'a, T> {
        VersionedRef { value: &self.value, lent: PhantomData }
    }
}

impl<T> Deref for VersionedRef<'_, '_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.value
    }
}

impl<'a> VersionedRef<'_, 'a, udpr_message> {
    #[inline]
    pub(in crate::capi) fn bytes(&self) -> RawBytes<'a> {
        // SAFETY: as promised of the struct.
        unsafe { RawBytes::new(self.data, self.len) }
    }

    #[inline]
    pub(in crate::capi) fn destination(&self) -> Option<&'a Addr> {
        // SAFETY: as promised of the struct.
        unsafe { target(self.to) }
    }

    pub(in crate::capi) fn source_addr(&self) -> Option<&'a Addr> {
        // SAFETY: as promised of the struct.
        unsafe { target(self.source) }
    }
}

impl<'a> VersionedCopy<'a, udpr_udp_options> {
    pub(in crate::capi) fn device(&self) -> Option<&'a CStr> {
        let device = self.bind_device;
        // SAFETY: as promised of the struct.
        (!device.is_null()).then(|| unsafe { CStr::from_ptr(device) })
    }
}

/// An array of structs, whose stride is the size that each of them has.
pub(in crate::capi) struct Strided<'a, T> {
    next: *const T,
    left: usize,
    stride: usize,
    /// They have the layout of ours, so they are used where they lie.
    is_ours: bool,
    lent: PhantomData<&'a T>,
}

impl<'a, T: Versioned> Strided<'a, T> {
    /// An array of `count` structs in this argument.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for NULL and for a size that no release could have.
    ///
    /// # Safety
    /// As of [`VersionedCopy::new`] for each of `count` structs, each so far behind the one before as the first says, as long as all
    /// of them say the same.
    pub(in crate::capi) unsafe fn new(
        first: *const T,
        count: usize,
        argument: &'static str,
    ) -> Result<Strided<'a, T>> {
        // SAFETY: the caller's promise.
        let size = || unsafe { size(first) }.map_err(|bad| bad.of(argument));
        // If there are no structs, nothing is looked at.
        let stride = if count == 0 && !first.is_null() { 0 } else { size()? };
        let is_ours = stride == size_of::<T>() && first.is_aligned();
        Ok(Strided { next: first, left: count, stride, is_ours, lent: PhantomData })
    }

    /// The next struct, which is copied to `room` if it has another layout than ours.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a size that is not the stride; VERSION as of [`VersionedCopy::check`].
    #[inline]
    pub(in crate::capi) fn next<'c>(
        &mut self,
        room: &'c mut MaybeUninit<T>,
    ) -> Option<Result<VersionedRef<'c, 'a, T>>> {
        self.left = self.left.checked_sub(1)?;
        let this = self.next;
        self.next = this.wrapping_byte_add(self.stride);
        // Before anything else of it is read: the memory behind the array may end there.
        // SAFETY: as promised to new, which has looked at the first size.
        let size = unsafe { this.cast::<usize>().read_unaligned() };
        if size != self.stride {
            return Some(Err(refusal::invalid("size", size as u64, "not that of the first element")));
        }
        if self.is_ours {
            // SAFETY: as promised to new; the struct has the layout of ours, and stays as it is.
            return Some(Ok(VersionedRef { value: unsafe { &*this }, lent: PhantomData }));
        }
        Some(Self::copied(room, this))
    }

    #[cold]
    fn copied<'c>(room: &'c mut MaybeUninit<T>, this: *const T) -> Result<VersionedRef<'c, 'a, T>> {
        // SAFETY: as promised to new.
        let copy = unsafe { VersionedCopy::new(this) }.map_err(|bad| bad.of("element"))?.check("")?;
        Ok(VersionedRef { value: room.write(copy.value), lent: PhantomData })
    }
}

impl<T: Filled> Out<'_, T> {
    /// Copies `value` to the caller's struct, up to the smaller size, with zeros behind it; its `size` stays. The padding that a
    /// `size` of 32 bits has behind it is zeroed: otherwise bytes of our stack would reach the caller.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for NULL and for sizes that no release could have.
    pub(in crate::capi) fn fill(self, argument: &'static str, value: &T) -> Result {
        // SAFETY: as promised to new; the caller has set the size.
        let size = unsafe { size(self.pointer().cast_const()) }.map_err(|bad| bad.of(argument))?;
        let (head, fields, known) = (size_of::<usize>(), T::FIELDS, size.min(size_of::<T>()));
        let (source, target) = (std::ptr::from_ref(value).cast::<u8>(), self.pointer().cast::<u8>());
        // SAFETY: the caller's struct is `size` bytes, at least as many as the first release's, which has fields.
        unsafe { std::ptr::write_bytes(target.wrapping_add(head), 0, size - head) };
        // SAFETY: both are `known` bytes; from `fields` on those of the source have no padding.
        unsafe {
            std::ptr::copy_nonoverlapping(
                source.wrapping_add(fields),
                target.wrapping_add(fields),
                known - fields,
            )
        };
        Ok(())
    }
}

/// An array of structs that the library fills, whose stride is the size of the first one.
pub(in crate::capi) struct OutArray<'a, T> {
    first: *mut T,
    capacity: usize,
    lent: PhantomData<&'a T>,
}

impl<'a, T: Filled> OutArray<'a, T> {
    /// # Safety
    /// `capacity` is 0, or `first` is NULL or the address of `capacity` structs, each as long as the first says, that nobody
    /// else uses during `'a`.
    pub(in crate::capi) unsafe fn new(first: *mut T, capacity: usize) -> OutArray<'a, T> {
        OutArray { first, capacity, lent: PhantomData }
    }

    /// Fills as many structs as there are, with the size of the first one in each.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for NULL and for sizes that no release could have, unless the capacity is 0.
    pub(in crate::capi) fn fill(self, argument: &'static str, values: &[T]) -> Result {
        if self.capacity == 0 {
            return Ok(());
        }
        // SAFETY: as promised to new; the caller has set the size.
        let stride = unsafe { size(self.first.cast_const()) }.map_err(|bad| bad.of(argument))?;
        for (n, value) in values.iter().take(self.capacity).enumerate() {
            let element = self.first.wrapping_byte_add(n * stride);
            // SAFETY: as promised to new.
            unsafe { element.cast::<usize>().write_unaligned(stride) };
            // SAFETY: as promised to new.
            unsafe { Out::new(element) }.fill(argument, value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Padding behind `size`, which the stats have on a system with a `size` of 32 bits.
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Stats {
        size: usize,
        counter: u128,
    }

    // SAFETY: repr(C), `size` first, no padding at its end, valid as zero.
    unsafe impl Versioned for Stats {}
    // SAFETY: padding behind `size` only.
    unsafe impl Filled for Stats {}

    #[test]
    fn padding_is_zero_for_the_caller() {
        const WORDS: usize = size_of::<Stats>() / size_of::<u128>();
        let mut theirs = [u128::MAX; WORDS + 1];
        let out = theirs.as_mut_ptr().cast::<Stats>();
        // SAFETY: the array is longer than the struct, which begins with its size.
        unsafe { out.cast::<usize>().write(size_of::<Stats>() + 16) };
        let mut ours = MaybeUninit::<Stats>::uninit();
        // SAFETY: as many bytes, the padding included.
        unsafe { std::ptr::write_bytes(ours.as_mut_ptr().cast::<u8>(), 0xee, size_of::<Stats>()) };
        // SAFETY: all of its bytes were written, and any are valid.
        let value = unsafe { ours.assume_init_ref() };
        // SAFETY: as above, and nobody else uses it.
        let filled = unsafe { Out::new(out) }.fill("out", value);
        assert_eq!(filled, Ok(()));
        let bytes: Vec<u8> = theirs.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let counter = std::mem::offset_of!(Stats, counter);
        assert!(bytes[size_of::<usize>()..counter].iter().all(|byte| *byte == 0), "{bytes:x?}");
        assert!(bytes[counter..counter + 16].iter().all(|byte| *byte == 0xee), "{bytes:x?}");
        assert!(bytes[size_of::<Stats>()..].iter().all(|byte| *byte == 0), "{bytes:x?}");
    }
}
