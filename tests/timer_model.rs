//! The delayed calls, compared with a simple model: a list that is searched linearly.

#[path = "support/random.rs"]
#[allow(dead_code, reason = "this test needs no shared generator")]
mod random;

use random::Xorshift;
use udpr::status::{Result, Status};
use udpr::timer::{NEVER, Timers};

/// How many ended calls the library has to remember.
const REMEMBERED: usize = 4096;

fn pick<T: Copy>(random: &mut Xorshift, from: &[T]) -> Option<T> {
    let at = random.below(from.len().max(1) as u64);
    from.get(at as usize).copied()
}

/// The pending calls in the order of creation. Calls are numbered in that order.
#[derive(Default)]
struct Model {
    pending: Vec<Pending>,
    ended: Vec<(u64, Status)>,
    created: u64,
    pass_end: u64,
}

#[derive(Clone, Copy)]
struct Pending {
    id: u64,
    due: u64,
    call: u64,
}

impl Model {
    fn find(&mut self, id: u64) -> Result<&mut Pending> {
        let remembered = self.ended.len().saturating_sub(REMEMBERED);
        let ended = self.ended[remembered..].iter().find(|ended| ended.0 == id);
        let error = ended.map_or(Status::NOT_FOUND, |ended| ended.1);
        self.pending.iter_mut().find(|pending| pending.id == id).ok_or(error)
    }

    /// The earliest call that is due at `limit` and was created before `end`; of several, the one created first.
    fn earliest(&self, limit: u64, end: u64) -> Option<Pending> {
        let due = |pending: &&Pending| pending.due <= limit && pending.due != NEVER && pending.call < end;
        self.pending.iter().filter(due).min_by_key(|pending| pending.due).copied()
    }

    fn end(&mut self, id: u64, how: Status) {
        self.pending.retain(|pending| pending.id != id);
        self.ended.push((id, how));
    }
}

struct Run {
    timers: Timers<u64>,
    model: Model,
    random: Xorshift,
    now: u64,
    /// The maximum number of pending calls.
    max_pending: usize,
    /// The range of instants. If it is small, many calls have the same one.
    range: u64,
}

impl Run {
    fn new(seed: u64, max_pending: usize, range: u64) -> Self {
        Run {
            timers: Timers::new(),
            model: Model::default(),
            random: Xorshift(seed),
            now: 1000,
            max_pending,
            range,
        }
    }

    fn instant(&mut self) -> u64 {
        match self.random.below(20) {
            0 => NEVER,
            1 => NEVER - 1,
            2 => self.now.saturating_sub(self.random.below(self.range)),
            3 | 4 => self.now,
            _ => self.now + self.random.below(self.range),
        }
    }

    /// Chooses the id of a pending call, or sometimes of one that ended recently or long ago, or an id that was never used.
    fn id(&mut self) -> u64 {
        let (model, random) = (&self.model, &mut self.random);
        let recent = &model.ended[model.ended.len().saturating_sub(REMEMBERED + 50)..];
        match random.below(40) {
            0 => pick(random, &model.ended).map_or(0, |ended| ended.0),
            1 => pick(random, recent).map_or(0, |ended| ended.0),
            2 => pick(random, &recent[..recent.len().min(100)]).map_or(0, |ended| ended.0),
            3 => {
                let unused = [0, 1, u64::MAX, 1 << 60, 2 << 60, random.0];
                pick(random, &unused).unwrap_or(0)
            }
            _ => pick(random, &model.pending).map_or(0, |pending| pending.id),
        }
    }

    fn insert(&mut self) {
        if self.model.pending.len() < self.max_pending {
            let (due, call) = (self.instant(), self.model.created);
            let id = self.timers.insert(due, call);
            assert_ne!(id, 0);
            assert_eq!(self.model.find(id).err(), Some(Status::NOT_FOUND), "an id was given out again");
            self.model.created += 1;
            self.model.pending.push(Pending { id, due, call });
        }
    }

    fn cancel(&mut self) {
        let id = self.id();
        let expected = self.model.find(id).map(|pending| pending.call);
        assert_eq!(self.timers.cancel(id), expected);
        if expected.is_ok() {
            self.model.end(id, Status::ALREADY_CANCELLED);
        }
    }

    fn reset(&mut self) {
        let (id, due) = (self.id(), self.instant());
        assert_eq!(self.timers.due(id), self.model.find(id).map(|pending| pending.due));
        let expected = self.model.find(id).map(|pending| pending.due = due);
        assert_eq!(self.timers.reset(id, due), expected);
        assert_eq!(self.timers.due(id), expected.map(|()| due));
    }

    fn next_due(&mut self) {
        let expected = self.model.earliest(NEVER, u64::MAX).map(|pending| pending.due);
        assert_eq!(self.timers.next_due(), expected);
    }

    /// Advances the clock and calls what is due. Each call does something, so the timers change during the pass.
    fn pass(&mut self) {
        self.now += self.random.below(self.range / 8 + 1);
        self.timers.begin_pass();
        self.model.pass_end = self.model.created;
        loop {
            let expected = self.model.earliest(self.now, self.model.pass_end);
            assert_eq!(self.timers.pop_due(self.now), expected.map(|pending| pending.call));
            let Some(called) = expected else { break };
            self.model.end(called.id, Status::ALREADY_CALLED);
            assert_eq!(self.timers.cancel(called.id), Err(Status::ALREADY_CALLED));
            match self.random.below(6) {
                0 => self.cancel(),
                1 => self.reset(),
                2 => self.next_due(),
                _ => self.insert(),
            }
            if self.random.below(4) == 0 {
                self.next_due();
            }
        }
        // As an event loop does before it waits.
        if self.random.below(2) == 0 {
            self.next_due();
        }
    }

    /// Calls what is due as a reactor with a manual clock does.
    fn advance(&mut self) {
        let limit = self.now + self.random.below(self.range / 8 + 1);
        for _ in 0..self.random.below(20) {
            let expected = self.model.earliest(limit, u64::MAX);
            assert_eq!(self.timers.pop_until(limit), expected.map(|pending| (pending.due, pending.call)));
            let Some(called) = expected else { break };
            self.model.end(called.id, Status::ALREADY_CALLED);
            self.now = self.now.max(called.due);
        }
    }

    fn compare(&self) {
        let mut ids: Vec<_> = self.timers.ids().collect();
        let mut expected: Vec<_> = self.model.pending.iter().map(|pending| pending.id).collect();
        ids.sort_unstable();
        expected.sort_unstable();
        assert_eq!(ids, expected);
        assert_eq!((self.timers.len(), self.timers.is_empty()), (ids.len(), ids.is_empty()));
    }

    /// Runs phases in which some operations are frequent, so that the tables grow and shrink.
    fn run(mut self, phases: usize) {
        for _ in 0..phases {
            let weights = [(); 5].map(|()| self.random.below(20));
            let total = weights.iter().sum::<u64>().max(1);
            for _ in 0..1000 {
                let mut at = self.random.below(total);
                let chosen = weights.iter().position(|&weight| match at.checked_sub(weight) {
                    Some(rest) => {
                        at = rest;
                        false
                    }
                    None => true,
                });
                match chosen {
                    Some(0) => self.insert(),
                    Some(1) => self.cancel(),
                    Some(2) => self.reset(),
                    Some(3) => self.next_due(),
                    _ if self.random.below(8) > 0 => self.insert(),
                    _ if self.random.below(4) > 0 => self.pass(),
                    _ => self.advance(),
                }
            }
            self.compare();
        }
        while let Some(call) = self.timers.take_any() {
            let taken =
                self.model.pending.iter().find(|pending| pending.call == call).map(|pending| pending.id);
            let id = taken.expect("a call that was pending");
            self.model.end(id, Status::ALREADY_CANCELLED);
            assert_eq!(self.timers.due(id), Err(Status::ALREADY_CANCELLED));
        }
        self.compare();
        assert!(self.model.pending.is_empty());
        assert!(self.model.ended.len() > REMEMBERED, "the run was too short to forget anything");
    }
}

#[test]
fn few_calls_at_instants_of_their_own() {
    Run::new(0x9E37_79B9_7F4A_7C15, 20, 1_000_000).run(40);
}

#[test]
fn few_calls_at_few_instants() {
    Run::new(0xD1B5_4A32_D192_ED03, 20, 8).run(40);
}

#[test]
fn many_calls_at_instants_of_their_own() {
    Run::new(0x2545_F491_4F6C_DD1D, 1500, 1_000_000).run(40);
}

#[test]
fn many_calls_at_few_instants() {
    Run::new(0xBF58_476D_1CE4_E5B9, 1500, 50).run(40);
}

/// A third is cancelled and a third moved. The remaining calls run by instant and, at the same instant, by creation.
#[test]
fn many_pending() {
    const COUNT: u64 = 200_000;
    let mut random = Xorshift(0x94D0_49BB_1331_11EB);
    let mut timers = Timers::new();
    let mut dues: Vec<u64> = (0..COUNT).map(|_| random.below(COUNT / 4)).collect();
    let ids: Vec<u64> = (0..COUNT).zip(&dues).map(|(call, &due)| timers.insert(due, call)).collect();
    assert_eq!(timers.next_due(), dues.iter().min().copied());
    for call in 0..COUNT as usize {
        match random.below(3) {
            0 => {
                assert_eq!(timers.cancel(ids[call]), Ok(call as u64));
                dues[call] = NEVER;
            }
            1 => {
                dues[call] = random.below(COUNT / 4);
                assert_eq!(timers.reset(ids[call], dues[call]), Ok(()));
            }
            _ => {}
        }
    }
    let mut expected: Vec<u64> = (0..COUNT).filter(|&call| dues[call as usize] != NEVER).collect();
    expected.sort_by_key(|&call| dues[call as usize]);
    assert_eq!(timers.len(), expected.len());
    timers.begin_pass();
    for call in expected {
        assert_eq!(timers.pop_due(COUNT), Some(call));
    }
    assert_eq!((timers.pop_due(COUNT), timers.next_due(), timers.len()), (None, None, 0));
}
