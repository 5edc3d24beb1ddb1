//! The bytes of one write, which lie in one piece or in many.

/// Bytes that are copied from front to back.
#[derive(Default)]
pub struct Payload<'a> {
    /// The bytes that are left.
    len: usize,
    head: &'a [u8],
    more: Option<&'a mut dyn Iterator<Item = &'a [u8]>>,
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(data: &'a [u8]) -> Payload<'a> {
        Payload { len: data.len(), head: data, more: None }
    }
}

impl<'a> Payload<'a> {
    /// The first `len` bytes of these pieces, which have at least as many.
    pub fn of_pieces(len: usize, pieces: &'a mut dyn Iterator<Item = &'a [u8]>) -> Payload<'a> {
        Payload { len, head: &[], more: Some(pieces) }
    }

    /// The number of bytes that are left.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if no byte is left.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All bytes, if they lie in one piece.
    pub(super) fn as_slice(&self) -> Option<&'a [u8]> {
        (self.len == self.head.len()).then_some(self.head)
    }

    /// Copies the next bytes, as many as there is room for.
    pub(super) fn copy_next(&mut self, mut place: &mut [u8]) {
        while !place.is_empty() {
            let Some(bytes) = self.next_piece(place.len()) else { return };
            let (front, rest) = place.split_at_mut(bytes.len());
            front.copy_from_slice(bytes);
            place = rest;
        }
    }

    /// Leaves the next bytes out, until `len` are left.
    pub(super) fn skip_until(&mut self, len: usize) {
        while self.len > len && self.next_piece(self.len - len).is_some() {}
    }

    /// The next bytes that lie together, at most `most` of them; none at the end.
    fn next_piece(&mut self, most: usize) -> Option<&'a [u8]> {
        while self.head.is_empty() {
            self.head = self.more.as_mut()?.next()?;
        }
        let (bytes, rest) = self.head.split_at(self.head.len().min(most));
        self.head = rest;
        self.len = self.len.saturating_sub(bytes.len());
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_copied_across_their_ends() {
        let pieces: [&[u8]; 5] = [b"ab", b"", b"cdefg", b"h", b""];
        let mut pieces = pieces.iter().copied();
        let mut payload = Payload::of_pieces(8, &mut pieces);
        let mut place = [0; 3];
        payload.copy_next(&mut place);
        assert_eq!((&place, payload.len()), (b"abc", 5));
        payload.skip_until(2);
        payload.copy_next(&mut place);
        assert_eq!((&place, payload.len()), (b"ghc", 0), "no more than there are");
        payload.skip_until(0);
        assert!(payload.is_empty());
    }

    #[test]
    fn one_piece_is_a_slice() {
        let mut payload = Payload::from(&b"abcd"[..]);
        assert_eq!(payload.as_slice(), Some(&b"abcd"[..]));
        payload.skip_until(1);
        assert_eq!(payload.as_slice(), Some(&b"d"[..]));
        assert_eq!(Payload::default().as_slice(), Some(&b""[..]));
    }
}
