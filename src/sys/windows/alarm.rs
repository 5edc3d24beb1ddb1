//! No loop can wait for a poller here, so none needs an alarm.

use crate::sys::{Handle, unsupported};
use std::io;

/// There is none.
#[derive(Debug)]
pub enum Alarm {}

impl Alarm {
    /// Fails: the system has no such thing.
    pub fn new() -> io::Result<Alarm> {
        Err(unsupported())
    }

    /// See [`Alarm`].
    pub fn set(&self, _timeout: Option<u64>) -> io::Result<()> {
        match *self {}
    }

    /// See [`Alarm`].
    pub fn renew(&self) -> io::Result<()> {
        match *self {}
    }

    /// See [`Alarm`].
    pub fn fd(&self) -> Handle {
        match *self {}
    }
}
