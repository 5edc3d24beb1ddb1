use super::*;

const LIMIT: usize = 20_000;

/// A datagram that a test writes: its destination's port, its length, and the number in all of its bytes.
type Written = (u16, usize, u8);

/// A batch that gathers, and the cursor of the port that it gathers for.
fn gathering() -> (SendBatch, Arc<AppendCursor>) {
    let (mut send_batch, cursor) = (SendBatch::new(Rc::default()), Arc::<AppendCursor>::default());
    send_batch.gather(cursor.clone(), LIMIT);
    (send_batch, cursor)
}

fn push(send_batch: &mut SendBatch, data: &[u8], to: &Addr, limits: GsoLimits) {
    let target = Target { to: Some(to), meta: None, limits };
    send_batch.push(data.len(), 0, target, |place| place.copy_from_slice(data));
    send_batch.arm_cursor(limits);
}

/// Appends a datagram by the cursor; false if it cannot be appended.
fn append(cursor: &AppendCursor, data: &[u8], to: Option<&Addr>) -> bool {
    let Some(place) = cursor.try_append(data.as_ptr(), data.len(), to) else { return false };
    // SAFETY: the cursor is armed, so the arena is there, and has room for the datagram.
    unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), place, data.len()) };
    true
}

/// Writes as a port does, by the cursor if that is possible and `may_append`, until there is no room. Returns the datagrams, what
/// they are charged, and how many were appended.
fn gather(written: &[Written], limits: GsoLimits, may_append: bool) -> (Vec<Written>, usize, usize) {
    let ((mut send_batch, cursor), mut appended) = (gathering(), 0);
    for &(port, len, number) in written {
        let (to, data) = (Addr::v4([127, 0, 0, 1], port), vec![number; len]);
        if may_append && append(&cursor, &data, Some(&to)) {
            appended += 1;
        } else if send_batch.has_room(len, 1) {
            push(&mut send_batch, &data, &to, limits);
        } else {
            break;
        }
    }
    let charged = send_batch.charged();
    send_batch.finish();
    let datagrams = send_batch.unsent().map(|Unsent { data, to, .. }| {
        let number = data.first().copied().unwrap_or_default();
        assert!(data.iter().all(|byte| *byte == number));
        (to.map_or(0, |to| to.port), data.len(), number)
    });
    (datagrams.collect(), charged, appended)
}

#[test]
fn appending_does_what_pushing_does() {
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
        let (sent, charged, appended) = gather(&written, limits, true);
        assert_eq!((sent, charged, 0), gather(&written, limits, false));
        total += appended;
    }
    assert!(total > 10_000, "only {total} were appended");
}

#[test]
fn appending_ends_at_the_limit_of_the_queue() {
    let written = vec![(1, 100, 7); 400];
    let (sent, charged, appended) = gather(&written, GsoLimits::MAX, true);
    assert_eq!((sent.len(), charged), (LIMIT / 100, LIMIT));
    assert_eq!(appended, sent.len() - 2, "a message takes 128");
}

#[test]
fn nothing_is_appended_for_an_address_with_a_bit_changed() {
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
    let (mut send_batch, cursor) = gathering();
    push(&mut send_batch, &[1; 4], &to, GsoLimits::MAX);
    assert!(others.iter().all(|other| !append(&cursor, &[1; 4], Some(other))));
    assert!(!append(&cursor, &[1; 4], None) && !append(&cursor, &[1; 3], Some(&to)));
    assert!(append(&cursor, &[1; 4], Some(&to)));
    send_batch.finish();
    assert_eq!(send_batch.unsent().count(), 2);
}

/// A cursor that is armed has pointers into the arena.
#[test]
fn the_cursor_is_disarmed_whatever_becomes_of_the_batch() {
    let to = Addr::v4([127, 0, 0, 1], 9);
    for end in [SendBatch::finish, SendBatch::clear, |send_batch: &mut SendBatch| *send_batch = gathering().0]
    {
        let (mut send_batch, cursor) = gathering();
        push(&mut send_batch, &[1; 4], &to, GsoLimits::MAX);
        assert!(append(&cursor, &[1; 4], Some(&to)));
        end(&mut send_batch);
        assert!(!append(&cursor, &[1; 4], Some(&to)));
    }
}

#[test]
fn a_split_message_leaves_datagram_by_datagram() {
    let (one, other) = (Addr::v4([192, 0, 2, 1], 1), Addr::v4([192, 0, 2, 1], 2));
    let mut send_batch = SendBatch::new(Rc::default());
    [(1, one), (2, one), (3, one), (4, other)]
        .iter()
        .for_each(|(byte, to)| push(&mut send_batch, &[*byte; 2], to, GsoLimits::MAX));
    assert_eq!(send_batch.merged(), Some(GsoLimits { segments: 3, size: 2 }));
    send_batch.split();
    assert_eq!((send_batch.merged(), send_batch.next_count()), (None, 1));
    assert_eq!(send_batch.advance(1), (1, 2));
    assert_eq!((send_batch.pending(), send_batch.pending_charge()), (3, 3 * CHARGE_MIN));
    let unsent: Vec<_> = send_batch.unsent().map(|datagram| datagram.data[0]).collect();
    assert_eq!(unsent, [2, 3, 4]);
    assert_eq!(send_batch.advance(2), (2, 4));
    assert_eq!((send_batch.destination(), send_batch.next_count()), (Some(other), 1));
    send_batch.skip();
    assert!(send_batch.is_done());
}

/// Miri runs this, too: pointers from anything but the roots would be stale after the moves.
#[test]
fn what_the_kernel_points_to_stays_where_it_is() {
    let to = |port| Addr::v4([192, 0, 2, 1], port);
    let (send_batch, cursor) = gathering();
    let mut send_batch = Box::new(send_batch);
    for (port, byte) in [(1, 1), (2, 2), (1, 3)] {
        push(&mut send_batch, &[byte; 2], &to(port), GsoLimits::MAX);
    }
    let mut send_batch = Box::new(*send_batch);
    assert!(append(&cursor, &[4; 2], Some(&to(1))), "wherever the owner of the arena has gone");
    send_batch.finish();
    send_batch.lay_out_messages();
    let send_batch = Box::new(*send_batch);
    assert_eq!(send_batch.headers.read_as_kernel(), [(to(1), vec![1, 1, 3, 3, 4, 4]), (to(2), vec![2, 2])]);
}
