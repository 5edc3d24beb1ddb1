//! Many messages, by one system call for each.

use super::message;
use crate::addr::Addr;
use crate::sys::api::Failure;
use crate::sys::buffers::MESSAGES_MAX;
use crate::sys::cmsg::{Control, ControlBuffer};
use crate::sys::gso_plan::MESSAGES;
use crate::sys::memory::StableArray;
use crate::sys::recv_meta::RECV_CONTROL_SIZE;
use crate::sys::sock_addr::name;
use crate::sys::{Handle, unsupported};
use socket2::SockAddr;
use std::io;
use std::mem::MaybeUninit;

/// The messages that wait to be sent.
#[derive(Debug, Default)]
pub(in crate::sys) struct SendHeaders {
    messages: Vec<SendMessage>,
    /// Messages at the front that are done.
    done: usize,
}

#[derive(Debug)]
struct SendMessage {
    bytes: *const [u8],
    /// None: to the connected peer.
    name: Option<SockAddr>,
    control: Control,
    /// It is several datagrams, or its bytes lie apart, so that it has to be sent in another form.
    is_merged: bool,
}

impl SendHeaders {
    pub(in crate::sys) fn clear(&mut self) {
        self.messages.clear();
        self.done = 0;
    }

    /// True if no message is left to be sent.
    pub(in crate::sys) fn is_empty(&self) -> bool {
        self.done == self.messages.len()
    }

    /// Counts the next `count` messages as done.
    pub(in crate::sys) fn advance(&mut self, count: usize) {
        self.done = (self.done + count).min(self.messages.len());
    }

    /// Adds a message of these bytes, to the connected peer if `to` is none.
    pub(in crate::sys) fn add(&mut self, bytes: *const [u8], to: Option<&Addr>) {
        debug_assert!(self.messages.len() < MESSAGES, "the plan has no more messages");
        let name = to.and_then(|to| name(to).ok());
        self.messages.push(SendMessage { bytes, name, control: Control::EMPTY, is_merged: false });
    }

    /// Adds `more` bytes and control data to the message that was added last. Messages with a `segment` or with more bytes fail.
    pub(in crate::sys) fn extend(
        &mut self,
        mut more: impl Iterator<Item = *const [u8]>,
        control: Option<&Control>,
        segment: Option<usize>,
    ) {
        let Some(message) = self.messages.last_mut() else { return };
        message.control = control.copied().unwrap_or(Control::EMPTY);
        message.is_merged = segment.is_some() || more.next().is_some();
    }

    /// If the next message has a TTL of 0 for IPv4, removes the TTL, and all messages behind this one. Otherwise returns false.
    pub(in crate::sys) fn isolate_zero_ttl(&mut self) -> bool {
        let Some(message) = self.messages.get_mut(self.done) else { return false };
        let Some(rest) = message.control.without_zero_ttl() else { return false };
        message.control = rest;
        self.messages.truncate(self.done + 1);
        true
    }

    /// Sends at most `limit` of the messages that are not done, without waiting. Returns how many the system took, at least one.
    ///
    /// # Errors
    /// The first message's.
    ///
    /// # Safety
    /// The bytes that were given to [`SendHeaders::add`] are still there.
    pub(in crate::sys) unsafe fn send(&mut self, handle: Handle, limit: usize) -> io::Result<usize> {
        let mut sent = 0;
        for message in self.messages[self.done..].iter().take(limit) {
            // SAFETY: the caller's promise.
            match unsafe { message.send(handle) } {
                // An error that follows messages that were sent is dropped: the next call meets it again.
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
                Ok(()) => sent += 1,
            }
        }
        Ok(sent)
    }
}

impl SendMessage {
    /// # Safety
    /// Its bytes are still there.
    unsafe fn send(&self, handle: Handle) -> io::Result<()> {
        if self.is_merged {
            return Err(unsupported());
        }
        // SAFETY: the caller's promise.
        message::send(handle, unsafe { &*self.bytes }, self.name.as_ref(), self.control.bytes())
    }
}

/// The messages of one call, each in its buffer.
#[derive(Debug)]
pub(in crate::sys) struct RecvHeaders {
    messages: StableArray<RecvMessage, MESSAGES_MAX>,
    controls: StableArray<ControlBuffer<RECV_CONTROL_SIZE>, MESSAGES_MAX>,
    /// The bytes of each buffer that are used, and of each place for control data.
    size: usize,
    room: usize,
    received: usize,
}

/// A received message.
#[derive(Clone, Copy, Debug)]
pub(in crate::sys) struct RecvMessage {
    data: *mut u8,
    len: usize,
    control_len: usize,
    sender: Addr,
}

/// A message that was received.
pub(in crate::sys) struct ReceivedMessage {
    /// None if it was longer than the buffer.
    pub(in crate::sys) len: Option<usize>,
    pub(in crate::sys) control_len: usize,
    pub(in crate::sys) sender: Addr,
}

impl RecvHeaders {
    /// `buffer` is where the buffer of each message begins, of [`BUFFER_SIZE`](crate::sys::buffers::BUFFER_SIZE) bytes.
    pub(in crate::sys) fn new(buffer: impl Fn(usize) -> *mut u8) -> RecvHeaders {
        let message =
            |index| RecvMessage { data: buffer(index), len: 0, control_len: 0, sender: Addr::UNSPECIFIED };
        RecvHeaders {
            messages: StableArray::from_fn(message),
            controls: StableArray::from_fn(|_| ControlBuffer([0; RECV_CONTROL_SIZE])),
            size: 0,
            room: 0,
            received: 0,
        }
    }

    /// Prepares for a call: with buffers of `size` bytes, and room for control data if that is wanted.
    pub(in crate::sys) fn prepare(&mut self, size: usize, wants_control: bool) {
        self.size = size;
        self.room = if wants_control { RECV_CONTROL_SIZE } else { 0 };
        self.received = 0;
    }

    /// Receives at most `count` messages, 1 to [`MESSAGES_MAX`], without waiting. Returns a failure that followed the messages if
    /// the socket no longer has its error.
    ///
    /// # Errors
    /// Those of the socket; [`Failure::WouldBlock`] above all.
    ///
    /// # Safety
    /// Nothing refers to the buffers, which are still there.
    pub(in crate::sys) unsafe fn receive(
        &mut self,
        handle: Handle,
        count: usize,
    ) -> io::Result<Option<Failure>> {
        let RecvHeaders { messages, controls, size, room, received } = self;
        for (message, control) in messages.iter_mut().zip(controls.iter_mut()).take(count) {
            // SAFETY: the caller's promise.
            match unsafe { message.receive(handle, *size, &mut control.0[..*room]) } {
                Err(error) if *received == 0 => return Err(error),
                Err(error) => return Ok(Some(Failure::of(&error))),
                Ok(()) => *received += 1,
            }
        }
        Ok(None)
    }

    /// How many messages the last call has received.
    pub(in crate::sys) fn len(&self) -> usize {
        self.received
    }

    /// The received messages.
    pub(in crate::sys) fn iter(&self) -> impl Iterator<Item = RecvMessage> {
        self.messages[..self.received].iter().copied()
    }

    /// One of them.
    pub(in crate::sys) fn get(&self, index: usize) -> RecvMessage {
        self.messages[index]
    }

    /// The control data of one of them.
    pub(in crate::sys) fn control(&self, index: usize) -> &[u8] {
        &self.controls[index].0[..self.messages[index].control_len.min(RECV_CONTROL_SIZE)]
    }
}

impl RecvMessage {
    /// # Safety
    /// Nothing refers to the buffer, which has `size` bytes.
    unsafe fn receive(&mut self, handle: Handle, size: usize, control: &mut [u8]) -> io::Result<()> {
        // SAFETY: the caller's promise; bytes may be seen as bytes that are perhaps not initialised.
        let buffer = unsafe { std::slice::from_raw_parts_mut(self.data.cast::<MaybeUninit<u8>>(), size) };
        let received = message::receive(handle, buffer, control)?;
        // Of a datagram that was cut, only that is known.
        self.len = received.len.unwrap_or(size + 1);
        self.control_len = received.control_len;
        self.sender = received.sender;
        Ok(())
    }

    /// Where its bytes lie.
    pub(in crate::sys) fn data(&self) -> *const u8 {
        self.data
    }

    /// Its length, which is one byte more than the buffer has if it was longer.
    pub(in crate::sys) fn len(&self) -> usize {
        self.len
    }

    pub(in crate::sys) fn control_len(&self) -> usize {
        self.control_len
    }

    pub(in crate::sys) fn read_sender(&self, sender: &mut Addr) {
        *sender = self.sender;
    }
}

#[cfg(test)]
impl SendHeaders {
    /// Returns where each message goes, and its bytes.
    pub(in crate::sys) fn read_as_kernel(&self) -> Vec<(Addr, Vec<u8>)> {
        let message = |message: &SendMessage| {
            // SAFETY: the test has the bytes.
            let bytes = unsafe { &*message.bytes };
            (
                message.name.as_ref().map_or(Addr::UNSPECIFIED, crate::sys::sock_addr::read_name),
                bytes.to_vec(),
            )
        };
        self.messages[self.done..].iter().map(message).collect()
    }
}

#[cfg(test)]
impl RecvHeaders {
    /// Receives a message from each of these senders, whose bytes and length are its number.
    pub(in crate::sys) fn write_as_kernel(&mut self, senders: &[Addr]) {
        for (number, (message, sender)) in self.messages.iter_mut().zip(senders).enumerate() {
            (message.len, message.control_len, message.sender) = (number, 0, *sender);
            // SAFETY: the buffer is longer.
            unsafe { message.data.write_bytes(number as u8, number) };
        }
        self.received = senders.len();
    }

    /// Where the first message is.
    pub(in crate::sys) fn first_name(&self) -> *const std::ffi::c_void {
        self.messages.at(0).cast_const().cast()
    }
}
