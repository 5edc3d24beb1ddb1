//! The delayed calls, compared with a simple model: a list that is searched linearly.

#[path = "support/random.rs"]
#[allow(dead_code, reason = "this test needs no shared generator")]
mod random;

use random::Xorshift;
use udpr::status::{Result, Status};
use udpr::timer::{Due, NEVER, Timed, Timers};

/// How many ended calls the library has to remember.
const REMEMBERED: usize = 4096;

fn pick<T: Copy>(random: &mut Xorshift, from: &[T]) -> Option<T> {
    let at = random.below(from.len().max(1) as u64);
    from.get(at as usize).copied()
}

/// A call with a number of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Call {
    number: u64,
    interval: u64,
}

const STAND_IN: u64 = u64::MAX;

impl Timed for Call {
    fn interval(&self) -> u64 {
        self.interval
    }

    fn stand_in(interval: u64) -> Call {
        Call { number: STAND_IN, interval }
    }
}

/// The pending calls.
#[derive(Default)]
struct Model {
    pending: Vec<Pending>,
    ended: Vec<(u64, Status)>,
    /// The call that is being made, if it is not pending.
    calling: Option<Pending>,
    created: u64,
    pass_end: u64,
    /// The periodic calls that the present pass has made.
    made: Vec<u64>,
    /// The instant of the present pass.
    pass_now: Option<u64>,
}

#[derive(Clone, Copy)]
struct Pending {
    id: u64,
    due: u64,
    /// Grows from call to call, and if a call is moved as if it were created anew.
    order: u64,
    call: Call,
}

impl Model {
    fn find(&mut self, id: u64) -> Result<&mut Pending> {
        let remembered = self.ended.len().saturating_sub(REMEMBERED);
        let ended = self.ended[remembered..].iter().find(|ended| ended.0 == id);
        let error = ended.map_or(Status::NOT_FOUND, |ended| ended.1);
        let error = if self.is_calling(id) { Status::ALREADY_CALLED } else { error };
        self.pending.iter_mut().find(|pending| pending.id == id).ok_or(error)
    }

    fn is_calling(&self, id: u64) -> bool {
        self.calling.is_some_and(|calling| calling.id == id)
    }

    /// The earliest call that is due at `limit` and was created before `end`; of several, the one created first.
    fn earliest(&self, limit: u64, end: u64) -> Option<Pending> {
        let due = |pending: &&Pending| pending.due <= limit && pending.due != NEVER && pending.order < end;
        self.pending.iter().filter(due).min_by_key(|pending| (pending.due, pending.order)).copied()
    }

    fn next_order(&mut self) -> u64 {
        self.created += 1;
        self.created - 1
    }

    /// Begins a call, and returns what the table should.
    fn begin(&mut self, first: Pending, now: u64) -> Due<Call> {
        let Pending { id, due: instant, call, .. } = first;
        let at = self.pending.iter().position(|pending| pending.id == id).expect("it is pending");
        if call.interval == 0 {
            self.calling = Some(self.pending.remove(at));
            return Due { id, instant, beats: 1, call };
        }
        let mut beats = 0;
        while self.pending[at].due <= now {
            self.pending[at].due += call.interval;
            beats += 1;
        }
        self.pending[at].call = Call::stand_in(call.interval);
        Due { id, instant, beats, call }
    }

    fn reset(&mut self, id: u64, due: u64, now: u64) -> Result<()> {
        if let Some(calling) = self.calling.take_if(|calling| calling.id == id) {
            let order = self.next_order();
            self.pending.push(Pending { due, order, call: Call::stand_in(0), ..calling });
            return Ok(());
        }
        let (order, pass_now) = (self.created, self.pass_now.unwrap_or(NEVER));
        let pending = self.find(id)?;
        let waits = pending.call.interval != 0 && pending.due > pass_now;
        pending.due = due;
        if pending.call.interval != 0 {
            while pending.due.saturating_add(pending.call.interval) <= now {
                pending.due += pending.call.interval;
            }
        }
        if waits {
            pending.order = order;
            self.created += 1;
        }
        Ok(())
    }

    fn end(&mut self, id: u64, how: Status) {
        self.pending.retain(|pending| pending.id != id);
        self.ended.push((id, how));
    }
}

struct Run {
    timers: Timers<Call>,
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
            let (due, order) = (self.instant(), self.model.next_order());
            let is_periodic = self.random.below(16) == 0;
            let interval = if is_periodic { 1 + self.random.below(self.range) } else { 0 };
            let call = Call { number: order, interval };
            let id = self.timers.insert(due, call);
            assert_ne!(id, 0);
            assert_eq!(self.model.find(id).err(), Some(Status::NOT_FOUND), "an id was given out again");
            self.model.pending.push(Pending { id, due, order, call });
        }
    }

    fn cancel(&mut self) {
        let id = self.id();
        self.cancel_id(id);
    }

    fn cancel_id(&mut self, id: u64) {
        let expected = self.model.find(id).map(|pending| pending.call);
        assert_eq!(self.timers.cancel(id), expected);
        if expected.is_ok() {
            self.model.end(id, Status::ALREADY_CANCELLED);
        }
    }

    fn reset(&mut self) {
        let id = self.id();
        self.reset_id(id);
    }

    fn reset_id(&mut self, id: u64) {
        let due = self.instant();
        assert_eq!(self.timers.due(id), self.model.find(id).map(|pending| pending.due));
        let expected = self.model.reset(id, due, self.now);
        assert_eq!(self.timers.reset(id, due, self.now), expected);
        assert_eq!(self.timers.due(id), self.model.find(id).map(|pending| pending.due));
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
        self.model.made.clear();
        loop {
            let expected = self.model.earliest(self.now, self.model.pass_end);
            let due = self.timers.pop_due(self.now);
            self.model.pass_now = due.map(|_| self.now);
            let expected = expected.map(|pending| self.model.begin(pending, self.now));
            assert_eq!(due, expected);
            let Some(due) = due else { break };
            // A pass ends, whatever its calls do.
            if due.call.interval != 0 {
                assert!(!self.model.made.contains(&due.id), "twice in a pass");
                self.model.made.push(due.id);
            }
            if self.random.below(20) == 0 {
                self.put_off(due);
                continue;
            }
            self.inside(due.id, due.instant);
            match self.random.below(6) {
                0 => self.cancel(),
                1 => self.reset(),
                2 => self.next_due(),
                _ => self.insert(),
            }
            if self.random.below(4) == 0 {
                self.next_due();
            }
            self.end_call(due);
        }
        // As an event loop does before it waits.
        if self.random.below(2) == 0 {
            self.next_due();
        }
    }

    /// What a call does with itself.
    fn inside(&mut self, id: u64, instant: u64) {
        let pending = self.model.find(id).map(|pending| pending.due);
        let last = if self.model.is_calling(id) { Ok(instant) } else { pending };
        assert_eq!((self.timers.due(id), self.timers.last_due(id)), (pending, last));
        for _ in 0..self.random.below(3) {
            match self.random.below(4) {
                0 => self.cancel_id(id),
                1 => self.end(id),
                _ => self.reset_id(id),
            }
        }
    }

    fn end(&mut self, id: u64) {
        let expected = self.model.find(id).map(|pending| pending.call);
        let was_calling = self.model.calling.take_if(|calling| calling.id == id).is_some();
        assert_eq!(self.timers.end(id), expected.ok());
        if was_calling || expected.is_ok() {
            self.model.end(id, Status::ALREADY_CANCELLED);
        }
        assert_eq!(self.timers.reset(id, 0, 0), self.model.find(id).map(drop));
    }

    fn end_call(&mut self, due: Due<Call>) {
        let Due { id, call, .. } = due;
        let is_over = self.model.find(id).is_err();
        assert_eq!(self.timers.end_call(id, call), is_over.then_some(call));
        match self.model.find(id) {
            Ok(pending) => pending.call = call,
            Err(_) => {
                if self.model.calling.take().is_some() {
                    self.model.end(id, Status::ALREADY_CALLED);
                }
            }
        }
    }

    /// The call is not made after all.
    fn put_off(&mut self, due: Due<Call>) {
        let Due { id, call, .. } = due;
        self.timers.put_off(id, call);
        if let Some(calling) = self.model.calling.take() {
            let order = self.model.next_order();
            self.model.pending.push(Pending { due: NEVER, order, ..calling });
        } else if let Ok(pending) = self.model.find(id) {
            (pending.due, pending.call) = (NEVER, call);
        }
        assert_eq!(self.timers.due(id), Ok(NEVER));
    }

    /// Calls what is due as a reactor with a manual clock does.
    fn advance(&mut self) {
        let limit = self.now + self.random.below(self.range / 8 + 1);
        for _ in 0..self.random.below(20) {
            let expected = self.model.earliest(limit, u64::MAX);
            let due = self.timers.pop_until(limit, self.now);
            self.now = expected.map_or(self.now, |pending| self.now.max(pending.due));
            let expected = expected.map(|pending| self.model.begin(pending, self.now));
            assert_eq!(due, expected);
            let Some(due) = due else { break };
            self.inside(due.id, due.instant);
            self.end_call(due);
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
    let once = |number| Call { number, interval: 0 };
    let ids: Vec<u64> = (0..COUNT).zip(&dues).map(|(call, &due)| timers.insert(due, once(call))).collect();
    assert_eq!(timers.next_due(), dues.iter().min().copied());
    for call in 0..COUNT as usize {
        match random.below(3) {
            0 => {
                assert_eq!(timers.cancel(ids[call]), Ok(once(call as u64)));
                dues[call] = NEVER;
            }
            1 => {
                dues[call] = random.below(COUNT / 4);
                assert_eq!(timers.reset(ids[call], dues[call], 0), Ok(()));
            }
            _ => {}
        }
    }
    let mut expected: Vec<u64> = (0..COUNT).filter(|&call| dues[call as usize] != NEVER).collect();
    expected.sort_by_key(|&call| dues[call as usize]);
    assert_eq!(timers.len(), expected.len());
    timers.begin_pass();
    for call in expected {
        let due = timers.pop_due(COUNT).expect("a call");
        assert_eq!(timers.end_call(due.id, due.call), Some(once(call)));
    }
    assert_eq!((timers.pop_due(COUNT), timers.next_due(), timers.len()), (None, None, 0));
}
