//! Control data, the ancillary part of recvmsg(2) and sendmsg(2): pure over bytes, safe against any of them.
//!
//! ```text
//! length: size_t or socklen_t   level: int   type: int   value, aligned   padding (cmsg(3))
//! ```
//!
//! Systems differ in the type of the length, and in the alignment: [`Layout`].

use super::imp::control::LAYOUT;

/// Room for all control data that one sent datagram can have: a `struct in6_pktinfo`, TOS, TTL, segment size, and instant.
const CONTROL_SIZE: usize = LAYOUT.space(20) + 3 * LAYOUT.space(4) + LAYOUT.space(8);

/// How a system lays out control data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// The bytes of the length.
    pub(super) length: usize,
    /// What items and values are aligned to.
    pub(super) align: usize,
}

/// Room for control data, aligned as `struct cmsghdr` is.
#[derive(Clone, Copy, Debug)]
#[repr(align(8))]
pub(in crate::sys) struct ControlBuffer<const SIZE: usize>(pub(in crate::sys) [u8; SIZE]);

/// One received item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Of the protocol, as setsockopt(2) has it.
    pub level: i32,
    /// The type of the control message.
    pub kind: i32,
    /// Its bytes.
    pub value: &'a [u8],
}

/// The items of received control data. It ends at the first length that cannot be; a value that the kernel cut, for
/// lack of room, is as short as it came.
#[inline]
pub fn items(control: &[u8]) -> impl Iterator<Item = Item<'_>> {
    LAYOUT.items(control)
}

impl Layout {
    /// CMSG_LEN(0): where the value of an item begins.
    #[inline(always)]
    const fn header(self) -> usize {
        (self.length + 8).next_multiple_of(self.align)
    }

    /// CMSG_SPACE.
    #[inline(always)]
    const fn space(self, len: usize) -> usize {
        self.header() + len.next_multiple_of(self.align)
    }

    #[inline(always)]
    fn items(self, control: &[u8]) -> impl Iterator<Item = Item<'_>> {
        let mut rest = control;
        std::iter::from_fn(move || {
            let (item, behind) = self.split(rest)?;
            rest = behind;
            Some(item)
        })
    }

    #[inline(always)]
    fn split(self, bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
        let (header, values) = bytes.split_at_checked(self.header())?;
        let (len, level_and_kind) = header.split_at(self.length);
        let level = level_and_kind.first_chunk()?;
        let kind = level_and_kind[4..].first_chunk()?;
        let len = read_length(len)?.checked_sub(self.header())?;
        let value = values.get(..len)?;
        // Of the last one the padding may be missing.
        let behind = values.get(len.next_multiple_of(self.align)..).unwrap_or_default();
        Some((Item { level: i32::from_ne_bytes(*level), kind: i32::from_ne_bytes(*kind), value }, behind))
    }

    /// Writes an item into a place of [`Layout::space`] bytes.
    fn write(self, place: &mut [u8], level: i32, kind: i32, value: &[u8]) {
        let (header, values) = place.split_at_mut(self.header());
        let len = self.header() + value.len();
        match self.length {
            4 => header[..4].copy_from_slice(&(len as u32).to_ne_bytes()),
            _ => header[..8].copy_from_slice(&(len as u64).to_ne_bytes()),
        }
        header[self.length..self.length + 4].copy_from_slice(&level.to_ne_bytes());
        header[self.length + 4..self.length + 8].copy_from_slice(&kind.to_ne_bytes());
        values[..value.len()].copy_from_slice(value);
    }
}

/// A length of 4 or 8 bytes.
#[inline(always)]
fn read_length(bytes: &[u8]) -> Option<usize> {
    match bytes.first_chunk() {
        Some(long) => usize::try_from(u64::from_ne_bytes(*long)).ok(),
        None => bytes.first_chunk().map(|short| u32::from_ne_bytes(*short) as usize),
    }
}

/// Control data to be sent with a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    pub(super) room: ControlBuffer<CONTROL_SIZE>,
    len: usize,
}

impl Control {
    /// Nothing yet.
    pub const EMPTY: Control = Control { room: ControlBuffer([0; CONTROL_SIZE]), len: 0 };

    /// Removes everything.
    #[cfg(all(target_os = "linux", not(udpr_portable)))]
    pub(in crate::sys) fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds an item. If there is no room, nothing is added; CONTROL_SIZE has to be large enough.
    pub(in crate::sys) fn add(&mut self, level: i32, kind: i32, value: &[u8]) {
        let end = self.len + LAYOUT.space(value.len());
        let Some(place) = self.room.0.get_mut(self.len..end) else { return };
        LAYOUT.write(place, level, kind, value);
        self.len = end;
    }

    /// True if nothing was added.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The items, one after the other.
    pub fn bytes(&self) -> &[u8] {
        &self.room.0[..self.len]
    }
}

impl PartialEq for Control {
    fn eq(&self, other: &Control) -> bool {
        self.bytes() == other.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: usize = LAYOUT.header();
    const LENGTH: usize = LAYOUT.length;
    const LINUX: Layout = Layout { length: 8, align: 8 };
    const FREEBSD: Layout = Layout { length: 4, align: 8 };
    const MACOS: Layout = Layout { length: 4, align: 4 };

    fn control(values: &[(i32, i32, &[u8])]) -> Control {
        let mut control = Control::EMPTY;
        values.iter().for_each(|(level, kind, value)| control.add(*level, *kind, value));
        control
    }

    #[test]
    fn what_is_added_is_read_back() {
        let values: [(i32, i32, &[u8]); 3] = [(41, 50, &[7; 20]), (0, -1, &[]), (1, 2, &[9; 3])];
        let control = control(&values);
        let read: Vec<_> = items(control.bytes()).map(|item| (item.level, item.kind, item.value)).collect();
        assert_eq!(read, values);
        assert_eq!(items(Control::EMPTY.bytes()).count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn the_layout_is_the_kernels() {
        // SAFETY: the macro computes with a length alone.
        let space = unsafe { libc::CMSG_SPACE(5) };
        // SAFETY: as above.
        let len = unsafe { libc::CMSG_LEN(5) };
        let control = control(&[(1, 2, &[3; 5])]);
        assert_eq!(control.bytes().len(), space as usize);
        assert_eq!(control.bytes()[..LENGTH], (len as usize).to_ne_bytes());
    }

    /// CMSG_LEN(0) and CMSG_SPACE(4): Linux, and Windows, which has the same; FreeBSD on 64 bits; macOS.
    #[test]
    fn every_system_reads_what_it_writes() {
        for (layout, len, space) in [(LINUX, 16, 24), (FREEBSD, 16, 24), (MACOS, 12, 16)] {
            assert_eq!((layout.header(), layout.space(4)), (len, space));
            let values: [(i32, i32, &[u8]); 3] = [(41, 50, &[7; 20]), (0, -1, &[1]), (1, 2, &[9; 4])];
            let mut control = Vec::new();
            for (level, kind, value) in values {
                let start = control.len();
                control.resize(start + layout.space(value.len()), 0);
                layout.write(&mut control[start..], level, kind, value);
            }
            let read: Vec<_> =
                layout.items(&control).map(|item| (item.level, item.kind, item.value)).collect();
            assert_eq!(read, values);
            (0..control.len()).for_each(|cut| assert!(layout.items(&control[..cut]).count() <= 3));
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_whole() {
        let mut control =
            control(&[(1, 1, &[1; 20]), (1, 2, &[2; 4]), (1, 3, &[3; 4]), (1, 4, &[4; 4]), (1, 5, &[5; 8])]);
        assert_eq!(control.bytes().len(), CONTROL_SIZE);
        control.add(1, 6, &[]);
        assert_eq!(items(control.bytes()).count(), 5);
    }

    #[test]
    fn every_cut_is_survived() {
        let control = control(&[(1, 1, &[1; 20]), (1, 2, &[2; 4])]);
        for len in 0..=control.bytes().len() {
            let first = usize::from(len >= HEADER + 20);
            let second = usize::from(len >= LAYOUT.space(20) + HEADER + 4);
            assert_eq!(items(&control.bytes()[..len]).count(), first + second, "{len}");
        }
    }

    #[test]
    fn every_length_is_survived() {
        let mut bytes = [0xa5; 64];
        for len in (0..200).chain([usize::MAX, usize::MAX - 7, usize::MAX / 2, 1 << 31]) {
            bytes[..LENGTH].copy_from_slice(&len.to_ne_bytes());
            let first = items(&bytes).next();
            let fits = (HEADER..=bytes.len()).contains(&len);
            assert_eq!(first.map(|item| item.value.len()), fits.then(|| len - HEADER), "{len}");
            assert!(items(&bytes).count() <= bytes.len() / HEADER);
        }
    }

    #[test]
    fn any_bytes_are_survived() {
        let mut seed = 1u64;
        let mut byte = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 56) as u8
        };
        for _ in 0..20_000 {
            let mut bytes: Vec<u8> = (0..byte() % 100).map(|_| byte()).collect();
            // Lengths that look sound lead further in.
            bytes.chunks_mut(2 * LENGTH).filter(|chunk| chunk.len() > LENGTH).for_each(|chunk| {
                chunk[1..LENGTH].fill(0);
                chunk[0] %= 64;
            });
            let total: usize = items(&bytes).map(|item| HEADER + item.value.len()).sum();
            assert!(total <= bytes.len());
        }
    }
}
