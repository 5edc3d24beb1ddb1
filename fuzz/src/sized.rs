//! Structs that begin with their size, as a caller of another release, or a wrong one, hands them over.
#![allow(unsafe_code)]

use super::bytes::Bytes;
use udpr::status::Status;

/// No struct is larger.
const SIZE_MAX: usize = 4096;

/// A struct in memory that ends where its size says, so that AddressSanitizer sees who reads on, and what is wrong with it.
pub struct Struct {
    memory: Vec<u8>,
    size: usize,
    ours: usize,
    faults: Vec<Status>,
    allowed: Vec<Status>,
}

impl Struct {
    /// `value` with a size and, where that is larger than ours, with zeros or something behind it. Input: a choice, and
    /// what it asks for.
    pub fn new<T>(value: &T, input: &mut Bytes<'_>) -> Struct {
        let ours = size_of::<T>();
        let (choice, mut junk) = (input.byte(), None);
        let size = match choice % 8 {
            0..=3 => ours,
            4 => usize::from(input.u16()),
            5 => input.choose(&[0, ours - 1, SIZE_MAX + 1, usize::MAX, isize::MAX as usize]),
            _ => ours + 8 * usize::from(input.byte()),
        };
        let fits = (ours..=SIZE_MAX).contains(&size);
        // Of a size that cannot be nothing else is read.
        let mut memory = vec![0; if fits { size } else { size_of::<usize>() }];
        memory[..size_of::<usize>()].copy_from_slice(&size.to_ne_bytes());
        if fits {
            // SAFETY: a value of the header, whose structs have no padding at their end, behind the size that it begins with.
            let bytes = unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast::<u8>(), ours) };
            memory[size_of::<usize>()..ours].copy_from_slice(&bytes[size_of::<usize>()..]);
            junk = memory[ours..].len().checked_sub(1).filter(|_| choice & 128 != 0);
            if let Some(last) = junk {
                memory[ours + usize::from(input.byte()) % (last + 1)] = 1;
            }
        }
        let mut made = Struct { memory, size, ours, faults: Vec::new(), allowed: Vec::new() };
        made.fault(!fits, Status::INVALID_ARGUMENT);
        made.fault(junk.is_some(), Status::VERSION);
        made
    }

    /// As the C face takes it.
    pub fn pointer<T>(&self) -> *const T {
        self.memory.as_ptr().cast()
    }

    /// As the C face fills it.
    pub fn pointer_mut<T>(&mut self) -> *mut T {
        self.memory.as_mut_ptr().cast()
    }

    /// What is wrong with its size, or with what is behind it.
    pub fn fault_of_size(&self) -> Option<Status> {
        let fits = (self.ours..=SIZE_MAX).contains(&self.size);
        let rest = self.memory.get(self.ours..).unwrap_or_default();
        match (fits, rest.iter().all(|byte| *byte == 0)) {
            (false, _) => Some(Status::INVALID_ARGUMENT),
            (true, false) => Some(Status::VERSION),
            (true, true) => None,
        }
    }

    /// Something else that is wrong.
    pub fn fault(&mut self, is_there: bool, status: Status) {
        self.faults.extend(is_there.then_some(status));
    }

    /// All that is wrong with another one.
    pub fn take_faults(&mut self, other: &Struct) {
        self.faults.extend(&other.faults);
    }

    /// What the system may say, too.
    pub fn may(&mut self, is_there: bool, statuses: &[Status]) {
        self.allowed.extend(statuses.iter().filter(|_| is_there));
    }

    /// The answer is one of the faults, where there are some; else there is none.
    pub fn judge(&self, answer: Option<Status>) {
        let right = match answer {
            None => self.faults.is_empty(),
            Some(status) => self.faults.contains(&status) || self.allowed.contains(&status),
        };
        assert!(right, "{answer:?} to {:?}", self.faults);
    }

    pub fn keeps_its_size(&self) -> bool {
        self.memory[..size_of::<usize>()] == self.size.to_ne_bytes()
    }

    pub fn rest_is_zero(&self) -> bool {
        self.memory.get(self.ours..).unwrap_or_default().iter().all(|byte| *byte == 0)
    }
}
