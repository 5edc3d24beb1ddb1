//! The kernel's structures for many messages: headers, and the names, vectors and control data that they point to.
//!
//! They are allocated once. Every pointer in them derives from the root of an array, so it stays valid when the owner moves.

use super::mmsg::MmsgCalls;
use crate::addr::Addr;
use crate::sys::api::Failure;
use crate::sys::buffers::{BUFFER_SIZE, MESSAGES_MAX};
use crate::sys::cmsg::{Control, ControlBuffer};
use crate::sys::gso_plan::{MESSAGES, RUNS};
use crate::sys::memory::StableArray;
use crate::sys::recv_meta::RECV_CONTROL_SIZE;
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
            header.msg_hdr.msg_control =
                controls.at(index).wrapping_byte_add(std::mem::offset_of!(Control, room)).cast();
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

    /// Adds a message of these bytes, to the connected peer if `to` is none.
    #[inline]
    pub(in crate::sys) fn add(&mut self, bytes: *const [u8], to: Option<&Addr>) {
        let (index, begin) = (self.count, self.vectors_used);
        debug_assert!(index < MESSAGES && begin < RUNS, "the plan has no more messages and runs");
        self.vectors[begin] = vector(bytes);
        let header = &mut self.headers[index].msg_hdr;
        (header.msg_iov, header.msg_iovlen) = (self.vectors.at(begin), 1);
        let name = &mut self.names[index];
        header.msg_namelen = to.map_or(0, |to| to.to_sockaddr(name) as u32);
        // The kernel is shown no control data if there is none: old drivers fail on an empty buffer.
        header.msg_controllen = 0;
        (self.count, self.vectors_used) = (index + 1, begin + 1);
    }

    /// Adds `more` bytes and control data to the message that was added last. With a `segment` the kernel cuts it into datagrams
    /// of that size (UDP_SEGMENT, udp(7)).
    pub(in crate::sys) fn extend(
        &mut self,
        more: impl Iterator<Item = *const [u8]>,
        control: Option<&Control>,
        segment: Option<usize>,
    ) {
        let last = self.count - 1;
        let header = &mut self.headers[last].msg_hdr;
        let begin = self.vectors_used;
        for (bytes, place) in more.zip(&mut self.vectors[begin..]) {
            *place = vector(bytes);
            self.vectors_used += 1;
        }
        header.msg_iovlen = (1 + self.vectors_used - begin) as _;
        let whole = &mut self.controls[last];
        match control {
            Some(control) => *whole = *control,
            None => whole.clear(),
        }
        if let Some(segment) = segment {
            whole.add(libc::SOL_UDP, libc::UDP_SEGMENT, &(segment as u16).to_ne_bytes());
        }
        header.msg_controllen = whole.bytes().len() as _;
    }

    /// If the next message has a TTL of 0 for IPv4, removes the TTL, and all messages behind this one. Otherwise returns false.
    pub(in crate::sys) fn isolate_zero_ttl(&mut self) -> bool {
        if self.is_empty() || self.headers[self.done].msg_hdr.msg_controllen == 0 {
            return false;
        }
        let control = &mut self.controls[self.done];
        let Some(rest) = control.without_zero_ttl() else { return false };
        *control = rest;
        self.headers[self.done].msg_hdr.msg_controllen = rest.bytes().len() as _;
        self.count = self.done + 1;
        true
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

/// Headers for recvmmsg(2), each over the buffer of its message.
#[derive(Debug)]
pub(in crate::sys) struct RecvHeaders {
    calls: MmsgCalls,
    names: StableArray<[u8; NAME_SIZE], MESSAGES_MAX>,
    vectors: StableArray<libc::iovec, MESSAGES_MAX>,
    headers: StableArray<libc::mmsghdr, MESSAGES_MAX>,
    controls: StableArray<ControlBuffer<RECV_CONTROL_SIZE>, MESSAGES_MAX>,
    /// The messages of the last call. The kernel has written to their headers.
    received: usize,
}

/// A received message.
#[derive(Clone, Copy, Debug)]
pub(in crate::sys) struct RecvMessage<'a> {
    header: &'a libc::mmsghdr,
    vector: &'a libc::iovec,
    name: &'a [u8; NAME_SIZE],
}

impl RecvHeaders {
    /// `buffer` is where the buffer of each message begins, of [`BUFFER_SIZE`] bytes.
    pub(in crate::sys) fn new(buffer: impl Fn(usize) -> *mut u8) -> RecvHeaders {
        let names = StableArray::from_fn(|_| [0; NAME_SIZE]);
        let controls = StableArray::from_fn(|_| ControlBuffer([0; RECV_CONTROL_SIZE]));
        let vectors = StableArray::from_fn(|index| libc::iovec {
            iov_base: buffer(index).cast(),
            iov_len: BUFFER_SIZE,
        });
        let headers = StableArray::from_fn(|index| {
            let mut header = header(vectors.at(index), names.at(index));
            header.msg_hdr.msg_control = controls.at(index).cast();
            header
        });
        RecvHeaders { calls: MmsgCalls::default(), names, vectors, headers, controls, received: 0 }
    }

    /// Prepares the headers for a call: with buffers of `size` bytes, [`BUFFER_SIZE`] at most, and room for control data if
    /// that is wanted.
    pub(in crate::sys) fn prepare(&mut self, size: usize, wants_control: bool) {
        let room = if wants_control { RECV_CONTROL_SIZE } else { 0 };
        // The kernel has written the lengths of names and control data.
        for header in &mut self.headers[..self.received] {
            header.msg_hdr.msg_namelen = NAME_SIZE as u32;
            header.msg_hdr.msg_controllen = room as _;
        }
        self.received = 0;
        // The type of the length differs between C libraries.
        let former_room: usize = self.headers[MESSAGES_MAX - 1].msg_hdr.msg_controllen as _;
        if former_room != room {
            self.headers.iter_mut().for_each(|header| header.msg_hdr.msg_controllen = room as _);
        }
        if self.vectors[0].iov_len != size {
            self.vectors.iter_mut().for_each(|vector| vector.iov_len = size);
        }
    }

    /// Receives at most `count` messages, 1 to [`MESSAGES_MAX`], without waiting, by one recvmmsg(2), or by a recvmsg(2) for each
    /// if recvmmsg is refused. Returns a failure that followed the messages if the socket no longer has its error.
    ///
    /// # Errors
    /// EAGAIN, and those of the socket; ENOSYS if both calls are refused.
    ///
    /// # Safety
    /// Nothing refers to the buffers, which are still there.
    pub(in crate::sys) unsafe fn receive(&mut self, fd: RawFd, count: usize) -> io::Result<Option<Failure>> {
        // MSG_TRUNC: each msg_len is the datagram's whole length, even if it was cut (recv(2)).
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        let headers = self.headers.at(0);
        // SAFETY: `count` headers, each over a buffer, a name and control data of the lengths in it, by pointers from the roots of
        // those arrays, to which there is no reference now.
        let (received, failure) = unsafe { self.calls.receive(fd, headers, count, flags) }?;
        self.received = received;
        Ok(failure)
    }

    /// How many messages the last call has received.
    pub(in crate::sys) fn len(&self) -> usize {
        self.received
    }

    /// The received messages.
    #[inline]
    pub(in crate::sys) fn iter(&self) -> impl Iterator<Item = RecvMessage<'_>> {
        let messages = self.headers[..self.received].iter().zip(&*self.vectors).zip(&*self.names);
        messages.map(|((header, vector), name)| RecvMessage { header, vector, name })
    }

    /// One of them.
    #[inline]
    pub(in crate::sys) fn get(&self, index: usize) -> RecvMessage<'_> {
        RecvMessage { header: &self.headers[index], vector: &self.vectors[index], name: &self.names[index] }
    }

    /// The control data of one of them.
    #[inline]
    pub(in crate::sys) fn control(&self, index: usize) -> &[u8] {
        let len = self.get(index).control_len();
        &self.controls[index].0[..len.min(RECV_CONTROL_SIZE)]
    }
}

impl RecvMessage<'_> {
    /// Where its bytes lie.
    #[inline]
    pub(in crate::sys) fn data(&self) -> *const u8 {
        self.vector.iov_base.cast_const().cast()
    }

    /// Its length as it was sent, which may be more than the buffer has.
    #[inline]
    pub(in crate::sys) fn len(&self) -> usize {
        self.header.msg_len as usize
    }

    #[inline]
    pub(in crate::sys) fn control_len(&self) -> usize {
        // The type of the length differs between C libraries.
        self.header.msg_hdr.msg_controllen as _
    }

    #[inline]
    pub(in crate::sys) fn read_sender(&self, sender: &mut Addr) {
        sender.read_sockaddr(self.name, self.header.msg_hdr.msg_namelen as usize);
    }
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

#[cfg(test)]
impl RecvHeaders {
    /// Does what recvmmsg(2) does, by the pointers in the headers alone: receives a message from each of these senders, whose bytes
    /// and length are its number.
    pub(in crate::sys) fn write_as_kernel(&mut self, senders: &[Addr]) {
        for (message, sender) in senders.iter().enumerate() {
            // SAFETY: a header of the array, to which there is no reference.
            let header = unsafe { &mut *self.headers.at(message) };
            // SAFETY: the pointer in the header is to one vector.
            let vector = unsafe { &*header.msg_hdr.msg_iov };
            assert!(message < vector.iov_len && header.msg_hdr.msg_namelen as usize == NAME_SIZE);
            let mut name = [0; NAME_SIZE];
            header.msg_hdr.msg_namelen = sender.to_sockaddr(&mut name) as u32;
            // SAFETY: by the header there is room for a name.
            unsafe { header.msg_hdr.msg_name.cast::<[u8; NAME_SIZE]>().write(name) };
            // SAFETY: and for so many bytes.
            unsafe { vector.iov_base.cast::<u8>().write_bytes(message as u8, message) };
            header.msg_len = message as u32;
        }
        self.received = senders.len();
    }

    /// The name in the first header.
    pub(in crate::sys) fn first_name(&self) -> *const std::ffi::c_void {
        self.headers[0].msg_hdr.msg_name
    }
}
