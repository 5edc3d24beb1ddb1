//! An input, from which values are taken one after the other.

use std::ffi::CString;

/// The rest of an input. After its end, zeros are returned.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_ne_bytes(self.array())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_ne_bytes(self.array())
    }

    pub fn array<const LEN: usize>(&mut self) -> [u8; LEN] {
        let mut array = [0; LEN];
        let taken = self.take(LEN);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    /// The next `len` bytes, or fewer at the end.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// One of `among`.
    pub fn choose<T: Copy>(&mut self, among: &[T]) -> T {
        among[usize::from(self.byte()) % among.len()]
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The bytes before the first NUL, as a C string.
pub fn c_string(bytes: &[u8]) -> CString {
    let before = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    CString::new(before).expect("no NUL")
}
