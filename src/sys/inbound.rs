//! Receiving many datagrams by one recvmmsg(2), merged ones (GRO) among them.

use super::batch::{BATCH_MAX, Batch, Datagram, TRUNCATED};
use super::cmsg::Room;
use super::{check, facts};
use crate::addr::Addr;
use std::io;
use std::ops::Range;
use std::os::fd::RawFd;

/// The most messages that one recvmmsg(2) may fill.
pub const MESSAGES_MAX: usize = 64;
/// Bytes of a receive buffer: the longest payload that the length field of UDP allows (RFC 768), and one more. Merged
/// datagrams are no longer than that either, however many they are (udp_gro_receive in net/ipv4/udp_offload.c).
const BUFFER_SIZE: usize = 65_536;
/// Room for a `sockaddr_in6`, the larger of the two.
pub(super) const NAME_SIZE: usize = 28;

/// How a port's socket is received from.
#[derive(Clone, Copy, Debug)]
pub struct Reception {
    /// Messages that one call asks for, 1 to 64.
    pub messages: usize,
    /// Bytes that a datagram is cut at.
    pub packet_size: usize,
    /// The socket merges datagrams (UDP_GRO, udp(7)).
    pub merges: bool,
    /// Where datagrams tell more than bytes and sender: the local port, for [`Datagram::destination`].
    pub told: Option<u16>,
}

/// What one call has brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Messages, each of which may be many datagrams.
    pub messages: usize,
    /// Datagrams.
    pub datagrams: usize,
    /// Their bytes, after the cut.
    pub bytes: usize,
    /// Datagrams that were cut.
    pub truncated: usize,
}

impl Received {
    /// One message of `len` bytes, cut into datagrams of `segment` bytes.
    #[inline]
    fn count(&mut self, len: usize, segment: usize, packet_size: usize) {
        let (whole, last) = if len == segment { (1, 0) } else { (len / segment, len % segment) };
        self.datagrams += (whole + usize::from(last > 0)).max(1);
        self.bytes += whole * segment.min(packet_size) + last.min(packet_size);
        if segment > packet_size {
            self.truncated += whole + usize::from(last > packet_size);
        }
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
    /// Bytes of the datagrams in each message; the last one may be shorter.
    segments: Box<[usize]>,
    /// Headers that the kernel has written to since they were laid out.
    used: usize,
    /// Headers with room for control data.
    roomy: usize,
    /// Datagrams with facts from control data in them.
    informed: usize,
    /// The first message, and byte of it, that no batch has been made of.
    next: (usize, usize),
    packet_size: usize,
    told: Option<u16>,
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
        let segments = vec![0; MESSAGES_MAX].into_boxed_slice();
        let (used, roomy, informed, next, packet_size, told) = (0, 0, 0, (0, 0), BUFFER_SIZE, None);
        Inbound {
            buffers,
            names,
            vectors,
            headers,
            controls,
            datagrams,
            pointers,
            segments,
            used,
            roomy,
            informed,
            next,
            packet_size,
            told,
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
    /// Waiting datagrams: one recvmmsg(2), which never waits. [`Inbound::next_batch`] hands them out. Errors: EAGAIN, and
    /// those of the socket.
    pub fn receive(&mut self, fd: RawFd, reception: &Reception) -> io::Result<Received> {
        let count = reception.messages.clamp(1, MESSAGES_MAX);
        self.lay_out(count, reception);
        // MSG_TRUNC: each msg_len is the datagram's whole length, also where it was cut (recv(2)).
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        let headers = self.headers.as_mut_ptr();
        // SAFETY: `count` headers, each over a buffer, a name and control data of the lengths that it says.
        let got = unsafe { libc::recvmmsg(fd, headers, count as u32, flags as _, std::ptr::null_mut()) };
        self.used = check(got.into())?;
        Ok(self.measure(reception.merges))
    }

    /// The kernel writes name lengths and flags, and shrinks what it reads: all of it is put right for each call.
    fn lay_out(&mut self, count: usize, reception: &Reception) {
        for header in &mut self.headers[..self.used] {
            header.msg_hdr.msg_namelen = NAME_SIZE as u32;
            header.msg_hdr.msg_flags = 0;
        }
        let wants_control = reception.merges || reception.told.is_some();
        let (roomy, room) = if wants_control { (count, facts::ROOM) } else { (0, 0) };
        for header in &mut self.headers[..roomy.max(self.roomy)] {
            header.msg_hdr.msg_controllen = room as _;
        }
        self.roomy = roomy;
        // A buffer that is too short for merged datagrams loses those behind it.
        let size = if reception.merges { BUFFER_SIZE } else { reception.packet_size.clamp(1, BUFFER_SIZE) };
        if self.vectors[0].iov_len != size {
            self.vectors.iter_mut().for_each(|vector| vector.iov_len = size);
        }
        (self.used, self.next) = (0, (0, 0));
        (self.packet_size, self.told) = (reception.packet_size, reception.told);
    }

    /// What the messages hold.
    fn measure(&mut self, merges: bool) -> Received {
        let mut received = Received { messages: self.used, ..Received::default() };
        for index in 0..self.used {
            let len = self.headers[index].msg_len as usize;
            let merged = if merges { facts::segment(self.control(index)) } else { None };
            let segment = merged.map_or(len, |segment| segment.clamp(1, len.max(1)));
            self.segments[index] = segment;
            received.count(len, segment, self.packet_size);
        }
        received
    }

    fn control(&self, index: usize) -> &[u8] {
        // The type of the length differs between C libraries.
        let len: usize = self.headers[index].msg_hdr.msg_controllen as _;
        &self.controls[index].0[..len.min(facts::ROOM)]
    }

    /// The next datagrams of the last [`Inbound::receive`], at most 256, laid out without copying; none when all have
    /// been handed out.
    pub fn next_batch(&mut self) -> Option<Batch<'_>> {
        let (mut index, mut offset) = self.next;
        let mut count = 0;
        while index < self.used && count < BATCH_MAX {
            let message = &self.headers[index];
            let (len, segment) = (message.msg_len as usize, self.segments[index]);
            let name = &self.names[index][..(message.msg_hdr.msg_namelen as usize).min(NAME_SIZE)];
            let sender = Addr::from_sockaddr(name).unwrap_or(Addr::UNSPECIFIED);
            let buffer = &self.buffers[index * BUFFER_SIZE..][..BUFFER_SIZE];
            let first = count;
            for datagram in &mut self.datagrams[first..] {
                let full_len = segment.min(len - offset);
                let data = buffer.get(offset..).unwrap_or_default();
                datagram.lay(data, full_len, self.packet_size);
                datagram.sender = sender;
                count += 1;
                offset += full_len;
                if offset >= len {
                    (index, offset) = (index + 1, 0);
                    break;
                }
            }
            if self.told.is_some() || self.informed > first {
                self.inform(first..count, index - usize::from(offset == 0));
            }
        }
        self.next = (index, offset);
        let batch = Batch { datagrams: &self.datagrams[..count], pointers: &self.pointers[..count] };
        (count > 0).then_some(batch)
    }

    /// Puts what a message's control data tells into its datagrams; what earlier ones told is not theirs.
    #[cold]
    fn inform(&mut self, datagrams: Range<usize>, message: usize) {
        let Range { start, end } = datagrams;
        let Some(port) = self.told else {
            self.datagrams[start..self.informed].iter_mut().for_each(facts::forget);
            self.informed = start;
            return;
        };
        // Not by Inbound::control, which would borrow the datagrams too.
        let len: usize = self.headers[message].msg_hdr.msg_controllen as _;
        let control = &self.controls[message].0[..len.min(facts::ROOM)];
        for datagram in &mut self.datagrams[start..end] {
            facts::read(datagram, control, port);
        }
        self.informed = self.informed.max(end);
    }
}

impl Datagram {
    /// Its bytes: the first of `data`, `full_len` long as it was sent, cut at `packet_size`.
    #[inline]
    fn lay(&mut self, data: &[u8], full_len: usize, packet_size: usize) {
        self.data = data.as_ptr();
        self.len = full_len.min(packet_size).min(data.len());
        self.full_len = full_len;
        self.flags = if full_len > self.len { TRUNCATED } else { 0 };
    }
}
