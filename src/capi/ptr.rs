//! The pointers that C passes: the only functions that trust them.
//!
//! Each of them is `unsafe` and states what it relies on: the promises that the head of the header requires of a
//! caller. Their results are safe to use for the time of the call, `'a`. NULL and sizes are checked when the result is
//! made or used.

mod versioned;

pub(super) use versioned::{BadSize, OutArray, Strided, VersionedCopy, VersionedRef, arrival};

use super::callback::{CCall, Core};
use crate::abi::*;
use crate::addr::Addr;
use crate::context::Shared;
use crate::port::{Payload, Port, PortShared};
use crate::reactor::Remote;
use crate::refusal;
use crate::status::{Result, Status};
use crate::sys::{CachePadded, tsan};
use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::Arc;

/// An opaque handle of the header.
pub(super) trait CHandle {
    /// The type behind it.
    type Core;
    /// The owner of which C holds one.
    type RawOwned: RawOwned<Self::Core>;
    /// The part that every thread may use at any time.
    type ThreadSafe;

    /// # Safety
    /// `core` is alive.
    unsafe fn shared(core: *const Self::Core) -> *const Self::ThreadSafe;

    /// What is shared by all handles of the reactor.
    fn reactor(part: &Self::ThreadSafe) -> &Shared;
}

/// C holds one owner.
impl CHandle for udpr_reactor {
    type Core = Core;
    type RawOwned = Box<Core>;
    type ThreadSafe = CachePadded<Arc<Remote<CCall>>>;

    unsafe fn shared(core: *const Core) -> *const CachePadded<Arc<Remote<CCall>>> {
        // SAFETY: it is alive; only this field is referred to.
        unsafe { &raw const (*core).remote }
    }

    fn reactor(remote: &CachePadded<Arc<Remote<CCall>>>) -> &Shared {
        &remote.shared
    }
}

/// C holds counted references.
impl CHandle for udpr_transport {
    type Core = Port;
    type RawOwned = Arc<Port>;
    type ThreadSafe = PortShared;

    unsafe fn shared(core: *const Port) -> *const PortShared {
        // SAFETY: it is alive; only this field is referred to.
        unsafe { &raw const (*core).shared }
    }

    fn reactor(port: &PortShared) -> &Shared {
        &port.reactor
    }
}

/// C holds counted references, and every thread may use all of it.
impl CHandle for udpr_remote {
    type Core = Remote<CCall>;
    type RawOwned = Arc<Remote<CCall>>;
    type ThreadSafe = Remote<CCall>;

    unsafe fn shared(core: *const Remote<CCall>) -> *const Remote<CCall> {
        core
    }

    fn reactor(remote: &Remote<CCall>) -> &Shared {
        &remote.shared
    }
}

/// A smart pointer that can be given to C and taken back.
pub(super) trait RawOwned<T> {
    fn into_raw(self) -> *const T;

    /// # Safety
    /// `core` comes from [`RawOwned::into_raw`], and nobody else owns what that gave up.
    unsafe fn from_raw(core: *const T) -> Self;
}

impl<T> RawOwned<T> for Box<T> {
    fn into_raw(self) -> *const T {
        Box::into_raw(self)
    }

    unsafe fn from_raw(core: *const T) -> Box<T> {
        // SAFETY: the caller's promise.
        unsafe { Box::from_raw(core.cast_mut()) }
    }
}

impl<T> RawOwned<T> for Arc<T> {
    fn into_raw(self) -> *const T {
        Arc::into_raw(self)
    }

    unsafe fn from_raw(core: *const T) -> Arc<T> {
        // SAFETY: the caller's promise.
        unsafe { Arc::from_raw(core) }
    }
}

/// Gives ownership to C.
pub(super) fn give_out<H: CHandle>(owner: H::RawOwned) -> *mut H {
    owner.into_raw().cast_mut().cast()
}

/// A handle that the caller lends for the time of a call.
pub(super) struct HandleRef<'a, H: CHandle>(*const H::Core, PhantomData<&'a H::Core>);

impl<H: CHandle> Clone for HandleRef<'_, H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H: CHandle> Copy for HandleRef<'_, H> {}

impl<'a, H: CHandle> HandleRef<'a, H> {
    /// # Safety
    /// NULL, or from [`give_out`], and neither freed nor released for the last time during `'a`, unless by this call itself.
    #[inline]
    pub(super) unsafe fn new(handle: *const H) -> HandleRef<'a, H> {
        HandleRef(handle.cast(), PhantomData)
    }

    pub(super) fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// The part for all threads.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for NULL.
    #[inline]
    pub(super) fn shared(self) -> Result<&'a H::ThreadSafe> {
        if self.is_null() {
            return Err(Status::INVALID_ARGUMENT);
        }
        // SAFETY: as promised to new.
        let shared = unsafe { H::shared(self.0) };
        // SAFETY: as promised to new, and every thread may refer to this part.
        Ok(unsafe { &*shared })
    }

    /// # Safety
    /// It is not NULL, and no other thread is inside: the calling thread holds the owner lock, or has shared the handle
    /// with no other thread yet.
    #[inline]
    pub(super) unsafe fn core(self) -> &'a H::Core {
        // SAFETY: as promised to new, and by the caller.
        unsafe { &*self.0 }
    }

    /// The reference that stays the caller's.
    ///
    /// # Safety
    /// As of [`HandleRef::core`].
    #[inline]
    pub(super) unsafe fn owner(self) -> ManuallyDrop<H::RawOwned> {
        // SAFETY: as promised to new; it is not dropped here, so it stays the caller's.
        ManuallyDrop::new(unsafe { H::RawOwned::from_raw(self.0) })
    }

    /// The reference that the caller gives up.
    ///
    /// # Safety
    /// Not NULL, and the caller does not use this handle, or this reference of it, again.
    pub(super) unsafe fn take_back(self) -> H::RawOwned {
        // SAFETY: as promised to new, and by the caller.
        let shared = unsafe { H::shared(self.0) };
        // The thread that drops the last reference of a counted handle acquires this.
        tsan::release(shared);
        // SAFETY: as promised to new, and by the caller.
        unsafe { H::RawOwned::from_raw(self.0) }
    }
}

impl<C, H: CHandle<Core = C, RawOwned = Arc<C>>> HandleRef<'_, H> {
    /// One more reference for C, unless the handle is NULL.
    pub(super) fn retain(self) {
        if !self.is_null() {
            // SAFETY: the caller holds a reference, or was handed the handle by a callback.
            unsafe { Arc::increment_strong_count(self.0) };
        }
    }
}

/// An output, which may be NULL.
pub(super) struct Out<'a, T>(*mut T, PhantomData<&'a T>);

impl<T> Clone for Out<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Out<'_, T> {}

impl<'a, T> Out<'a, T> {
    /// # Safety
    /// NULL, or the address of a `T` that nobody else uses during `'a`. It need not be initialised.
    #[inline]
    pub(super) unsafe fn new(out: *mut T) -> Out<'a, T> {
        Out(out, PhantomData)
    }

    fn pointer(self) -> *mut T {
        self.0
    }

    pub(super) fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// Whether the value of this argument can be written.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for NULL.
    pub(super) fn check(self, argument: &'static str) -> Result {
        if self.is_null() { Err(refusal::null(argument)) } else { Ok(()) }
    }

    /// Writes the value, unless the pointer is NULL.
    pub(super) fn set(self, value: T) {
        if !self.0.is_null() {
            // SAFETY: as promised to new.
            unsafe { self.0.write(value) };
        }
    }

    /// Writes the value of this argument.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for NULL.
    pub(super) fn give(self, argument: &'static str, value: T) -> Result {
        self.check(argument)?;
        self.set(value);
        Ok(())
    }
}

/// An argument that must not be NULL, which `value` is None for.
///
/// # Errors
/// INVALID_ARGUMENT for None.
#[inline]
pub(super) fn required<T>(value: Option<T>, argument: &'static str) -> Result<T> {
    value.ok_or_else(|| refusal::null(argument))
}

/// The caller's address; None for NULL.
///
/// # Safety
/// NULL, or the address of an address that nobody writes to during `'a`.
#[inline]
pub(super) unsafe fn target<'a>(addr: *const udpr_addr) -> Option<&'a Addr> {
    // SAFETY: the caller's promise; any bits are valid.
    unsafe { addr.as_ref() }
}

/// A text; None for NULL.
///
/// # Safety
/// NULL, or a NUL-terminated text that stays as it is during `'a`.
pub(super) unsafe fn text<'a>(pointer: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller's promise.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) })
}

/// A text that must not be NULL.
///
/// # Errors
/// INVALID_ARGUMENT for None, INVALID_ADDRESS if it is not UTF-8.
pub(super) fn utf8<'a>(text: Option<&'a CStr>, argument: &'static str) -> Result<&'a str> {
    required(text, argument)?.to_str().map_err(|_| Status::INVALID_ADDRESS)
}

/// A pointer and a length that stand for bytes, not read yet.
#[derive(Clone, Copy)]
pub(super) struct RawBytes<'a> {
    pub(super) data: *const u8,
    pub(super) len: usize,
    lent: PhantomData<&'a [u8]>,
}

impl<'a> RawBytes<'a> {
    /// # Safety
    /// `data` is NULL, or the address of `len` bytes that stay as they are during `'a`.
    #[inline]
    pub(super) unsafe fn new(data: *const c_void, len: usize) -> RawBytes<'a> {
        RawBytes { data: data.cast(), len, lent: PhantomData }
    }

    /// The bytes of this argument.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for NULL, unless the length is 0; MESSAGE_TOO_LONG for more than memory holds.
    #[inline]
    pub(super) fn slice(self, argument: &'static str) -> Result<&'a [u8]> {
        if self.data.is_null() {
            return if self.len == 0 { Ok(&[]) } else { Err(refusal::null(argument)) };
        }
        if self.len > isize::MAX as usize {
            return Err(Status::MESSAGE_TOO_LONG);
        }
        // SAFETY: as promised to new.
        Ok(unsafe { std::slice::from_raw_parts(self.data, self.len) })
    }
}

/// The argument `pieces`: the pieces of a datagram.
#[derive(Clone)]
pub(super) struct Pieces<'a>(std::slice::Iter<'a, udpr_bytes>);

impl<'a> Pieces<'a> {
    /// # Errors
    /// Those of [`array`].
    ///
    /// # Safety
    /// `first` is NULL, or the address of `count` pieces that stay as they are during `'a`, and so do their bytes.
    pub(super) unsafe fn new(first: *const udpr_bytes, count: usize) -> Result<Pieces<'a>> {
        // SAFETY: the caller's promise.
        unsafe { array(first, count, "pieces") }.map(|pieces| Pieces(pieces.iter()))
    }

    /// The payload that they make together.
    ///
    /// # Errors
    /// Those of [`RawBytes::slice`]; MESSAGE_TOO_LONG for more bytes in all than memory holds.
    pub(super) fn payload(&'a mut self) -> Result<Payload<'a>> {
        let all = self.0.clone().enumerate().try_fold(0usize, |all, (index, piece)| {
            let bytes =
                Pieces::bytes(piece).map_err(|status| refusal::in_element("pieces", index, status))?;
            all.checked_add(bytes.len()).ok_or(Status::MESSAGE_TOO_LONG)
        })?;
        Ok(Payload::of_pieces(all, self))
    }

    fn bytes(piece: &'a udpr_bytes) -> Result<&'a [u8]> {
        // SAFETY: as promised to new, which is the only way to a piece here.
        unsafe { RawBytes::new(piece.data, piece.len) }.slice("data")
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        // Not an error, since payload has looked at each.
        Pieces::bytes(self.0.next()?).ok()
    }
}

/// The elements of the array in this argument.
///
/// # Errors
/// INVALID_ARGUMENT for NULL, unless the count is 0, and for more than memory holds.
///
/// # Safety
/// `first` is NULL, or the address of `count` elements that stay as they are during `'a`.
pub(super) unsafe fn array<'a, T>(first: *const T, count: usize, argument: &'static str) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    if first.is_null() {
        return Err(refusal::null(argument));
    }
    if count > isize::MAX as usize / size_of::<T>() {
        return Err(refusal::invalid("count", count as u64, "more than memory holds"));
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(first, count) })
}
