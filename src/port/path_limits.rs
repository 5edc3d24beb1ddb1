//! Limits of merged sends, where a kernel, a device or a path has refused larger ones.
//!
//! What the path to one host does not carry is no limit for other hosts, so limits are kept by host: for a bounded
//! number of them, of which the oldest is replaced. Every limit expires after a while, as the kernel forgets the MTU of
//! a path (mtu_expires in Documentation/networking/ip-sysctl.rst).

use crate::addr::Addr;
use crate::sys::GsoLimits;

/// How long a limit holds, 10 minutes, in nanoseconds.
const EXPIRES: u64 = 600 * 1_000_000_000;
/// The number of sets, a power of two. A host belongs to one of them.
const SETS: usize = 16;
/// Hosts in a set.
const WAYS: usize = 4;
/// If so many hosts have a limit to the number of datagrams in a message, the kernel or the device is assumed to be the
/// reason, not their paths.
const REFUSING: usize = 8;

/// How many datagrams of a port the kernel merges into one send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Segmentation {
    /// None.
    Off,
    /// As many as it can.
    Full,
    /// Fewer for some hosts: [`PathLimits::get`].
    Limited,
}

/// Limits that are valid until an instant of CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug)]
struct ExpiringLimits {
    limits: GsoLimits,
    until: u64,
}

impl ExpiringLimits {
    const NEVER: ExpiringLimits = ExpiringLimits { limits: GsoLimits::MAX, until: 0 };

    /// The limits at this instant.
    fn at(self, now: u64) -> GsoLimits {
        if now < self.until { self.limits } else { GsoLimits::MAX }
    }

    fn narrow(&mut self, limits: GsoLimits, now: u64) {
        *self = ExpiringLimits { limits: self.at(now).min(limits), until: now + EXPIRES };
    }
}

/// The key of a host: the path to it does not depend on a port number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PathKey {
    bytes: [u8; 16],
    scope_id: u32,
    family: u16,
}

impl PathKey {
    fn of(addr: &Addr) -> PathKey {
        PathKey { bytes: addr.bytes, scope_id: addr.scope_id, family: addr.family }
    }

    fn set(&self) -> usize {
        let words = u128::from_ne_bytes(self.bytes);
        let mixed = ((words >> 64) as u64 ^ words as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize % SETS
    }
}

type Set = [(PathKey, ExpiringLimits); WAYS];

/// The limits of a port.
#[derive(Debug)]
pub(super) struct PathLimits {
    port: ExpiringLimits,
    /// It is empty before the first limit of a host.
    sets: Vec<Set>,
}

impl Default for PathLimits {
    fn default() -> PathLimits {
        PathLimits { port: ExpiringLimits::NEVER, sets: Vec::new() }
    }
}

impl PathLimits {
    /// What may be merged for a host. `now` is called only if there is a limit that may have expired.
    pub(super) fn get(&self, to: &Addr, now: impl FnOnce() -> u64) -> GsoLimits {
        let host = PathKey::of(to);
        let set = self.sets.get(host.set()).into_iter().flatten();
        let path = set.into_iter().find(|(other, _)| *other == host).map(|(_, limited)| *limited);
        if path.is_none() && self.port.until == 0 {
            return GsoLimits::MAX;
        }
        let now = now();
        self.port.at(now).min(path.unwrap_or(ExpiringLimits::NEVER).at(now))
    }

    /// Sets a limit for one host. A limit to the number of datagrams is set for all of them if many other hosts have
    /// it. Without memory nothing is stored, and the limit is found again each time.
    pub(super) fn narrow(&mut self, to: &Addr, limits: GsoLimits, now: u64) {
        if self.sets.is_empty() && self.sets.try_reserve_exact(SETS).is_err() {
            return;
        }
        let nobody = (PathKey::of(&Addr::UNSPECIFIED), ExpiringLimits::NEVER);
        self.sets.resize(SETS, [nobody; WAYS]);
        let host = PathKey::of(to);
        let set = &mut self.sets[host.set()];
        let known = set.iter().position(|(other, _)| *other == host);
        let oldest = || (0..WAYS).min_by_key(|way| set[*way].1.until).unwrap_or_default();
        let (other, limited) = &mut set[known.unwrap_or_else(oldest)];
        if *other != host {
            (*other, *limited) = (host, ExpiringLimits::NEVER);
        }
        limited.narrow(limits, now);
        let refuses = |(_, limited): &&(PathKey, ExpiringLimits)| limited.at(now).segments <= limits.segments;
        let most = limits.segments == GsoLimits::MAX.segments;
        if !most && self.sets.iter().flatten().filter(refuses).count() >= REFUSING {
            self.port.narrow(limits, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: GsoLimits = GsoLimits { size: 600, ..GsoLimits::MAX };

    fn host(number: u32) -> Addr {
        Addr::v4(number.to_be_bytes(), 9)
    }

    fn get(paths: &PathLimits, number: u32, now: u64) -> GsoLimits {
        paths.get(&host(number), || now)
    }

    #[test]
    fn a_limit_is_one_hosts_whatever_its_port() {
        let mut paths = PathLimits::default();
        paths.narrow(&host(1), SIZE, 7);
        assert_eq!(paths.get(&Addr { port: 8, ..host(1) }, || 7), SIZE);
        assert_eq!(paths.get(&host(2), || unreachable!("no limit")), GsoLimits::MAX);
        let link_local = |scope_id| Addr { scope_id, ..Addr::v6([0xfe; 16], 9, 0) };
        paths.narrow(&link_local(1), SIZE, 7);
        assert_eq!(paths.get(&link_local(1), || 7), SIZE);
        assert_eq!(paths.get(&link_local(2), || 7), GsoLimits::MAX);
    }

    #[test]
    fn a_limit_gets_narrower_and_is_forgotten() {
        let mut paths = PathLimits::default();
        paths.narrow(&host(1), SIZE, 0);
        paths.narrow(&host(1), GsoLimits { size: 500, ..GsoLimits::MAX }, 1);
        paths.narrow(&host(1), SIZE, 2);
        assert_eq!(get(&paths, 1, 1 + EXPIRES).size, 500);
        assert_eq!(get(&paths, 1, 2 + EXPIRES), GsoLimits::MAX);
        paths.narrow(&host(1), SIZE, 2 + EXPIRES);
        assert_eq!(get(&paths, 1, 2 + EXPIRES), SIZE, "the former one is forgotten");
    }

    #[test]
    fn many_hosts_take_no_more_memory_and_the_youngest_are_known() {
        let mut paths = PathLimits::default();
        for number in 0..10_000 {
            paths.narrow(&host(number), SIZE, u64::from(number));
            assert_eq!(get(&paths, number, 0), SIZE);
        }
        assert_eq!((paths.sets.len(), paths.sets.capacity()), (SETS, SETS));
        let known = (0..10_000).filter(|number| get(&paths, *number, 0) == SIZE).count();
        assert_eq!(known, SETS * WAYS, "each place is used");
        assert_eq!(get(&paths, 10_000, 0), GsoLimits::MAX);
    }

    #[test]
    fn what_many_hosts_refuse_is_refused_by_the_device_or_the_kernel() {
        for limits in [GsoLimits::NONE, GsoLimits { segments: GsoLimits::PROBED, ..GsoLimits::MAX }] {
            let mut paths = PathLimits::default();
            for number in 1..REFUSING as u32 {
                paths.narrow(&host(number), limits, 1);
                assert_eq!(get(&paths, number, 1), limits);
                assert_eq!(get(&paths, u32::MAX, 1), GsoLimits::MAX);
            }
            paths.narrow(&host(0), limits, 1);
            assert_eq!(get(&paths, u32::MAX, EXPIRES), limits);
            paths.narrow(&host(0), SIZE, EXPIRES);
            assert_eq!(get(&paths, 0, EXPIRES), limits.min(SIZE), "both hold");
            assert_eq!(get(&paths, u32::MAX, 1 + EXPIRES), GsoLimits::MAX, "it is tried again");
        }
    }

    #[test]
    fn sizes_of_many_hosts_are_no_devices() {
        let mut paths = PathLimits::default();
        (0..1000).for_each(|number| paths.narrow(&host(number), GsoLimits { size: 0, ..GsoLimits::MAX }, 1));
        assert_eq!(get(&paths, u32::MAX, 1), GsoLimits::MAX);
    }
}
