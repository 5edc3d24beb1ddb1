//! Sending many datagrams by one sendmmsg(2): an arena that writes are copied into, with message headers laid as
//! they come.

use super::batch::{NAME_SIZE, header};
use super::{Control, check};
use crate::addr::Addr;
use std::io;
use std::os::fd::RawFd;

/// The most messages of one sendmmsg(2) here.
const MESSAGES: usize = 128;
/// Bytes of the arena: four datagrams of the largest size, or 128 of two KiB.
const ARENA: usize = 256 * 1024;

/// Datagrams of one port that leave together.
#[derive(Debug)]
pub struct Outbound {
    arena: Box<[u8]>,
    names: Box<[[u8; NAME_SIZE]]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    controls: Box<[Control]>,
    filled: usize,
    count: usize,
    sent: usize,
}

impl Default for Outbound {
    fn default() -> Outbound {
        let arena = vec![0; ARENA].into_boxed_slice();
        let mut names = vec![[0; NAME_SIZE]; MESSAGES].into_boxed_slice();
        let empty = || libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let mut vectors: Box<[_]> = (0..MESSAGES).map(|_| empty()).collect();
        let headers = vectors.iter_mut().zip(&mut names).map(|(vector, name)| header(vector, name)).collect();
        let controls = vec![Control::EMPTY; MESSAGES].into_boxed_slice();
        Outbound { arena, names, vectors, headers, controls, filled: 0, count: 0, sent: 0 }
    }
}

impl Outbound {
    /// True where `len` more bytes fit as `pieces` datagrams.
    pub fn has_room(&self, len: usize, pieces: usize) -> bool {
        MESSAGES - self.count >= pieces && ARENA - self.filled >= len
    }

    /// Adds a datagram of `len` bytes that `fill` writes; without `to` it goes to the connected peer. The caller has
    /// asked [`Outbound::has_room`].
    pub fn push(&mut self, len: usize, to: Option<&Addr>, fill: impl FnOnce(&mut [u8])) {
        let place = &mut self.arena[self.filled..self.filled + len];
        fill(place);
        let index = self.count;
        self.vectors[index] = libc::iovec { iov_base: place.as_mut_ptr().cast(), iov_len: len };
        let message = &mut self.headers[index].msg_hdr;
        message.msg_name = self.names[index].as_mut_ptr().cast();
        message.msg_namelen = to.map_or(0, |addr| addr.to_sockaddr(&mut self.names[index]) as u32);
        message.msg_controllen = 0;
        self.filled += len;
        self.count += 1;
    }

    /// Gives the last one control data.
    pub fn attach(&mut self, control: &Control) {
        let Some(index) = self.count.checked_sub(1) else { return };
        self.controls[index] = *control;
        let message = &mut self.headers[index].msg_hdr;
        message.msg_control = self.controls[index].as_mut_ptr();
        message.msg_controllen = control.bytes().len() as _;
    }

    /// Cuts the last one into datagrams of `size` bytes, not 0, with the same destination and control data. The caller
    /// has asked [`Outbound::has_room`] for that many.
    pub fn cut(&mut self, size: usize) {
        let Some(first) = self.count.checked_sub(1) else { return };
        let start = self.filled - self.vectors[first].iov_len;
        let (name, control, like) = (self.names[first], self.controls[first], self.headers[first]);
        for (index, piece) in (first..MESSAGES).zip(self.arena[start..self.filled].chunks_mut(size)) {
            self.vectors[index] = libc::iovec { iov_base: piece.as_mut_ptr().cast(), iov_len: piece.len() };
            (self.names[index], self.controls[index]) = (name, control);
            self.headers[index] = like;
            let message = &mut self.headers[index].msg_hdr;
            message.msg_iov = &mut self.vectors[index];
            message.msg_name = self.names[index].as_mut_ptr().cast();
            message.msg_control = self.controls[index].as_mut_ptr();
            self.count = index + 1;
        }
    }

    /// How many have not been sent.
    pub fn pending(&self) -> usize {
        self.count - self.sent
    }

    /// The next one to be sent, where it goes to, and its control data.
    pub fn front(&self) -> Option<(&[u8], Option<Addr>, Option<&Control>)> {
        let index = (self.sent < self.count).then_some(self.sent)?;
        let before: usize = self.vectors[..index].iter().map(|vector| vector.iov_len).sum();
        let message = &self.headers[index].msg_hdr;
        let name = &self.names[index][..message.msg_namelen as usize];
        let control = (message.msg_controllen > 0).then(|| &self.controls[index]);
        let data = &self.arena[before..before + self.vectors[index].iov_len];
        Some((data, Addr::from_sockaddr(name).ok(), control))
    }

    /// Counts the next `count` as done with.
    pub fn skip(&mut self, count: usize) {
        self.sent = (self.sent + count).min(self.count);
    }

    /// Payload bytes of the next `count`.
    pub fn bytes(&self, count: usize) -> usize {
        self.vectors[self.sent..self.count].iter().take(count).map(|vector| vector.iov_len).sum()
    }

    /// Sends of those that wait, `limit` at most: one sendmmsg(2), which never waits. The answer is how many the
    /// kernel took, at least one; an error is the first one's. The caller skips what is done with.
    pub fn send(&mut self, fd: RawFd, limit: usize) -> io::Result<usize> {
        let headers = &mut self.headers[self.sent..self.count];
        let count = headers.len().min(limit) as u32;
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: `count` headers over bytes, names and control data of the lengths they say; the kernel writes
        // msg_len alone.
        let sent = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), count, flags as _) };
        check(sent.into())
    }

    /// Empties it.
    pub fn clear(&mut self) {
        (self.filled, self.count, self.sent) = (0, 0, 0);
    }
}
