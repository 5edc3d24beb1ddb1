//! Hashes of addresses for tables, with a seed.
//!
//! The hash is SipHash-1-3, because peers choose their addresses: without the seed nobody can find addresses that collide. The
//! standard library has it without keys only (`DefaultHasher`), and its `SipHasher` is deprecated, slower, and bound to a byte
//! order. The 24 bytes that are hashed have a fixed length here, so that all of it is straight code.

use super::Addr;

/// Makes a key of 128 bits of a seed of 64 bits: the first bits of the golden ratio.
const SECOND_KEY: u64 = 0x9e37_79b9_7f4a_7c15;

impl Addr {
    /// A hash that is the same for equal addresses. Allocates nothing.
    pub fn seeded_hash(&self, seed: u64) -> u64 {
        let ip = u128::from_ne_bytes(self.ip_bytes());
        let ids = u64::from(self.family) | u64::from(self.port) << 16 | u64::from(self.scope_id) << 32;
        sip_hash_1_3([seed, seed ^ SECOND_KEY], [ids, ip as u64, (ip >> 64) as u64])
    }
}

/// SipHash-1-3 of the little-endian bytes of three words: one round for each word, and three at the end (Aumasson and Bernstein,
/// "SipHash: a fast short-input PRF").
fn sip_hash_1_3(key: [u64; 2], words: [u64; 3]) -> u64 {
    let length = (size_of_val(&words) as u64) << 56;
    let mut state = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    for word in words.into_iter().chain([length]) {
        state[3] ^= word;
        state = round(state);
        state[0] ^= word;
    }
    state[2] ^= 0xff;
    let [a, b, c, d] = round(round(round(state)));
    a ^ b ^ c ^ d
}

fn round([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
    a = a.wrapping_add(b);
    c = c.wrapping_add(d);
    b = b.rotate_left(13) ^ a;
    d = d.rotate_left(16) ^ c;
    a = a.rotate_left(32).wrapping_add(d);
    c = c.wrapping_add(b);
    b = b.rotate_left(17) ^ c;
    d = d.rotate_left(21) ^ a;
    [a, b, c.rotate_left(32), d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::{DefaultHasher, Hasher};

    /// `DefaultHasher::new` is SipHash-1-3 with a key of zeros.
    #[test]
    fn it_is_sip_hash_1_3() {
        for words in [[0, 0, 0], [1, 2, 3], [u64::MAX, 1 << 63, 0x0123_4567_89ab_cdef]] {
            let mut hasher = DefaultHasher::new();
            words.iter().for_each(|word| hasher.write(&word.to_le_bytes()));
            assert_eq!(sip_hash_1_3([0, 0], words), hasher.finish(), "{words:x?}");
        }
    }

    #[test]
    fn both_halves_of_the_key_count() {
        let words = [1, 2, 3];
        let keys = [[0, 0], [1, 0], [0, 1], [1 << 63, 0], [0, 1 << 63], [1, 1]];
        let hashes: HashSet<_> = keys.into_iter().map(|key| sip_hash_1_3(key, words)).collect();
        assert_eq!(hashes.len(), keys.len());
    }
}
