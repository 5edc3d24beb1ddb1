//! What one port has gathered while callbacks run.

use super::message::SendOptions;
use super::queue::charge;
use crate::addr::Addr;
use crate::sys::{AppendCursor, GsoLimits, RecvSlice, SendBatch};
use std::sync::Arc;

/// Datagrams of one port that are to leave together.
#[derive(Debug)]
pub(super) struct Gathering {
    send_batch: Box<SendBatch>,
    /// What those that the arena knows of would count in the queue.
    charged: usize,
    /// Where those go that follow the last one. The arena does not know of them before [`Gathering::commit_appended`].
    append_cursor: Arc<AppendCursor>,
    /// Others are to be expected behind the next datagram: some were, the last time that the lane was open.
    expect_more: bool,
}

impl Gathering {
    pub(super) fn new(send_batch: Box<SendBatch>, append_cursor: Arc<AppendCursor>) -> Gathering {
        Gathering { send_batch, charged: 0, append_cursor, expect_more: true }
    }

    /// True where `len` more bytes fit as `pieces` datagrams, and the queue would take them, which takes what counts
    /// `limit` in all.
    #[inline(always)]
    pub(super) fn has_room(&mut self, len: usize, pieces: usize, limit: usize) -> bool {
        self.commit_appended();
        self.send_batch.has_room(len, pieces) && self.charged + charge(len, pieces) <= limit
    }

    /// The long way, where [`Gathering::has_room`], which has taken account of what went the short one.
    #[inline]
    pub(super) fn push(
        &mut self,
        len: usize,
        to: Option<&Addr>,
        options: SendOptions<'_>,
        (limits, limit): (GsoLimits, usize),
        recv_slice: Option<RecvSlice>,
        fill: impl FnOnce(&mut [u8]),
    ) {
        // Copies of one datagram that go to one place follow each other where they are copied.
        let recv_slice = recv_slice.filter(|recv_slice| !self.send_batch.repeats(*recv_slice, to));
        match recv_slice {
            Some(recv_slice) => self.send_batch.push_in_place(recv_slice, options.target(to), limits),
            None => self.send_batch.push(len, options.segment, options.target(to), limits, fill),
        }
        self.charged += charge(len, options.pieces(len));
        if options.is_plain() && (self.expect_more || self.send_batch.follows()) {
            let (each, left) = (charge(len, 1), limit.saturating_sub(self.charged));
            // Few queues are so full that they must be divided up.
            let few = left < each * limits.segments;
            let segments = if few { left / each } else { limits.segments };
            let append_space = match recv_slice {
                Some(recv_slice) => self.send_batch.append_space_in_place(segments, limits, recv_slice),
                None => self.send_batch.append_space(segments, limits),
            };
            append_space.into_iter().for_each(|append_space| self.append_cursor.arm(append_space, to));
        }
    }

    /// What all of it would count in the queue.
    pub(super) fn charged(&mut self) -> usize {
        self.commit_appended();
        self.charged
    }

    /// What is to be sent.
    pub(super) fn finish(mut self) -> Box<SendBatch> {
        self.commit_appended();
        self.send_batch
    }

    /// Shuts the lane, and takes account of what was put there.
    #[inline]
    fn commit_appended(&mut self) {
        let Some(taken) = self.append_cursor.disarm() else { return };
        self.expect_more = taken.bytes > 0;
        if self.expect_more {
            self.charged += taken.bytes / taken.segment * charge(taken.segment, 1);
            self.send_batch.commit(taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::Flush;
    use std::rc::Rc;

    const LIMIT: usize = 20_000;

    /// A datagram as a test writes it: to which port, how long, and the number in all of its bytes.
    type Written = (u16, usize, u8);

    /// True where it went the short way.
    fn put(gathering: &mut Gathering, data: &[u8], to: Option<&Addr>) -> bool {
        let place = gathering.append_cursor.try_append(data.as_ptr(), data.len(), to);
        place.map(|place| gathering.send_batch.bytes_at(place, data.len()).copy_from_slice(data)).is_some()
    }

    fn empty() -> Gathering {
        Gathering::new(Box::new(SendBatch::new(Rc::default())), Arc::default())
    }

    /// Writes as a port does, the short way where it is open if `shortly`; stops where there is no room.
    fn gather(written: &[Written], limits: GsoLimits, shortly: bool) -> (Vec<Written>, usize, usize) {
        let (mut gathering, mut short) = (empty(), 0);
        for &(port, len, number) in written {
            let (to, data) = (Addr::v4([127, 0, 0, 1], port), vec![number; len]);
            if shortly && put(&mut gathering, &data, Some(&to)) {
                short += 1;
            } else if gathering.has_room(len, 1, LIMIT) {
                let options = SendOptions::plain(Flush::Batched);
                gathering.push(len, Some(&to), options, (limits, LIMIT), None, |place| {
                    place.copy_from_slice(&data)
                });
            } else {
                break;
            }
        }
        let charged = gathering.charged();
        let send_batch = gathering.finish();
        let sent = send_batch.unsent().map(|(data, to, _)| {
            let number = data.first().copied().unwrap_or_default();
            assert!(data.iter().all(|byte| *byte == number));
            (to.map_or(0, |to| to.port), data.len(), number)
        });
        (sent.collect(), charged, short)
    }

    #[test]
    fn the_short_way_does_what_the_long_one_does() {
        let mut seed = 11u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let mut total = 0;
        for round in 0..400 {
            let (mut port, mut len) = (1, 100);
            let written: Vec<Written> = (0..400)
                .map(|number| {
                    if random(8) == 0 {
                        port = 1 + random(3) as u16;
                    }
                    if random(8) == 0 {
                        len = [0, 1, 10, 63, 64, 100, 1200][random(7) as usize];
                    }
                    (port, len, if len == 0 { 0 } else { number as u8 })
                })
                .collect();
            let limits = [GsoLimits::NONE, GsoLimits { segments: 5, size: 100 }, GsoLimits::MAX][round % 3];
            let (sent, charged, short) = gather(&written, limits, true);
            assert_eq!((sent, charged, 0), gather(&written, limits, false));
            total += short;
        }
        assert!(total > 10_000, "the short way was taken {total} times");
    }

    #[test]
    fn the_short_way_ends_where_the_queue_does() {
        let written = vec![(1, 100, 7); 400];
        let (sent, charged, short) = gather(&written, GsoLimits::MAX, true);
        assert_eq!((sent.len(), charged), (LIMIT / 100, LIMIT));
        assert_eq!(short, sent.len() - 2, "a message takes 128");
    }

    #[test]
    fn an_address_with_a_bit_changed_goes_the_long_way() {
        let to = Addr::v4([127, 0, 0, 1], 9);
        let others = [
            Addr { family: 6, ..to },
            Addr { port: 8, ..to },
            Addr { scope_id: 1, ..to },
            Addr { flow_info: 1, ..to },
            Addr::v4([127, 0, 0, 2], 9),
            Addr { bytes: std::array::from_fn(|index| to.bytes[index] | u8::from(index == 15)), ..to },
            Addr { reserved: 1, ..to },
        ];
        let mut gathering = empty();
        let options = SendOptions::plain(Flush::Batched);
        gathering.push(4, Some(&to), options, (GsoLimits::MAX, LIMIT), None, |place| place.fill(1));
        assert!(others.iter().all(|other| !put(&mut gathering, &[1; 4], Some(other))));
        assert!(!put(&mut gathering, &[1; 4], None) && !put(&mut gathering, &[1; 3], Some(&to)));
        assert!(put(&mut gathering, &[1; 4], Some(&to)));
        assert_eq!(gathering.finish().unsent().count(), 2);
    }
}
