//! How far a reactor's run has come, in one word that every thread may read.

use crate::status::{Result, Status};
use crate::sys::tsan;
use std::sync::atomic::{AtomicU64, Ordering};

/// Between the start of a run and the end of its shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStage {
    /// No run.
    Idle,
    /// The run has started: its startup event may still be pending.
    Started,
    /// `stop` was called: the shutdown begins at the end of the turn.
    Stopping,
    /// The shutdown has begun; a trigger may hold it back.
    ShuttingDown,
}

const STAGES: [RunStage; 4] = [RunStage::Idle, RunStage::Started, RunStage::Stopping, RunStage::ShuttingDown];
const STAGE_MASK: u64 = 3;
/// Between the before phase of startup and that of shutdown.
const RUNNING: u64 = 1 << 2;
/// Another thread has asked for a stop.
const STOP_REQUESTED: u64 = 1 << 3;
/// The bits above count the runs that have ended.
const ONE_RUN: u64 = 1 << 8;

/// The life cycle of runs. Only [`Lifecycle::request_stop`] changes it from other threads.
#[derive(Debug, Default)]
pub struct Lifecycle(AtomicU64);

impl Lifecycle {
    /// The stage of the present run.
    pub fn stage(&self) -> RunStage {
        stage(self.0.load(Ordering::Relaxed))
    }

    /// How many runs have ended. A run that `crash` has ended is over, even if the reactor was started again in the same turn.
    pub fn runs_ended(&self) -> u64 {
        self.0.load(Ordering::Relaxed) / ONE_RUN
    }

    /// True from the start of a run to the end of its shutdown: there is something to stop.
    pub fn is_started(&self) -> bool {
        stage(self.load()) != RunStage::Idle
    }

    /// True from the startup to the shutdown.
    pub fn is_running(&self) -> bool {
        self.load() & RUNNING != 0
    }

    /// Starts a run.
    ///
    /// # Errors
    /// ALREADY_RUNNING unless the reactor is idle.
    pub fn start(&self) -> Result {
        let is_idle = self.stage() == RunStage::Idle;
        if is_idle {
            self.set_stage(RunStage::Started);
        }
        if is_idle { Ok(()) } else { Err(Status::ALREADY_RUNNING) }
    }

    /// The shutdown is due at the end of the turn.
    ///
    /// # Errors
    /// NOT_RUNNING if there is no run, or if it was stopped before.
    pub fn stop(&self) -> Result {
        if self.stage() != RunStage::Started {
            return Err(Status::NOT_RUNNING);
        }
        self.set_stage(RunStage::Stopping);
        Ok(())
    }

    /// The shutdown event begins. Without a run nothing changes.
    pub fn begin_shutdown(&self) {
        if self.stage() != RunStage::Idle {
            self.set_stage(RunStage::ShuttingDown);
        }
    }

    /// The before phase of an event is over: of startup if `running`, else of shutdown. Startup without a run changes nothing.
    pub fn set_running(&self, running: bool) {
        self.update(|word| match running {
            true if stage(word) != RunStage::Idle => word | RUNNING,
            true => word,
            false => word & !RUNNING,
        });
    }

    /// The run is over. A stop that was requested for it is not for the next one.
    pub fn end(&self) {
        self.update(|word| (word / ONE_RUN + 1) * ONE_RUN);
    }

    /// Requests a stop from any thread: the loop takes it in its next turn.
    ///
    /// # Errors
    /// NOT_RUNNING if there is no run.
    pub fn request_stop(&self) -> Result {
        tsan::release(self);
        let request = |word| (stage(word) != RunStage::Idle).then_some(word | STOP_REQUESTED);
        let requested = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, request);
        requested.map(drop).map_err(|_| Status::NOT_RUNNING)
    }

    /// True once for the requests that were made so far in this run.
    pub fn take_stop_request(&self) -> bool {
        self.update(|word| word & !STOP_REQUESTED) & STOP_REQUESTED != 0
    }

    fn set_stage(&self, stage: RunStage) {
        self.update(|word| (word & !STAGE_MASK) | stage as u64);
    }

    /// Returns the word as it was before.
    fn update(&self, change: impl Fn(u64) -> u64) -> u64 {
        tsan::release(self);
        let before = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| Some(change(word)));
        tsan::acquire(self);
        before.unwrap_or_else(|word| word)
    }

    fn load(&self) -> u64 {
        let word = self.0.load(Ordering::Acquire);
        tsan::acquire(self);
        word
    }
}

fn stage(word: u64) -> RunStage {
    STAGES[(word & STAGE_MASK) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_from_its_start_to_its_end() {
        let life = Lifecycle::default();
        assert_eq!((life.stage(), life.is_started(), life.is_running()), (RunStage::Idle, false, false));
        assert_eq!((life.stop(), life.request_stop()), (Err(Status::NOT_RUNNING), Err(Status::NOT_RUNNING)));
        assert_eq!((life.start(), life.start()), (Ok(()), Err(Status::ALREADY_RUNNING)));
        assert!(life.is_started() && !life.is_running());
        life.set_running(true);
        assert!(life.is_running());
        assert_eq!((life.stop(), life.stop()), (Ok(()), Err(Status::NOT_RUNNING)));
        assert!(life.is_running(), "until the shutdown");
        life.begin_shutdown();
        assert_eq!((life.stage(), life.is_running()), (RunStage::ShuttingDown, true));
        life.set_running(false);
        assert!(life.is_started() && !life.is_running());
        life.end();
        assert_eq!((life.stage(), life.is_started(), life.runs_ended()), (RunStage::Idle, false, 1));
    }

    #[test]
    fn a_stop_before_the_startup_is_over() {
        let life = Lifecycle::default();
        life.start().expect("it is idle");
        life.stop().expect("it has started");
        life.set_running(true);
        assert_eq!((life.stage(), life.is_running()), (RunStage::Stopping, true));
    }

    #[test]
    fn events_without_a_run_change_nothing() {
        let life = Lifecycle::default();
        life.set_running(true);
        life.begin_shutdown();
        assert_eq!((life.stage(), life.is_running()), (RunStage::Idle, false));
    }

    #[test]
    fn a_requested_stop_is_for_one_run() {
        let life = Lifecycle::default();
        life.start().expect("it is idle");
        assert_eq!((life.request_stop(), life.request_stop()), (Ok(()), Ok(())));
        assert_eq!((life.take_stop_request(), life.take_stop_request()), (true, false));
        life.request_stop().expect("it has started");
        life.end();
        life.start().expect("it is idle");
        assert!(!life.take_stop_request());
    }

    #[test]
    fn the_end_of_a_run_leaves_nothing_but_the_count() {
        let life = Lifecycle::default();
        for runs in 1..=300 {
            life.start().expect("it is idle");
            life.set_running(true);
            life.request_stop().expect("it runs");
            life.end();
            assert_eq!(life.0.load(Ordering::Relaxed), runs * ONE_RUN);
        }
    }
}
