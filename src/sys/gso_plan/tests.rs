use super::*;

fn addr(port: u16) -> Addr {
    Addr::v4([127, 0, 0, 1], port)
}

fn to(addr: &Addr, limits: GsoLimits) -> Target<'_> {
    Target { to: Some(addr), meta: None, limits }
}

/// The bytes of one lie behind those of the other.
fn push(plan: &mut GsoPlan, len: usize, target: Target<'_>) {
    let end = |message| plan.runs(message).map(|run| run.extent.start + run.extent.len).max();
    let start = plan.messages().iter().filter_map(end).max().unwrap_or_default();
    plan.push(Extent { start, len, in_place: false }, target);
}

fn push_all(plan: &mut GsoPlan, datagrams: &[(u16, usize)]) {
    datagrams.iter().for_each(|(port, len)| push(plan, *len, to(&addr(*port), GsoLimits::MAX)));
}

/// Destination and lengths of each message.
fn shapes(plan: &GsoPlan) -> Vec<(u16, Vec<usize>)> {
    let lengths = |message| plan.datagrams(message).map(|extent| extent.len).collect();
    plan.messages().iter().map(|message| (message.to.unwrap().port, lengths(message))).collect()
}

#[test]
fn neighbours_of_one_size_are_one_message_and_one_run() {
    let mut plan = GsoPlan::default();
    push_all(&mut plan, &[(1, 100), (1, 100), (1, 60)]);
    assert_eq!(shapes(&plan), [(1, vec![100, 100, 60])]);
    assert_eq!(plan.runs(&plan.messages()[0]).count(), 1);
}

#[test]
fn a_shorter_one_is_the_last_and_a_longer_one_begins_anew() {
    let mut plan = GsoPlan::default();
    push_all(&mut plan, &[(1, 100), (1, 60), (1, 60), (1, 100), (1, 0), (1, 0)]);
    assert_eq!(
        shapes(&plan),
        [(1, vec![100, 60]), (1, vec![60]), (1, vec![100]), (1, vec![0]), (1, vec![0])]
    );
}

#[test]
fn interleaved_destinations_gather_too() {
    let mut plan = GsoPlan::default();
    push_all(&mut plan, &[(1, 10), (2, 10), (1, 10), (2, 10), (2, 10), (1, 10)]);
    assert_eq!(shapes(&plan), [(1, vec![10; 3]), (2, vec![10; 3])]);
    let starts: Vec<_> = plan.datagrams(&plan.messages()[0]).map(|extent| extent.start).collect();
    assert_eq!(starts, [0, 20, 50]);
}

#[test]
fn destinations_of_one_slot_stay_apart() {
    let mut plan = GsoPlan::default();
    let same: Vec<u16> = (1..).filter(|port| hash(Some(&addr(*port))) == SLOTS - 1).take(3).collect();
    (0..2).for_each(|_| same.iter().for_each(|port| push(&mut plan, 10, to(&addr(*port), GsoLimits::MAX))));
    let expected: Vec<_> = same.iter().map(|port| (*port, vec![10; 2])).collect();
    assert_eq!(shapes(&plan), expected);
}

#[test]
fn in_order_only_neighbours_are_one_message() {
    let mut plan = GsoPlan::default();
    plan.keep_order();
    push_all(&mut plan, &[(1, 10), (1, 10), (2, 10), (1, 10), (2, 10), (2, 10)]);
    assert_eq!(shapes(&plan), [(1, vec![10; 2]), (2, vec![10]), (1, vec![10]), (2, vec![10; 2])]);
    plan.clear();
    push_all(&mut plan, &[(1, 10), (2, 10), (1, 10)]);
    assert_eq!(shapes(&plan), [(1, vec![10; 2]), (2, vec![10])], "until it is cleared");
}

#[test]
fn limits() {
    let mut plan = GsoPlan::default();
    let (one, few) = (addr(1), GsoLimits { segments: 3, size: 50 });
    [50, 50, 50, 50, 51, 51].iter().for_each(|len| push(&mut plan, *len, to(&one, few)));
    assert_eq!(shapes(&plan), [(1, vec![50; 3]), (1, vec![50]), (1, vec![51]), (1, vec![51])]);
    plan.clear();
    (0..3).for_each(|_| push(&mut plan, 30_000, to(&one, GsoLimits::MAX)));
    assert_eq!(shapes(&plan), [(1, vec![30_000; 2]), (1, vec![30_000])]);
    plan.clear();
    (0..2).for_each(|_| push(&mut plan, 9, to(&one, GsoLimits::NONE)));
    assert_eq!(shapes(&plan), [(1, vec![9]), (1, vec![9])]);
}

#[test]
fn control_data_keeps_apart() {
    let mut plan = GsoPlan::default();
    let (mut control, one) = (Control::EMPTY, addr(1));
    control.add(1, 2, &[3; 4]);
    let plain = to(&one, GsoLimits::MAX);
    let meta = SendMeta { control, interface: 0, tag: 0 };
    let special = Target { meta: Some(&meta), ..plain };
    for target in [plain, special, special, plain] {
        push(&mut plan, 10, target);
    }
    assert_eq!(shapes(&plan), [(1, vec![10]), (1, vec![10; 2]), (1, vec![10])]);
}

#[test]
fn the_order_of_each_destination_is_kept() {
    let mut seed = 7u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    let mut plan = GsoPlan::default();
    for _ in 0..300 {
        let mut written: Vec<(u16, usize)> = Vec::new();
        let destinations = 1 + random(40);
        while plan.has_room(1) && written.len() < 400 {
            let datagram = (1 + random(destinations) as u16, [0, 10, 10, 10, 200, 300][random(6) as usize]);
            push(&mut plan, datagram.1, to(&addr(datagram.0), GsoLimits { segments: 5, size: 250 }));
            written.push(datagram);
        }
        let sent = shapes(&plan);
        for port in 1..=destinations as u16 {
            let expected: Vec<_> =
                written.iter().filter(|(to, _)| *to == port).map(|(_, len)| *len).collect();
            let got: Vec<_> =
                sent.iter().filter(|(to, _)| *to == port).flat_map(|(_, lens)| lens.clone()).collect();
            assert_eq!(got, expected);
        }
        for (_, lens) in &sent {
            let (last, others) = lens.split_last().unwrap();
            assert!(
                others.iter().all(|len| *len == lens[0] && *len <= 250)
                    && *last <= lens[0]
                    && lens.len() <= 5
            );
        }
        plan.clear();
        assert!(plan.slots.iter().all(|slot| *slot == 0));
    }
}
