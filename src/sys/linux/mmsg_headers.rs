//! The kernel's structures for many messages: headers, and the names, vectors and control data that they point to.
//!
//! They are allocated once. Every pointer in them derives from the root of an array, so it stays valid when the owner moves.

use super::cmsg::Control;
use super::mmsg::MmsgCalls;
use crate::addr::Addr;
use crate::sys::gso_plan::{MESSAGES, RUNS};
use crate::sys::memory::StableArray;
use std::io;
use std::os::fd::RawFd;

/// Size of a `sockaddr_in6`, the larger one of the two address structures.
pub(in crate::sys) const NAME_SIZE: usize = Addr::SOCKADDR_MAX;

/// A message header over one vector and one name. It keeps the pointers, so both have to live as long as the header.
pub(in crate::sys) fn header(vector: *mut libc::iovec, name: *mut [u8; NAME_SIZE]) -> libc::mmsghdr {
    // SAFETY: a msghdr is integers and pointers; all of them may be zero.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = name.cast();
    message.msg_namelen = NAME_SIZE as u32;
    message.msg_iov = vector;
    message.msg_iovlen = 1;
    libc::mmsghdr { msg_hdr: message, msg_len: 0 }
}

/// Headers for sendmmsg(2).
#[derive(Debug)]
pub(in crate::sys) struct SendHeaders {
    calls: MmsgCalls,
    names: StableArray<[u8; NAME_SIZE], MESSAGES>,
    vectors: StableArray<libc::iovec, RUNS>,
    headers: StableArray<libc::mmsghdr, MESSAGES>,
    controls: StableArray<Control, MESSAGES>,
    /// Headers that are laid out.
    count: usize,
    vectors_used: usize,
    /// Headers at the front that are done.
    done: usize,
}

impl Default for SendHeaders {
    fn default() -> SendHeaders {
        let names = StableArray::from_fn(|_| [0; NAME_SIZE]);
        let vectors = StableArray::from_fn(|_| libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 });
        let controls = StableArray::from_fn(|_| Control::EMPTY);
        let headers = StableArray::from_fn(|index| {
            let mut header = header(vectors.at(index), names.at(index));
            header.msg_hdr.msg_control = Control::place(controls.at(index));
            header
        });
        let calls = MmsgCalls::default();
        SendHeaders { calls, names, vectors, headers, controls, count: 0, vectors_used: 0, done: 0 }
    }
}

impl SendHeaders {
    pub(in crate::sys) fn clear(&mut self) {
        (self.count, self.vectors_used, self.done) = (0, 0, 0);
    }

    /// True if no header is left to be sent.
    pub(in crate::sys) fn is_empty(&self) -> bool {
        self.done == self.count
    }

    /// Counts the next `count` headers as done.
    pub(in crate::sys) fn advance(&mut self, count: usize) {
        self.done = (self.done + count).min(self.count);
    }

    /// Adds a message of the bytes at `first` and `more`, to the connected peer if `to` is none. With a `segment` the kernel
    /// cuts it into datagrams of that size (UDP_SEGMENT, udp(7)).
    pub(in crate::sys) fn add(
        &mut self,
        first: *const [u8],
        more: impl Iterator<Item = *const [u8]>,
        to: Option<&Addr>,
        control: Option<&Control>,
        segment: Option<usize>,
    ) {
        let (index, begin) = (self.count, self.vectors_used);
        debug_assert!(index < MESSAGES && begin < RUNS, "the plan has no more messages and runs");
        self.vectors[begin] = vector(first);
        let mut count = 1;
        for (bytes, place) in more.zip(&mut self.vectors[begin + 1..]) {
            *place = vector(bytes);
            count += 1;
        }
        let header = &mut self.headers[index].msg_hdr;
        (header.msg_iov, header.msg_iovlen) = (self.vectors.at(begin), count as _);
        self.vectors_used += count;
        let name = &mut self.names[index];
        header.msg_namelen = to.map_or(0, |to| to.to_sockaddr(name) as u32);
        // The kernel is shown no control data if there is none: old drivers fail on an empty buffer.
        header.msg_controllen = 0;
        if segment.is_some() || control.is_some() {
            let whole = &mut self.controls[index];
            *whole = control.copied().unwrap_or(Control::EMPTY);
            if let Some(segment) = segment {
                whole.add(libc::SOL_UDP, libc::UDP_SEGMENT, &(segment as u16).to_ne_bytes());
            }
            header.msg_controllen = whole.bytes().len() as _;
        }
        self.count += 1;
    }

    /// Sends at most `limit` of the messages that are not done, without waiting, by one sendmmsg(2), or by a sendmsg(2) for
    /// each if sendmmsg is refused. Returns how many the kernel took, at least one.
    ///
    /// # Errors
    /// The first message's.
    ///
    /// # Safety
    /// The bytes that were given to [`SendHeaders::add`] are still there.
    pub(in crate::sys) unsafe fn send(&mut self, fd: RawFd, limit: usize) -> io::Result<usize> {
        let count = (self.count - self.done).min(limit);
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: `count` headers over bytes, names and control data of the lengths in them, by pointers from the roots of
        // those; the kernel only writes msg_len.
        unsafe { self.calls.send(fd, self.headers.at(self.done), count, flags) }
    }
}

#[inline]
fn vector(bytes: *const [u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.cast_mut().cast(), iov_len: bytes.len() }
}

#[cfg(test)]
impl SendHeaders {
    /// Does what sendmmsg(2) does, by the pointers in the headers alone: returns where each message goes, and its bytes.
    pub(in crate::sys) fn read_as_kernel(&self) -> Vec<(Addr, Vec<u8>)> {
        let message = |index: usize| {
            // SAFETY: a header of the array, which nobody writes to.
            let header = unsafe { &(*self.headers.at(index)).msg_hdr };
            let name = header.msg_name.cast::<u8>();
            // SAFETY: the header has the length of the name.
            let name = unsafe { std::slice::from_raw_parts(name, header.msg_namelen as usize) };
            // SAFETY: it has the number of vectors, too.
            let vectors = unsafe { std::slice::from_raw_parts(header.msg_iov, header.msg_iovlen as _) };
            let bytes = vectors.iter().flat_map(|vector| {
                // SAFETY: and each vector has its length.
                unsafe { std::slice::from_raw_parts(vector.iov_base.cast::<u8>(), vector.iov_len) }
            });
            (Addr::from_sockaddr(name).expect("an address"), bytes.copied().collect())
        };
        (self.done..self.count).map(message).collect()
    }
}
