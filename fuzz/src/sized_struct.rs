//! Structs that begin with their size, as passed by a caller of another version, or by a wrong one.
#![allow(unsafe_code)]

use super::input::Input;
use udpr::status::Status;

/// The maximum size of a struct.
const SIZE_MAX: usize = 4096;

/// A struct in memory that ends at its stated size, so that AddressSanitizer finds reads beyond it, and the statuses with which
/// the library has to reject it.
pub struct SizedStruct {
    memory: Vec<u8>,
    size: usize,
    /// The size of the first release, and the present one.
    first: usize,
    ours: usize,
    errors: Vec<Status>,
    allowed: Vec<Status>,
}

impl SizedStruct {
    /// `value` with a size, and if that is larger than the present one, with zeros or other bytes at the end. In `value`, the
    /// fields that a smaller size leaves out are zeroed. Input: a choice, and its parameters.
    pub fn new<T>(value: &mut T, first: usize, input: &mut Input<'_>) -> SizedStruct {
        let ours = size_of::<T>();
        let (choice, mut junk) = (input.byte(), None);
        let size = match choice % 8 {
            0..=3 => ours,
            4 => usize::from(input.u16()),
            5 => input.choose(&[0, first - 1, SIZE_MAX + 1, usize::MAX, isize::MAX as usize]),
            _ => ours + 8 * usize::from(input.byte()),
        };
        let fits = (first..=SIZE_MAX).contains(&size);
        // If the size is invalid, nothing else is read.
        let mut memory = vec![0; if fits { size } else { size_of::<usize>() }];
        memory[..size_of::<usize>()].copy_from_slice(&size.to_ne_bytes());
        if fits {
            // SAFETY: the bytes of a struct of the header, which has no padding at its end, and may be zero.
            let bytes =
                unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(value).cast::<u8>(), ours) };
            let known = ours.min(size);
            memory[size_of::<usize>()..known].copy_from_slice(&bytes[size_of::<usize>()..known]);
            // A field that is cut is missing.
            bytes[known - known % align_of::<T>()..].fill(0);
            junk = (size - known).checked_sub(1).filter(|_| choice & 128 != 0);
            if let Some(last) = junk {
                memory[ours + usize::from(input.byte()) % (last + 1)] = 1;
            }
        }
        let mut made = SizedStruct { memory, size, first, ours, errors: Vec::new(), allowed: Vec::new() };
        made.expect_error(!fits, Status::INVALID_ARGUMENT);
        made.expect_error(junk.is_some(), Status::VERSION);
        made
    }

    /// The word at an offset as far as it is passed, with zeros behind that.
    pub fn word(&self, offset: usize) -> u32 {
        let mut bytes = [0; 4];
        let passed = self.memory.iter().skip(offset);
        bytes.iter_mut().zip(passed).for_each(|(byte, passed)| *byte = *passed);
        u32::from_ne_bytes(bytes)
    }

    /// The struct as an argument.
    pub fn pointer<T>(&self) -> *const T {
        self.memory.as_ptr().cast()
    }

    /// The struct as an output.
    pub fn pointer_mut<T>(&mut self) -> *mut T {
        self.memory.as_mut_ptr().cast()
    }

    /// The error of its size, or of the bytes after the present fields.
    pub fn size_error(&self) -> Option<Status> {
        let fits = (self.first..=SIZE_MAX).contains(&self.size);
        let rest = self.memory.get(self.ours..).unwrap_or_default();
        match (fits, rest.iter().all(|byte| *byte == 0)) {
            (false, _) => Some(Status::INVALID_ARGUMENT),
            (true, false) => Some(Status::VERSION),
            (true, true) => None,
        }
    }

    /// Adds a status with which the struct has to be rejected, if `is_supported`.
    pub fn expect_error(&mut self, is_supported: bool, status: Status) {
        self.errors.extend(is_supported.then_some(status));
    }

    /// Adds the errors of another struct.
    pub fn add_errors_of(&mut self, other: &SizedStruct) {
        self.errors.extend(&other.errors);
    }

    /// Adds statuses that the system may cause.
    pub fn allow_errors(&mut self, is_supported: bool, statuses: &[Status]) {
        self.allowed.extend(statuses.iter().filter(|_| is_supported));
    }

    /// Checks that a call failed with one of the errors, or succeeded if there are none.
    pub fn check_status(&self, status: Option<Status>) {
        let right = match status {
            None => self.errors.is_empty(),
            Some(status) => self.errors.contains(&status) || self.allowed.contains(&status),
        };
        assert!(right, "{status:?} instead of {:?}", self.errors);
    }

    pub fn keeps_its_size(&self) -> bool {
        self.memory[..size_of::<usize>()] == self.size.to_ne_bytes()
    }

    pub fn rest_is_zero(&self) -> bool {
        self.memory.get(self.ours..).unwrap_or_default().iter().all(|byte| *byte == 0)
    }
}
