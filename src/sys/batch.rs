//! Receiving many datagrams by one recvmmsg(2), and the datagrams themselves as the C face hands them on.

use super::cmsg::Room;
use super::{check, facts};
use crate::addr::Addr;
use std::io;
use std::os::fd::RawFd;

/// The most datagrams that one callback gets.
pub const BATCH_MAX: usize = 256;
/// The most messages that one recvmmsg(2) may fill.
pub const MESSAGES_MAX: usize = 64;
/// Bytes of a receive buffer: the longest payload that the length field of UDP allows (RFC 768), and one more.
pub const BUFFER_SIZE: usize = 65_536;
/// Room for a `sockaddr_in6`, the larger of the two.
pub(super) const NAME_SIZE: usize = 28;

/// Set in [`Datagram::flags`] where the datagram was longer than the port's `max_packet_size`.
pub const TRUNCATED: u32 = 1;

/// One received datagram, with the layout of `udpr_datagram`.
///
/// Its bytes belong to the [`Inbound`] or [`Kept`] that lends it out; it is made nowhere else, and cannot be copied.
#[repr(C)]
#[derive(Debug)]
pub struct Datagram {
    size: usize,
    data: *const u8,
    len: usize,
    /// As it was sent, in bytes; more than the data where it was truncated.
    pub full_len: usize,
    /// Who sent it; on a dual-stack port IPv4 senders are `::ffff:a.b.c.d`.
    pub sender: Addr,
    /// Where it was sent to; unspecified unless the port asks for packet info.
    pub destination: Addr,
    /// Where it came in; 0 unless the port asks for packet info.
    pub interface_index: u32,
    /// [`TRUNCATED`] or 0.
    pub flags: u32,
    /// The kernel's receive time in nanoseconds since 1970, 0 unless the port asks for it.
    pub timestamp: u64,
    /// The TOS byte, -1 unless the port asks for it.
    pub tos: i32,
    /// The TTL or hop limit, -1 unless the port asks for it.
    pub ttl: i32,
}

impl Datagram {
    pub(super) const EMPTY: Datagram = Datagram {
        size: size_of::<Datagram>(),
        data: std::ptr::NonNull::dangling().as_ptr(),
        len: 0,
        full_len: 0,
        sender: Addr::UNSPECIFIED,
        destination: Addr::UNSPECIFIED,
        interface_index: 0,
        flags: 0,
        timestamp: 0,
        tos: -1,
        ttl: -1,
    };

    /// The payload, or what `max_packet_size` left of it.
    pub fn data(&self) -> &[u8] {
        // SAFETY: data and len are set together, by this module alone, to a piece of the buffer that outlives self.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }

    fn keep_at(&self, data: *const u8) -> Datagram {
        Datagram { data, ..*self }
    }
}

/// Some datagrams in the order they came, as one callback gets them.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    datagrams: &'a [Datagram],
    pointers: &'a [*const Datagram],
}

impl<'a> Batch<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// True where there are none.
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// One of them.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a Datagram> {
        self.datagrams.get(index)
    }

    /// Each in turn.
    pub fn iter(&self) -> std::slice::Iter<'a, Datagram> {
        self.datagrams.iter()
    }

    /// Their addresses, for a C array of pointers.
    pub fn pointers(&self) -> &'a [*const Datagram] {
        self.pointers
    }

    /// Those behind the first `count`.
    pub fn skip(&self, count: usize) -> Batch<'a> {
        let count = count.min(self.len());
        Batch { datagrams: &self.datagrams[count..], pointers: &self.pointers[count..] }
    }

    /// A copy that outlives the buffers, of those that `wanted` says.
    pub fn keep(&self, wanted: impl Fn(&Datagram) -> bool) -> Kept {
        let wanted = || self.iter().filter(|datagram| wanted(datagram));
        let bytes: Box<[u8]> = wanted().flat_map(Datagram::data).copied().collect();
        let mut rest = &bytes[..];
        let datagrams: Box<[Datagram]> = wanted()
            .map(|datagram| {
                let (data, behind) = rest.split_at(datagram.len);
                rest = behind;
                datagram.keep_at(data.as_ptr())
            })
            .collect();
        let pointers = datagrams.iter().map(std::ptr::from_ref).collect();
        Kept { _bytes: bytes, datagrams, pointers, taken: 0 }
    }
}

/// Datagrams that wait for a later turn, with memory of their own.
#[derive(Debug, Default)]
pub struct Kept {
    _bytes: Box<[u8]>,
    datagrams: Box<[Datagram]>,
    pointers: Box<[*const Datagram]>,
    taken: usize,
}

impl Kept {
    /// Those that still wait.
    pub fn batch(&self) -> Batch<'_> {
        Batch { datagrams: &self.datagrams[self.taken..], pointers: &self.pointers[self.taken..] }
    }

    /// Gives the first `count` up.
    pub fn take(&mut self, count: usize) {
        self.taken = (self.taken + count).min(self.datagrams.len());
    }
}

/// The buffers that a reactor's ports receive into, one port at a time: 64 of 64 KiB, which become real memory
/// only when they are written to.
#[derive(Debug)]
pub struct Inbound {
    buffers: Box<[u8]>,
    names: Box<[[u8; NAME_SIZE]]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    controls: Box<[Room<{ facts::ROOM }>]>,
    datagrams: Box<[Datagram]>,
    pointers: Box<[*const Datagram]>,
    /// Headers that the kernel has written to since they were laid out.
    used: usize,
    /// The local port whose datagrams tell more than bytes and sender.
    told: Option<u16>,
    /// Headers with room for control data.
    roomy: usize,
    /// Datagrams with facts from control data in them.
    informed: usize,
}

impl Default for Inbound {
    fn default() -> Inbound {
        let mut buffers = vec![0; MESSAGES_MAX * BUFFER_SIZE].into_boxed_slice();
        let mut names = vec![[0; NAME_SIZE]; MESSAGES_MAX].into_boxed_slice();
        let mut vectors: Box<[_]> = buffers
            .chunks_exact_mut(BUFFER_SIZE)
            .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: BUFFER_SIZE })
            .collect();
        let mut headers: Box<[_]> =
            vectors.iter_mut().zip(&mut names).map(|(vector, name)| header(vector, name)).collect();
        let mut controls = vec![Room([0; facts::ROOM]); MESSAGES_MAX].into_boxed_slice();
        headers.iter_mut().zip(&mut controls).for_each(|(header, room)| {
            header.msg_hdr.msg_control = room.0.as_mut_ptr().cast();
        });
        let datagrams: Box<[_]> = (0..BATCH_MAX).map(|_| Datagram::EMPTY).collect();
        let pointers = datagrams.iter().map(std::ptr::from_ref).collect();
        let (used, told, roomy, informed) = (0, None, 0, 0);
        Inbound {
            buffers,
            names,
            vectors,
            headers,
            controls,
            datagrams,
            pointers,
            used,
            told,
            roomy,
            informed,
        }
    }
}

/// A message header over one buffer and one name, as recvmmsg(2) and sendmmsg(2) want it.
pub(super) fn header(vector: &mut libc::iovec, name: &mut [u8; NAME_SIZE]) -> libc::mmsghdr {
    // SAFETY: a msghdr is integers and pointers; all of them may be zero.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = name.as_mut_ptr().cast();
    message.msg_namelen = NAME_SIZE as u32;
    message.msg_iov = vector;
    message.msg_iovlen = 1;
    libc::mmsghdr { msg_hdr: message, msg_len: 0 }
}

impl Inbound {
    /// Whether the next datagrams tell more than bytes and sender: then the local port, for [`Datagram::destination`].
    pub fn tell(&mut self, port: Option<u16>) {
        self.told = port;
    }

    /// Waiting datagrams, `count` of them at most (1 to 64), each cut at `size` bytes: one recvmmsg(2), which never
    /// waits. The answer is how many there are for [`Inbound::batch`]. Errors: EAGAIN, and those of the socket.
    pub fn receive(&mut self, fd: RawFd, count: usize, size: usize) -> io::Result<usize> {
        let count = count.clamp(1, MESSAGES_MAX);
        self.lay_out(count, size.clamp(1, BUFFER_SIZE));
        // MSG_TRUNC: each msg_len is the datagram's whole length, also where it was cut (recv(2)).
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        let headers = self.headers.as_mut_ptr();
        // SAFETY: `count` headers, each over a buffer, a name and control data of the lengths that it says.
        let got = unsafe { libc::recvmmsg(fd, headers, count as u32, flags as _, std::ptr::null_mut()) };
        self.used = check(got.into())?;
        Ok(self.used)
    }

    /// The kernel writes name lengths and flags, and shrinks what it reads: all of it is put right for each call.
    fn lay_out(&mut self, count: usize, size: usize) {
        for header in &mut self.headers[..self.used] {
            header.msg_hdr.msg_namelen = NAME_SIZE as u32;
            header.msg_hdr.msg_flags = 0;
        }
        let (roomy, room) = self.told.map_or((0, 0), |_| (count, facts::ROOM));
        for header in &mut self.headers[..roomy.max(self.roomy)] {
            header.msg_hdr.msg_controllen = room as _;
        }
        self.roomy = roomy;
        if self.vectors[0].iov_len != size {
            self.vectors.iter_mut().for_each(|vector| vector.iov_len = size);
        }
        self.used = 0;
    }

    /// The first `count` messages of the last [`Inbound::receive`].
    pub fn batch(&mut self, count: usize) -> Batch<'_> {
        let count = count.min(MESSAGES_MAX);
        for index in 0..count {
            let header = &self.headers[index];
            let name = &self.names[index][..(header.msg_hdr.msg_namelen as usize).min(NAME_SIZE)];
            let (full, room) = (header.msg_len as usize, self.vectors[index].iov_len);
            let datagram = &mut self.datagrams[index];
            datagram.data = self.buffers[index * BUFFER_SIZE..].as_ptr();
            datagram.len = full.min(room);
            datagram.full_len = full;
            datagram.flags = if full > room { TRUNCATED } else { 0 };
            datagram.sender = Addr::from_sockaddr(name).unwrap_or(Addr::UNSPECIFIED);
        }
        self.inform(count);
        Batch { datagrams: &self.datagrams[..count], pointers: &self.pointers[..count] }
    }

    /// Puts what control data tells into the first `count`; what earlier ones told is not theirs.
    fn inform(&mut self, count: usize) {
        let Some(port) = self.told else {
            let informed = std::mem::take(&mut self.informed);
            return self.datagrams[..informed].iter_mut().for_each(facts::forget);
        };
        self.informed = self.informed.max(count);
        for index in 0..count {
            // The type of the length differs between C libraries.
            let len: usize = self.headers[index].msg_hdr.msg_controllen as _;
            let control = &self.controls[index].0[..len.min(facts::ROOM)];
            facts::read(&mut self.datagrams[index], control, port);
        }
    }
}
