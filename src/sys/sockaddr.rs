//! Addresses as `sockaddr_in` and `sockaddr_in6`, byte by byte, since this runs for every datagram.
//!
//! ```text
//! sockaddr_in    head 0..2  port 2..4  address  4..8   zero     8..16
//! sockaddr_in6   head 0..2  port 2..4  flow     4..8   address  8..24   scope 24..28
//! ```
//!
//! Systems differ only in the head: [`Format`].

use super::imp::sockaddr::FORMAT;
use crate::addr::{Addr, family};
use crate::status::{Result, Status};

/// The length of a `sockaddr_in`.
const V4_LEN: usize = 16;
/// The length of a `sockaddr_in6`.
const V6_LEN: usize = 28;

/// How a system writes the first two bytes of a `sockaddr`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    /// AF_INET.
    pub(super) inet: u16,
    /// AF_INET6.
    pub(super) inet6: u16,
    /// The head is a byte with the length and a byte with the family, as in BSD. Otherwise it is the family in two bytes.
    pub(super) has_len: bool,
}

impl Addr {
    /// The length of the longer form.
    pub const SOCKADDR_MAX: usize = V6_LEN;

    /// Reads a `sockaddr`, which may be followed by other bytes.
    ///
    /// # Errors
    /// INVALID_ARGUMENT if it is too short for its family; ADDRESS_FAMILY if that is neither AF_INET nor AF_INET6.
    #[inline]
    pub fn from_sockaddr(raw: &[u8]) -> Result<Addr> {
        FORMAT.read(raw)
    }

    /// As [`Addr::from_sockaddr`] with the first `len` bytes, in place and in few instructions for IPv4. If it fails, the
    /// address is [`Addr::UNSPECIFIED`].
    #[inline]
    pub fn read_sockaddr(&mut self, raw: &[u8; Addr::SOCKADDR_MAX], len: usize) {
        match raw.first_chunk() {
            Some(v4) if len >= V4_LEN && FORMAT.family([v4[0], v4[1]]) == FORMAT.inet => *self = read_v4(v4),
            _ => self.read_other(raw, len),
        }
    }

    /// A function of its own, so that the path of IPv4 stays straight.
    #[cold]
    #[inline(never)]
    fn read_other(&mut self, raw: &[u8; Addr::SOCKADDR_MAX], len: usize) {
        let raw = &raw[..len.min(Addr::SOCKADDR_MAX)];
        *self = Addr::from_sockaddr(raw).unwrap_or(Addr::UNSPECIFIED);
    }

    /// Writes the `sockaddr` and returns its length: 16, 28, or 0 for no address.
    #[inline]
    pub fn to_sockaddr(&self, out: &mut [u8; Addr::SOCKADDR_MAX]) -> usize {
        FORMAT.write(self, out)
    }
}

impl Format {
    #[inline]
    const fn family(self, head: [u8; 2]) -> u16 {
        if self.has_len { head[1] as u16 } else { u16::from_ne_bytes(head) }
    }

    #[inline]
    const fn head(self, family: u16, len: usize) -> [u8; 2] {
        if self.has_len { [len as u8, family as u8] } else { family.to_ne_bytes() }
    }

    #[inline]
    fn read(self, raw: &[u8]) -> Result<Addr> {
        let head = *raw.first_chunk().ok_or(Status::INVALID_ARGUMENT)?;
        match self.family(head) {
            inet if inet == self.inet => raw.first_chunk().map(read_v4).ok_or(Status::INVALID_ARGUMENT),
            inet6 if inet6 == self.inet6 => read_v6(raw).ok_or(Status::INVALID_ARGUMENT),
            _ => Err(Status::ADDRESS_FAMILY),
        }
    }

    #[inline]
    fn write(self, addr: &Addr, out: &mut [u8; Addr::SOCKADDR_MAX]) -> usize {
        out[2..4].copy_from_slice(&addr.port.to_be_bytes());
        match addr.family {
            family::INET => {
                out[..2].copy_from_slice(&self.head(self.inet, V4_LEN));
                out[4..8].copy_from_slice(&addr.bytes[..4]);
                out[8..16].fill(0);
                V4_LEN
            }
            family::INET6 => {
                out[..2].copy_from_slice(&self.head(self.inet6, V6_LEN));
                out[4..8].copy_from_slice(&addr.flow_info.to_ne_bytes());
                out[8..24].copy_from_slice(&addr.bytes);
                out[24..].copy_from_slice(&addr.scope_id.to_ne_bytes());
                V6_LEN
            }
            _ => 0,
        }
    }
}

#[inline]
fn read_v4(raw: &[u8; V4_LEN]) -> Addr {
    let [_, _, p0, p1, a, b, c, d, ..] = *raw;
    Addr::v4([a, b, c, d], u16::from_be_bytes([p0, p1]))
}

#[inline]
fn read_v6(raw: &[u8]) -> Option<Addr> {
    let [_, _, p0, p1, f0, f1, f2, f3, ip @ .., s0, s1, s2, s3] = *raw.first_chunk::<V6_LEN>()?;
    let addr = Addr::v6(ip, u16::from_be_bytes([p0, p1]), u32::from_ne_bytes([s0, s1, s2, s3]));
    Some(Addr { flow_info: u32::from_ne_bytes([f0, f1, f2, f3]), ..addr })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINUX: Format = Format { inet: 2, inet6: 10, has_len: false };
    const FREEBSD: Format = Format { inet: 2, inet6: 28, has_len: true };
    const MACOS: Format = Format { inet: 2, inet6: 30, has_len: true };
    const WINDOWS: Format = Format { inet: 2, inet6: 23, has_len: false };

    const V4: Addr = Addr::v4([1, 2, 3, 4], 0x1234);
    const V6: Addr = Addr {
        flow_info: 0x0102_0304,
        ..Addr::v6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 9, 8, 7, 6, 5, 4, 3, 2], 0x1234, 5)
    };

    /// All fields, of which equality leaves one out.
    fn assert_same(one: &Addr, other: &Addr) {
        assert_eq!((one, one.flow_info), (other, other.flow_info));
    }

    #[test]
    fn every_system_reads_what_it_writes() {
        for format in [FORMAT, LINUX, FREEBSD, MACOS, WINDOWS] {
            for addr in [V4, V6, Addr::v4([0; 4], 0), Addr::v6([0xff; 16], u16::MAX, u32::MAX)] {
                // Bytes that were in the buffer before must not show.
                let mut raw = [0xa5; Addr::SOCKADDR_MAX];
                let len = format.write(&addr, &mut raw);
                assert_same(&format.read(&raw[..len]).expect("whole"), &addr);
                assert_same(&format.read(&[&raw[..len], &[1; 100]].concat()).expect("longer"), &addr);
                for short in 0..len {
                    assert_eq!(format.read(&raw[..short]), Err(Status::INVALID_ARGUMENT));
                }
            }
            assert_eq!(format.write(&Addr::UNSPECIFIED, &mut [0; Addr::SOCKADDR_MAX]), 0);
            for family in [0, 1, 17] {
                let mut raw = [0; Addr::SOCKADDR_MAX];
                raw[..2].copy_from_slice(&format.head(family, Addr::SOCKADDR_MAX));
                assert_eq!(format.read(&raw), Err(Status::ADDRESS_FAMILY));
            }
        }
    }

    #[test]
    fn the_head_is_the_systems() {
        let head = |format: Format, addr: &Addr| {
            let mut raw = [0xa5; Addr::SOCKADDR_MAX];
            format.write(addr, &mut raw);
            [raw[0], raw[1]]
        };
        assert_eq!((head(LINUX, &V4), head(LINUX, &V6)), (2u16.to_ne_bytes(), 10u16.to_ne_bytes()));
        assert_eq!((head(WINDOWS, &V4), head(WINDOWS, &V6)), (2u16.to_ne_bytes(), 23u16.to_ne_bytes()));
        assert_eq!((head(FREEBSD, &V4), head(FREEBSD, &V6)), ([16, 2], [28, 28]));
        assert_eq!((head(MACOS, &V4), head(MACOS, &V6)), ([16, 2], [28, 30]));
    }

    /// Programs often leave the length at 0.
    #[test]
    fn the_length_in_the_head_is_not_read() {
        let mut raw = [0; Addr::SOCKADDR_MAX];
        let len = MACOS.write(&V6, &mut raw);
        raw[0] = 0;
        assert_same(&MACOS.read(&raw[..len]).expect("whole"), &V6);
    }

    #[test]
    fn reading_in_place_is_the_same() {
        for addr in [V4, V6, Addr::UNSPECIFIED] {
            let mut raw = [0; Addr::SOCKADDR_MAX];
            let whole = addr.to_sockaddr(&mut raw);
            for len in 0..=Addr::SOCKADDR_MAX + 1 {
                let mut read = Addr::v4([9; 4], 9);
                read.read_sockaddr(&raw, len);
                assert_same(&read, if len >= whole { &addr } else { &Addr::UNSPECIFIED });
            }
        }
    }
}
