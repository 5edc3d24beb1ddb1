//! Receiving many datagrams at once. Messages may be merged datagrams (GRO), which are split here.

use super::api::{Failure, Handle};
use super::buffers::{BUFFER_SIZE, Buffers, MESSAGES_MAX};
use super::datagrams::{BATCH_MAX, Datagram, Datagrams, TRUNCATED};
use super::imp::RecvHeaders;
use super::memory::StableArray;
use super::recv_meta;
use crate::addr::Addr;
use std::io;
use std::rc::Rc;

/// How a port's socket is received from.
#[derive(Clone, Copy, Debug)]
pub struct RecvOptions {
    /// Messages that one call asks for, 1 to 64.
    pub messages: usize,
    /// Bytes that a datagram is cut at.
    pub packet_size: usize,
    /// The socket merges datagrams (UDP_GRO, udp(7)).
    pub merges: bool,
    /// The local port, for the destination of a datagram, if more than bytes and sender is wanted of each.
    pub meta_port: Option<u16>,
}

/// What one call has received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Messages, each of which may be many datagrams.
    pub messages: usize,
    /// Datagrams.
    pub datagrams: usize,
    /// Their bytes, after the cut.
    pub bytes: usize,
    /// Datagrams that were cut.
    pub truncated: usize,
    /// A failure that followed them, if the socket no longer has its error.
    pub failure: Option<Failure>,
}

impl Received {
    /// One message of `len` bytes, cut into datagrams of `segment` bytes.
    fn count(&mut self, len: usize, segment: usize, packet_size: usize) {
        let (whole, last) = (len / segment, len % segment);
        self.datagrams += (whole + usize::from(last > 0)).max(1);
        self.bytes += whole * segment.min(packet_size) + last.min(packet_size);
        if segment > packet_size {
            self.truncated += whole + usize::from(last > packet_size);
        }
    }
}

/// The datagrams of one call, in the buffers that a reactor's ports share.
#[derive(Debug)]
pub struct RecvBatch {
    buffers: Rc<Buffers>,
    headers: RecvHeaders,
    /// Bytes of the datagrams of each message from `singles` on. A message's last datagram may be shorter.
    segments: [usize; MESSAGES_MAX],
    datagrams: StableArray<Datagram, BATCH_MAX>,
    pointers: StableArray<*const Datagram, BATCH_MAX>,
    /// So many messages at the front are one datagram each. These are laid out already.
    singles: usize,
    /// What is laid out next.
    next: Position,
    /// Datagrams with metadata of this call, or of an earlier one, at most.
    with_meta: usize,
    packet_size: usize,
    meta_port: Option<u16>,
}

/// A place among the bytes of the received messages.
#[derive(Clone, Copy, Debug)]
struct Position {
    message: usize,
    /// In bytes.
    offset: usize,
}

impl Position {
    /// Where a message begins.
    fn start_of(message: usize) -> Position {
        Position { message, offset: 0 }
    }
}

impl RecvBatch {
    /// An empty one, which receives into these buffers.
    pub fn new(buffers: Rc<Buffers>) -> RecvBatch {
        let datagrams = StableArray::from_fn(|_| Datagram::empty(Addr::UNSPECIFIED));
        let pointers = StableArray::from_fn(|index| datagrams.at(index).cast_const());
        RecvBatch {
            headers: RecvHeaders::new(|message| buffers.place(message)),
            buffers,
            segments: [0; MESSAGES_MAX],
            datagrams,
            pointers,
            singles: 0,
            next: Position::start_of(0),
            with_meta: 0,
            packet_size: BUFFER_SIZE,
            meta_port: None,
        }
    }

    /// Receives what waits, without waiting for more. [`RecvBatch::next_batch`] returns the datagrams.
    ///
    /// # Errors
    /// Those of the system: nothing waits, or the socket has an error.
    pub fn receive(&mut self, socket: Handle, options: &RecvOptions) -> io::Result<Received> {
        self.prepare(options);
        // SAFETY: this object owns the buffers, and lends slices of them only while it is borrowed. What other ports have gathered
        // in place is sent by the end of the dispatch in which it was received.
        let failure = unsafe { self.headers.receive(socket, options.messages.clamp(1, MESSAGES_MAX)) }?;
        let mut received = self.split_singles(options.merges);
        self.measure(options.merges, &mut received);
        received.failure = failure;
        Ok(received)
    }

    fn prepare(&mut self, options: &RecvOptions) {
        (self.singles..self.headers.len()).for_each(|message| self.buffers.set_merged(message, 0));
        // A buffer that is too short for merged datagrams loses those at the end.
        let size = if options.merges { BUFFER_SIZE } else { options.packet_size.clamp(1, BUFFER_SIZE) };
        self.headers.prepare(size, options.merges || options.meta_port.is_some());
        (self.singles, self.next) = (0, Position::start_of(0));
        (self.packet_size, self.meta_port) = (options.packet_size, options.meta_port);
        if self.meta_port.is_none() && self.with_meta > 0 {
            self.datagrams[..self.with_meta].iter_mut().for_each(Datagram::clear_meta);
            self.with_meta = 0;
        }
    }

    /// Lays out the messages at the front that certainly are one datagram each. It is a function of its own for the sake of the
    /// registers.
    #[inline(never)]
    fn split_singles(&mut self, merges: bool) -> Received {
        let mut received = Received { messages: self.headers.len(), ..Received::default() };
        // Merged datagrams have control data.
        let control_max = if merges { 0 } else { usize::MAX };
        for (message, datagram) in self.headers.iter().zip(&mut *self.datagrams) {
            if message.control_len() > control_max {
                break;
            }
            let len = message.len();
            datagram.set_data(message.data(), len);
            if len > self.packet_size {
                datagram.cut(self.packet_size);
                received.truncated += 1;
            }
            let fields = datagram.fields();
            message.read_sender(&mut fields.sender);
            received.bytes += fields.len;
            received.datagrams += 1;
        }
        self.singles = received.datagrams;
        if self.meta_port.is_some() {
            (0..self.singles).for_each(|index| self.apply_meta(index, index));
        }
        received
    }

    /// Finds out how the other messages are merged.
    fn measure(&mut self, merges: bool, received: &mut Received) {
        for index in self.singles..self.headers.len() {
            let len = self.headers.get(index).len();
            let segment = if merges { recv_meta::segment(self.headers.control(index)) } else { None };
            let segment = segment.unwrap_or(len).clamp(1, len.max(1));
            self.segments[index] = segment;
            self.buffers.set_merged(index, if segment < len { len } else { 0 });
            received.count(len, segment, self.packet_size);
        }
    }

    /// The next datagrams of the last [`RecvBatch::receive`], at most 256, without copying; none when all have been returned.
    pub fn next_batch(&mut self) -> Option<Datagrams<'_>> {
        let mut count = 0;
        if self.next.message < self.singles {
            count = self.singles;
            self.next = Position::start_of(count);
        }
        while self.next.message < self.headers.len() && count < BATCH_MAX {
            count += self.split_merged(count);
        }
        let batch = Datagrams { datagrams: &self.datagrams[..count], pointers: &self.pointers[..count] };
        (count > 0).then_some(batch)
    }

    /// The last batch of `count`, without those that `wanted`, which may change them, does not want.
    pub fn retain(&mut self, count: usize, mut wanted: impl FnMut(&mut Datagram) -> bool) -> Datagrams<'_> {
        let mut left = 0;
        for index in 0..count {
            if wanted(&mut self.datagrams[index]) {
                self.datagrams.swap(left, index);
                left += 1;
            }
        }
        Datagrams { datagrams: &self.datagrams[..left], pointers: &self.pointers[..left] }
    }

    /// Lays out the next message, or what is left of it, behind the first `first` datagrams. Returns how many datagrams that are.
    fn split_merged(&mut self, first: usize) -> usize {
        let Position { message: index, offset } = self.next;
        let message = self.headers.get(index);
        let (len, segment, packet_size) = (message.len(), self.segments[index], self.packet_size);
        let mut sender = Addr::UNSPECIFIED;
        message.read_sender(&mut sender);
        let mut data = message.data().wrapping_add(offset);
        let mut left = len - offset;
        for datagram in &mut self.datagrams[first..] {
            let full_len = segment.min(left);
            datagram.set_data(data, full_len);
            if full_len > packet_size {
                datagram.cut(packet_size);
            }
            datagram.fields().sender = sender;
            data = data.wrapping_add(full_len);
            left -= full_len;
            if left == 0 {
                break;
            }
        }
        // Only the last one may be shorter, or empty.
        let count = (len - offset - left).div_ceil(segment).max(1);
        if self.meta_port.is_some() {
            (0..count).for_each(|number| self.apply_meta(index, first + number));
        }
        self.next = match left {
            0 => Position::start_of(index + 1),
            _ => Position { message: index, offset: len - left },
        };
        count
    }

    /// Copies the metadata of a message to a datagram of it.
    fn apply_meta(&mut self, message: usize, place: usize) {
        let Some(port) = self.meta_port else { return };
        recv_meta::read(&mut self.datagrams[place], self.headers.control(message), port);
        self.with_meta = self.with_meta.max(place + 1);
    }
}

impl Datagram {
    /// Sets its bytes: `len` at `data`, as it was sent. It has to be cut at the port's packet size; then the bytes lie within one
    /// buffer, since no length is above 65,535 (RFC 768), and the kernel writes at most the buffer's size.
    #[inline]
    fn set_data(&mut self, data: *const u8, len: usize) {
        let fields = self.fields();
        (fields.data, fields.len, fields.full_len, fields.flags) = (data, len, len, 0);
    }

    /// Cuts a datagram that is longer than the port receives.
    #[cold]
    fn cut(&mut self, packet_size: usize) {
        let fields = self.fields();
        (fields.len, fields.flags) = (packet_size, TRUNCATED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: RecvOptions =
        RecvOptions { messages: MESSAGES_MAX, packet_size: 1500, merges: false, meta_port: None };

    fn sender(message: usize) -> Addr {
        Addr::v4([192, 0, 2, message as u8], 1000)
    }

    /// Reads the batch as C does, by its pointers.
    fn play_host(batch: Datagrams<'_>) {
        for (message, datagram) in batch.pointers().iter().enumerate() {
            // SAFETY: a pointer of the batch.
            let datagram = unsafe { &**datagram };
            assert_eq!(
                (datagram.data(), datagram.sender),
                (&vec![message as u8; message][..], sender(message))
            );
        }
    }

    /// Miri runs this, too: pointers from anything but the roots would be stale after the moves.
    #[test]
    fn what_the_kernel_and_c_point_to_stays_where_it_is() {
        let first = RecvBatch::new(Rc::default());
        let name = first.headers.first_name();
        let mut moved = Some(Box::new(first));
        for count in [1, MESSAGES_MAX, 7] {
            let mut recv_batch = moved.take().map(|batch| Box::new(*batch)).expect("it is there");
            recv_batch.prepare(&PLAIN);
            let senders: Vec<_> = (0..count).map(sender).collect();
            recv_batch.headers.write_as_kernel(&senders);
            let received = recv_batch.split_singles(PLAIN.merges);
            assert_eq!((recv_batch.headers.first_name(), received.datagrams), (name, count));
            let batch = recv_batch.next_batch().expect("datagrams");
            assert_eq!(batch.len(), count);
            play_host(batch);
            play_host(batch.copy_if(|_| true).map(Box::new).expect("memory").batch());
            assert!(recv_batch.next_batch().is_none());
            moved = Some(recv_batch);
        }
    }
}
