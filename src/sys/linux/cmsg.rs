//! Control data, the ancillary part of recvmsg(2) and sendmsg(2): pure over bytes, safe against any of them.
//!
//! ```text
//! length: size_t   level: int   type: int   value   padding to a size_t (cmsg(3))
//! ```

/// What headers and values are aligned to.
const WORD: usize = size_of::<usize>();
const HEADER: usize = WORD + 8;
/// Room for all control data that one sent datagram can have: a `struct in6_pktinfo`, TOS, TTL, segment size, and instant.
const CONTROL_SIZE: usize = space(20) + 3 * space(4) + space(8);

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
pub fn items(control: &[u8]) -> impl Iterator<Item = Item<'_>> {
    let mut rest = control;
    std::iter::from_fn(move || {
        let (item, behind) = split(rest)?;
        rest = behind;
        Some(item)
    })
}

fn split(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (header, values) = bytes.split_first_chunk::<HEADER>()?;
    let (len, level_and_kind) = header.split_first_chunk::<WORD>()?;
    let level = level_and_kind.first_chunk()?;
    let kind = level_and_kind.last_chunk()?;
    let len = usize::from_ne_bytes(*len).checked_sub(HEADER)?;
    let value = values.get(..len)?;
    // Of the last one the padding may be missing.
    let behind = values.get(len.next_multiple_of(WORD)..).unwrap_or_default();
    Some((Item { level: i32::from_ne_bytes(*level), kind: i32::from_ne_bytes(*kind), value }, behind))
}

/// Control data to be sent with a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    room: ControlBuffer<CONTROL_SIZE>,
    len: usize,
}

impl Control {
    /// Nothing yet.
    pub const EMPTY: Control = Control { room: ControlBuffer([0; CONTROL_SIZE]), len: 0 };

    /// Removes everything.
    pub(in crate::sys) fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds an item. If there is no room, nothing is added; CONTROL_SIZE has to be large enough.
    pub(in crate::sys) fn add(&mut self, level: i32, kind: i32, value: &[u8]) {
        let end = self.len + space(value.len());
        let Some(place) = self.room.0.get_mut(self.len..end) else { return };
        place[..WORD].copy_from_slice(&(HEADER + value.len()).to_ne_bytes());
        place[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
        place[WORD + 4..HEADER].copy_from_slice(&kind.to_ne_bytes());
        place[HEADER..HEADER + value.len()].copy_from_slice(value);
        self.len = end;
    }

    /// Where its bytes lie, for `msg_control`.
    pub(in crate::sys) fn place(control: *mut Control) -> *mut libc::c_void {
        control.wrapping_byte_add(std::mem::offset_of!(Control, room)).cast()
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

/// CMSG_SPACE.
const fn space(len: usize) -> usize {
    HEADER + len.next_multiple_of(WORD)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn the_layout_is_the_kernels() {
        // SAFETY: the macro computes with a length alone.
        let space = unsafe { libc::CMSG_SPACE(5) };
        // SAFETY: as above.
        let len = unsafe { libc::CMSG_LEN(5) };
        let control = control(&[(1, 2, &[3; 5])]);
        assert_eq!(control.bytes().len(), space as usize);
        assert_eq!(control.bytes()[..WORD], (len as usize).to_ne_bytes());
        assert_eq!(HEADER, size_of::<libc::cmsghdr>());
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
            let second = usize::from(len >= space(20) + HEADER + 4);
            assert_eq!(items(&control.bytes()[..len]).count(), first + second, "{len}");
        }
    }

    #[test]
    fn every_length_is_survived() {
        let mut bytes = [0xa5; 64];
        for len in (0..200).chain([usize::MAX, usize::MAX - 7, usize::MAX / 2, 1 << 31]) {
            bytes[..WORD].copy_from_slice(&len.to_ne_bytes());
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
            bytes.chunks_mut(2 * WORD).filter(|chunk| chunk.len() > WORD).for_each(|chunk| {
                chunk[1..WORD].fill(0);
                chunk[0] %= 64;
            });
            let total: usize = items(&bytes).map(|item| HEADER + item.value.len()).sum();
            assert!(total <= bytes.len());
        }
    }
}
