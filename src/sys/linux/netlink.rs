//! Reads whole tables of the kernel's network configuration: rtnetlink(7). Numbers are in this machine's byte order.

use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read};

/// No message of a dump is longer (`netlink_dump`, net/netlink/af_netlink.c).
const BUFFER: usize = 32 * 1024;
/// The length of a `nlmsghdr`.
const HEADER: usize = 16;
/// Any number, which the kernel repeats in its messages.
const SEQUENCE: u32 = 1;

/// A list of values, each behind a header that begins with the length of both: 32 bits for messages, 16 for attributes. The
/// next one begins at a multiple of 4.
struct Records<'a> {
    rest: &'a [u8],
    header: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let len = match self.header {
            HEADER => read_u32(self.rest, 0)? as usize,
            _ => read_u16(self.rest, 0)?.into(),
        };
        let record = self.rest.get(..len)?;
        let (header, value) = record.split_at_checked(self.header)?;
        self.rest = self.rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((header, value))
    }
}

/// An entry of a table.
pub(super) struct Entry<'a>(pub(super) &'a [u8]);

impl<'a> Entry<'a> {
    /// A byte of the struct that the entry begins with.
    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    /// 32 bits of that struct.
    pub(super) fn word(&self, at: usize) -> Option<u32> {
        read_u32(self.0, at)
    }

    /// An attribute behind that struct, which has `head` bytes.
    pub(super) fn attribute(&self, head: usize, kind: u16) -> Option<&'a [u8]> {
        let mut all = Records { rest: self.0.get(head..)?, header: 4 };
        all.find(|(header, _)| read_u16(header, 2) == Some(kind)).map(|(_, value)| value)
    }
}

/// A number at an offset.
pub(super) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|half| u16::from_ne_bytes(*half))
}

/// Calls `visit` for every entry of the table that `request` asks for, RTM_GETLINK or RTM_GETADDR, in the calling thread's
/// network namespace. Returns false if the table has changed in the meantime, so that entries may be missing.
pub(super) fn dump(request: u16, mut visit: impl FnMut(Entry<'_>) -> io::Result<()>) -> io::Result<bool> {
    let protocol = Some(Protocol::from(libc::NETLINK_ROUTE));
    let socket = Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, protocol)?;
    send_request(&socket, request)?;
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(BUFFER).map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))?;
    buffer.resize(BUFFER, 0);
    let mut is_consistent = true;
    loop {
        let len = receive(&socket, &mut buffer)?;
        let messages = Records { rest: buffer.get(..len).unwrap_or_default(), header: HEADER };
        for (header, value) in messages {
            let (kind, flags) = (read_u16(header, 4), read_u16(header, 6));
            if read_u32(header, 8) != Some(SEQUENCE) {
                continue;
            }
            is_consistent &= flags.is_none_or(|flags| i32::from(flags) & libc::NLM_F_DUMP_INTR == 0);
            match kind.map(i32::from) {
                Some(libc::NLMSG_DONE) => return error_of(value).map(|()| is_consistent),
                Some(libc::NLMSG_ERROR) => error_of(value)?,
                _ => visit(Entry(value))?,
            }
        }
    }
}

fn send_request(socket: &Socket, request: u16) -> io::Result<()> {
    // A nlmsghdr, and a rtgenmsg with AF_UNSPEC: every family.
    const LEN: usize = HEADER + 4;
    let mut message = [0; LEN];
    message[..4].copy_from_slice(&(LEN as u32).to_ne_bytes());
    message[4..6].copy_from_slice(&request.to_ne_bytes());
    message[6..8].copy_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    message[8..12].copy_from_slice(&SEQUENCE.to_ne_bytes());
    socket.send(&message).map(drop)
}

/// The next messages. Only the kernel and root can send to a socket of rtnetlink.
fn receive(mut socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The errno, negated, that NLMSG_ERROR begins with, and NLMSG_DONE of a dump that has failed.
fn error_of(value: &[u8]) -> io::Result<()> {
    match read_u32(value, 0).map(|number| number as i32) {
        Some(number @ ..0) => Err(io::Error::from_raw_os_error(number.wrapping_neg())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn attributes_are_found_behind_others() {
        let bytes = [vec![7; 8], attribute(1, b"abcde"), attribute(2, b""), attribute(3, b"xy")].concat();
        let entry = Entry(&bytes);
        assert_eq!((entry.byte(0), entry.word(4)), (Some(7), Some(0x0707_0707)));
        assert_eq!(entry.attribute(8, 1), Some(&b"abcde"[..]));
        assert_eq!(entry.attribute(8, 2), Some(&b""[..]));
        assert_eq!(entry.attribute(8, 3), Some(&b"xy"[..]));
        assert_eq!((entry.attribute(8, 4), entry.attribute(800, 1)), (None, None));
    }

    #[test]
    fn wrong_lengths_end_a_list() {
        for len in [0u16, 1, 3, 200, u16::MAX] {
            let bytes = [&len.to_ne_bytes()[..], &[3, 0, 1, 2, 3, 4]].concat();
            assert_eq!(Records { rest: &bytes, header: 4 }.count(), 0, "{len}");
        }
        for len in [0u32, 15, 18, u32::MAX] {
            let bytes = [&len.to_ne_bytes()[..], &[0; 13]].concat();
            assert_eq!(Records { rest: &bytes, header: HEADER }.count(), 0, "{len}");
        }
        let short = attribute(3, b"xy");
        for len in 0..6 {
            assert_eq!(Entry(&short[..len]).attribute(0, 3), None);
        }
        assert_eq!(Entry(&short[..6]).attribute(0, 3), Some(&b"xy"[..]));
    }

    #[test]
    fn errors_are_errnos() {
        assert_eq!(error_of(&(-13i32).to_ne_bytes()).unwrap_err().raw_os_error(), Some(13));
        assert!(error_of(&0i32.to_ne_bytes()).is_ok() && error_of(&[]).is_ok());
    }

    #[test]
    fn an_unknown_table_is_an_error() {
        let result = dump(u16::MAX, |_| Ok(()));
        assert!(result.is_err(), "{result:?}");
    }
}
