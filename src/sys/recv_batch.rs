//! Receiving many datagrams by one recvmmsg(2), merged ones (GRO) among them.

use super::api::Failure;
use super::buffers::{BUFFER_SIZE, Buffers, MESSAGES_MAX};
use super::datagrams::{BATCH_MAX, Datagram, Datagrams, TRUNCATED};
use super::imp::cmsg::ControlBuffer;
use super::imp::mmsg::MmsgCalls;
use super::imp::mmsg_headers::{NAME_SIZE, header};
use super::imp::recv_meta;
use super::memory::StableArray;
use crate::addr::Addr;
use std::io;
use std::os::fd::RawFd;
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
    /// Where datagrams tell more than bytes and sender: the local port, for `Datagram::destination`.
    pub meta_port: Option<u16>,
}

/// What one call has brought.
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

/// What belongs to a message beside its header.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct MessageSlot {
    /// The sender's address as the kernel writes it, first, so that a pointer to the slot is one to the name.
    name: [u8; NAME_SIZE],
    /// Bytes of its datagrams; the last one may be shorter.
    segment: u32,
}

impl MessageSlot {
    /// The sender as a datagram has it.
    #[inline]
    fn read_name(&self, header: &libc::mmsghdr, sender: &mut Addr) {
        sender.read_sockaddr(&self.name, header.msg_hdr.msg_namelen as usize);
    }
}

/// What one recvmmsg(2) brings, in the buffers that a reactor's ports share.
#[derive(Debug)]
pub struct RecvBatch {
    calls: MmsgCalls,
    buffers: Rc<Buffers>,
    slots: StableArray<MessageSlot, MESSAGES_MAX>,
    vectors: StableArray<libc::iovec, MESSAGES_MAX>,
    headers: StableArray<libc::mmsghdr, MESSAGES_MAX>,
    controls: StableArray<ControlBuffer<{ recv_meta::RECV_CONTROL_SIZE }>, MESSAGES_MAX>,
    datagrams: StableArray<Datagram, BATCH_MAX>,
    pointers: StableArray<*const Datagram, BATCH_MAX>,
    /// Headers that the kernel has written to since they were laid out.
    filled: usize,
    /// Headers with room for control data.
    with_control: usize,
    /// Datagrams with facts from control data in them.
    with_meta: usize,
    /// Datagrams that are laid out for the next batch already.
    prepared: usize,
    /// The first message that may be merged datagrams: those before it are one each.
    first_merged: usize,
    /// The first message, and byte of it, that no datagram has been made of.
    next: (usize, usize),
    packet_size: usize,
    meta_port: Option<u16>,
}

impl RecvBatch {
    /// Into these buffers.
    pub fn new(buffers: Rc<Buffers>) -> RecvBatch {
        let slots = StableArray::from_fn(|_| MessageSlot { name: [0; NAME_SIZE], segment: 0 });
        let controls = StableArray::from_fn(|_| ControlBuffer([0; recv_meta::RECV_CONTROL_SIZE]));
        let vectors = StableArray::from_fn(|index| libc::iovec {
            iov_base: buffers.place(index).cast(),
            iov_len: BUFFER_SIZE,
        });
        let headers = StableArray::from_fn(|index| {
            let mut header = header(vectors.at(index), slots.at(index).cast());
            header.msg_hdr.msg_control = controls.at(index).cast();
            header
        });
        let datagrams = StableArray::from_fn(|_| Datagram::empty(Addr::UNSPECIFIED));
        let pointers = StableArray::from_fn(|index| datagrams.at(index).cast_const());
        RecvBatch {
            calls: MmsgCalls::default(),
            buffers,
            slots,
            vectors,
            headers,
            controls,
            datagrams,
            pointers,
            filled: 0,
            with_control: 0,
            with_meta: 0,
            prepared: 0,
            first_merged: 0,
            next: (0, 0),
            packet_size: BUFFER_SIZE,
            meta_port: None,
        }
    }
}

/// What the kernel has told of a message.
#[inline]
fn control<'a>(
    header: &libc::mmsghdr,
    room: &'a ControlBuffer<{ recv_meta::RECV_CONTROL_SIZE }>,
) -> &'a [u8] {
    // The type of the length differs between C libraries.
    let len: usize = header.msg_hdr.msg_controllen as _;
    &room.0[..len.min(recv_meta::RECV_CONTROL_SIZE)]
}

impl RecvBatch {
    /// Waiting datagrams: one recvmmsg(2), or a recvmsg(2) for each where that is refused, which never wait.
    /// [`RecvBatch::next_batch`] hands them out. Errors: EAGAIN, and those of the socket; ENOSYS where both are refused.
    pub fn receive(&mut self, fd: RawFd, recv_options: &RecvOptions) -> io::Result<Received> {
        let count = recv_options.messages.clamp(1, MESSAGES_MAX);
        self.prepare(count, recv_options);
        // MSG_TRUNC: each msg_len is the datagram's whole length, also where it was cut (recv(2)).
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        let headers = self.headers.at(0);
        // SAFETY: `count` headers, each over a buffer, a name and control data of the lengths that it says, by pointers from the
        // roots of those arrays, to which there is no reference now.
        let (filled, failure) = unsafe { self.calls.receive(fd, headers, count, flags) }?;
        self.filled = filled;
        // Bits of a control data's length that may tell of merged datagrams.
        let telling = if recv_options.merges { !0 } else { 0 };
        let mut received = self.split_singles(telling);
        self.measure(recv_options.merges, &mut received);
        received.failure = failure;
        Ok(received)
    }

    /// The kernel writes the lengths of names and control data: they are put right for each call.
    fn prepare(&mut self, count: usize, recv_options: &RecvOptions) {
        for header in &mut self.headers[..self.filled] {
            header.msg_hdr.msg_namelen = NAME_SIZE as u32;
        }
        let wants_control = recv_options.merges || recv_options.meta_port.is_some();
        let (with_control, room) = if wants_control { (count, recv_meta::RECV_CONTROL_SIZE) } else { (0, 0) };
        for header in &mut self.headers[..with_control.max(self.with_control)] {
            header.msg_hdr.msg_controllen = room as _;
        }
        self.with_control = with_control;
        // A buffer that is too short for merged datagrams loses those behind it.
        let size =
            if recv_options.merges { BUFFER_SIZE } else { recv_options.packet_size.clamp(1, BUFFER_SIZE) };
        if self.vectors[0].iov_len != size {
            self.vectors.iter_mut().for_each(|vector| vector.iov_len = size);
        }
        (self.first_merged..self.filled).for_each(|message| self.buffers.set_merged(message, 0));
        (self.filled, self.prepared, self.first_merged, self.next) = (0, 0, 0, (0, 0));
        (self.packet_size, self.meta_port) = (recv_options.packet_size, recv_options.meta_port);
        self.clear_meta();
    }

    /// Lays out the first messages, as far as each surely is one datagram. Alone in its function, for the registers.
    #[inline(never)]
    fn split_singles(&mut self, telling: usize) -> Received {
        let mut received = Received { messages: self.filled, ..Received::default() };
        let messages = self.headers[..self.filled].iter().zip(&*self.slots).zip(&*self.vectors);
        for (((header, slot), vector), datagram) in messages.zip(&mut *self.datagrams) {
            // The type of the length differs between C libraries.
            let control_len: usize = header.msg_hdr.msg_controllen as _;
            if control_len & telling != 0 {
                break;
            }
            datagram.set_data(vector.iov_base.cast(), header.msg_len as usize);
            if datagram.full_len > self.packet_size {
                datagram.cut(self.packet_size);
                received.truncated += 1;
            }
            slot.read_name(header, &mut datagram.fields().sender);
            received.bytes += datagram.len;
            received.datagrams += 1;
        }
        if self.meta_port.is_some() {
            (0..received.datagrams).for_each(|index| self.apply_meta(index, index));
        }
        (self.prepared, self.next) = (received.datagrams, (received.datagrams, 0));
        received
    }

    /// What the messages behind those hold.
    fn measure(&mut self, merges: bool, received: &mut Received) {
        self.first_merged = self.next.0;
        for index in self.first_merged..self.filled {
            let (header, room) = (&self.headers[index], &self.controls[index]);
            let len = header.msg_len as usize;
            let segment = if merges { recv_meta::segment(control(header, room)) } else { None };
            let segment = segment.unwrap_or(len).clamp(1, len.max(1));
            self.slots[index].segment = segment as u32;
            self.buffers.set_merged(index, if segment < len { len } else { 0 });
            received.count(len, segment, self.packet_size);
        }
    }

    /// The next datagrams of the last [`RecvBatch::receive`], at most 256, laid out without copying; none when all have
    /// been handed out.
    pub fn next_batch(&mut self) -> Option<Datagrams<'_>> {
        let mut count = std::mem::take(&mut self.prepared);
        while self.next.0 < self.filled && count < BATCH_MAX {
            count += self.split_merged(count);
        }
        let batch = Datagrams { datagrams: &self.datagrams[..count], pointers: &self.pointers[..count] };
        (count > 0).then_some(batch)
    }

    /// The last batch of `count`, with those left out that `wanted`, which may change them, does not want.
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

    /// Lays out the next message, or what is left of it; the answer is how many datagrams that makes.
    fn split_merged(&mut self, first: usize) -> usize {
        let (index, offset) = self.next;
        let (header, slot, vector) = (&self.headers[index], &self.slots[index], &self.vectors[index]);
        let (len, segment, packet_size) = (header.msg_len as usize, slot.segment as usize, self.packet_size);
        let mut sender = Addr::UNSPECIFIED;
        slot.read_name(header, &mut sender);
        let mut data = vector.iov_base.cast::<u8>().wrapping_add(offset);
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
        self.next = if left > 0 { (index, len - left) } else { (index + 1, 0) };
        count
    }

    /// Puts what a message's control data tells into a datagram of it.
    fn apply_meta(&mut self, message: usize, place: usize) {
        let Some(port) = self.meta_port else { return };
        let control = control(&self.headers[message], &self.controls[message]);
        recv_meta::read(&mut self.datagrams[place], control, port);
        self.with_meta = self.with_meta.max(place + 1);
    }

    /// What was told of earlier datagrams is not told of those of a port that asks for nothing.
    fn clear_meta(&mut self) {
        if self.meta_port.is_none() && self.with_meta > 0 {
            self.datagrams[..self.with_meta].iter_mut().for_each(Datagram::clear_meta);
            self.with_meta = 0;
        }
    }
}

impl Datagram {
    /// Its bytes: those at `data`, `len` long as it was sent, to be cut at the port's packet size. Then they lie within one
    /// buffer: the kernel says no length above 65,535 (RFC 768), and writes no more than the smaller of that and the size.
    #[inline]
    fn set_data(&mut self, data: *const u8, len: usize) {
        let fields = self.fields();
        (fields.data, fields.len, fields.full_len, fields.flags) = (data, len, len, 0);
    }

    /// It is longer than the port takes.
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

    /// What recvmmsg(2) does, by the pointers in the headers alone: into each message as many bytes as its number says.
    fn play_kernel(recv_batch: &mut RecvBatch, count: usize) {
        for message in 0..count {
            // SAFETY: a header of the array, to which there is no reference.
            let header = unsafe { &mut *recv_batch.headers.at(message) };
            // SAFETY: the header says where it is.
            let vector = unsafe { &*header.msg_hdr.msg_iov };
            assert!(message < vector.iov_len && header.msg_hdr.msg_namelen as usize == NAME_SIZE);
            let mut name = [0; NAME_SIZE];
            header.msg_hdr.msg_namelen = sender(message).to_sockaddr(&mut name) as u32;
            // SAFETY: the header says that there is room for a name.
            unsafe { header.msg_hdr.msg_name.cast::<[u8; NAME_SIZE]>().write(name) };
            // SAFETY: and so many bytes.
            unsafe { vector.iov_base.cast::<u8>().write_bytes(message as u8, message) };
            header.msg_len = message as u32;
        }
        recv_batch.filled = count;
    }

    /// What C does: it goes from pointer to pointer.
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
        let name = first.headers[0].msg_hdr.msg_name;
        let mut moved = Some(Box::new(first));
        for count in [1, MESSAGES_MAX, 7] {
            let mut recv_batch =
                moved.take().map(|recv_batch| Box::new(*recv_batch)).expect("it is given back");
            recv_batch.prepare(MESSAGES_MAX, &PLAIN);
            play_kernel(&mut recv_batch, count);
            assert_eq!(
                (recv_batch.headers[0].msg_hdr.msg_name, recv_batch.split_singles(0).datagrams),
                (name, count)
            );
            let batch = recv_batch.next_batch().expect("datagrams");
            assert_eq!(batch.len(), count);
            play_host(batch);
            play_host(batch.copy_if(|_| true).map(Box::new).expect("memory").batch());
            moved = Some(recv_batch);
        }
    }
}
