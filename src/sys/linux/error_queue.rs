//! The error queue of a socket (IP_RECVERR, ip(7); IPV6_RECVERR, ipv6(7)): what the kernel and the network have to say
//! of datagrams that were sent.

use super::check;
use super::mmsg_headers::{NAME_SIZE, header};
use crate::addr::Addr;
use crate::status::Status;
use crate::sys::cmsg::{Item, items};
use crate::sys::report::{Report, origin};
use std::io;
use std::os::fd::RawFd;

/// Payload bytes that are kept. An ICMP message has 576 bytes at most (RFC 1812, 4.3.2.3), an ICMPv6 message 1280
/// (RFC 4443, 2.4).
const DATA_MAX: usize = 2048;
/// Room for ancillary data in words of 8 bytes: the error needs 60 bytes, the rest is for options that others may have set.
const CONTROL_WORDS: usize = 64;

/// The next entry of the queue: one recvmsg(2) with MSG_ERRQUEUE, which never waits. None for an entry that is no error
/// (for example a time stamp). Errors: EAGAIN if the queue is empty.
pub(in crate::sys) fn read(fd: RawFd) -> io::Result<Option<Report>> {
    let (mut data, mut name, mut control) = ([0u8; DATA_MAX], [0u8; NAME_SIZE], [0u64; CONTROL_WORDS]);
    let mut vector = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: DATA_MAX };
    let mut message = header(&raw mut vector, &raw mut name).msg_hdr;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: a header over buffers of the lengths that it says.
    let got = unsafe { libc::recvmsg(fd, &mut message, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT) };
    let len = check(got as libc::c_long)?.min(DATA_MAX);
    let name_len = (message.msg_namelen as usize).min(NAME_SIZE);
    #[allow(clippy::unnecessary_cast, reason = "32 bits with musl")]
    let control_len = (message.msg_controllen as usize).min(size_of_val(&control));
    // SAFETY: words are bytes, `control_len` of them at most; nobody writes to them any more.
    let control = unsafe { std::slice::from_raw_parts(control.as_ptr().cast::<u8>(), control_len) };
    Ok(decode(&name[..name_len], control, &data[..len]))
}

/// A report out of the name, the ancillary data and the payload of one message. None if it contains no error.
///
/// The name is the destination, not the sender. The origin tells what an entry is, not the level of the ancillary data:
/// an IPv6 socket gets errors about IPv4 at the level of IPv6.
pub fn decode(name: &[u8], control: &[u8], data: &[u8]) -> Option<Report> {
    // struct sock_extended_err: errno 0..4  origin 4  type 5  code 6  pad 7  info 8..12  data 12..16, then the offender
    let error = extended_error(control)?;
    let (fields, offender) = error.split_first_chunk::<16>()?;
    let [e0, e1, e2, e3, from, icmp_type, icmp_code, _, i0, i1, i2, i3, ..] = *fields;
    let origin = match from {
        libc::SO_EE_ORIGIN_LOCAL => origin::LOCAL,
        libc::SO_EE_ORIGIN_ICMP => origin::ICMP,
        libc::SO_EE_ORIGIN_ICMP6 => origin::ICMP6,
        _ => return None,
    };
    let status = Status::from_errno(i32::from_ne_bytes([e0, e1, e2, e3]));
    let too_long = status == Status::MESSAGE_TOO_LONG;
    let icmp = |number: u8| if origin == origin::LOCAL { 0 } else { number.into() };
    Some(Report {
        status,
        origin,
        to: Addr::from_sockaddr(name).unwrap_or(Addr::UNSPECIFIED),
        reporter: Addr::from_sockaddr(offender).unwrap_or(Addr::UNSPECIFIED),
        icmp_type: icmp(icmp_type),
        icmp_code: icmp(icmp_code),
        mtu: if too_long { u32::from_ne_bytes([i0, i1, i2, i3]) } else { 0 },
        data: Report::copy(data),
        tag: 0,
    })
}

/// The body of the first control message that carries an error.
fn extended_error(control: &[u8]) -> Option<&[u8]> {
    let is_error = |item: &Item<'_>| {
        matches!(
            (item.level, item.kind),
            (libc::SOL_IP, libc::IP_RECVERR) | (libc::SOL_IPV6, libc::IPV6_RECVERR)
        )
    };
    items(control).find(is_error).map(|item| item.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD: Addr = Addr::v4([192, 0, 2, 1], 9);
    const ROUTER: Addr = Addr::v4([192, 0, 2, 254], 0);

    fn sockaddr(addr: &Addr) -> Vec<u8> {
        let mut raw = [0; Addr::SOCKADDR_MAX];
        let len = addr.to_sockaddr(&mut raw);
        raw[..len].to_vec()
    }

    fn control_message(level: i32, kind: i32, body: &[u8]) -> Vec<u8> {
        let mut message = (size_of::<usize>() + 8 + body.len()).to_ne_bytes().to_vec();
        message.extend([level, kind].iter().flat_map(|number| number.to_ne_bytes()));
        message.extend(body);
        message.resize(message.len().next_multiple_of(size_of::<usize>()), 0);
        message
    }

    fn error(errno: i32, origin: u8, kind: u8, code: u8, info: u32) -> Vec<u8> {
        let mut body = errno.to_ne_bytes().to_vec();
        body.extend([origin, kind, code, 0]);
        body.extend(info.to_ne_bytes());
        body.extend([0; 4]);
        body.extend(sockaddr(&ROUTER));
        body
    }

    #[test]
    fn port_unreachable() {
        let body = error(libc::ECONNREFUSED, libc::SO_EE_ORIGIN_ICMP, 3, 3, 77);
        let control = control_message(libc::SOL_IP, libc::IP_RECVERR, &body);
        let expected = Report {
            status: Status::CONNECTION_REFUSED,
            origin: origin::ICMP,
            to: DEAD,
            reporter: ROUTER,
            icmp_type: 3,
            icmp_code: 3,
            mtu: 0,
            data: b"ping"[..].into(),
            tag: 0,
        };
        assert_eq!(decode(&sockaddr(&DEAD), &control, b"ping"), Some(expected));
    }

    #[test]
    fn the_origin_tells_and_not_the_level() {
        let body = error(libc::EMSGSIZE, libc::SO_EE_ORIGIN_ICMP, 3, 4, 1400);
        let time = control_message(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &[0; 13]);
        let control = [time, control_message(libc::SOL_IPV6, libc::IPV6_RECVERR, &body)].concat();
        let report = decode(&sockaddr(&DEAD.map_v4().unwrap()), &control, b"").unwrap();
        assert_eq!((report.origin, report.mtu), (origin::ICMP, 1400));
        assert_eq!(report.to, DEAD.map_v4().unwrap());
    }

    #[test]
    fn a_time_stamp_is_no_error() {
        let body = error(libc::ENOMSG, libc::SO_EE_ORIGIN_TIMESTAMPING, 0, 0, 0);
        assert_eq!(decode(&[], &control_message(libc::SOL_IP, libc::IP_RECVERR, &body), b""), None);
        assert_eq!(decode(&[], &[], b""), None);
    }

    /// Whatever is cut off or changed: an answer, never a panic.
    #[test]
    fn any_bytes_are_survived() {
        let body = error(libc::ECONNREFUSED, libc::SO_EE_ORIGIN_ICMP6, 1, 4, 0);
        let whole = control_message(libc::SOL_IPV6, libc::IPV6_RECVERR, &body);
        let head = size_of::<usize>() + 8;
        for len in 0..whole.len() {
            let report = decode(&sockaddr(&DEAD)[..len.min(16)], &whole[..len], b"");
            assert_eq!(report, None, "the body ends behind {len} bytes");
        }
        for index in 0..head {
            for value in [0, 1, 15, 16, 17, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[index] = value;
                let _ = decode(&[], &bytes, b"");
            }
        }
    }
}
