//! The recordings with random damage: no panic, no password, and memory bounded whatever the
//! lengths say. The rounds are few by default; `PULLFUSE_FUZZ_ROUNDS=100000 cargo test --test wire
//! damage` runs long.

use pullfuse::{
    recording::Line,
    wire::{Decoder, Direction, Record},
};

use crate::{
    dice::{Dice, rounds},
    support::{RECORDINGS, image_lines, tells_secret},
};

/// A connection may hold this much whatever it is told.
const MOST_HELD: usize = 4 * 1024 * 1024;

/// Damages one record as a broken peer, a broken capture or a lost record would.
fn damage(line: &mut Line, dice: &mut Dice) {
    let length = line.data.len();
    match dice.below(9) {
        0..=2 if length > 0 => {
            let at = dice.below(length);
            line.data[at] = dice.roll() as u8;
        }
        // Lengths are in the first bytes of a frame.
        3 if length > 3 => line.data[dice.below(3)] = 0xff,
        4 => line.data.truncate(dice.below(length)),
        5 => line.data.insert(dice.below(length), dice.roll() as u8),
        6 => line.offset = line.offset.wrapping_add(dice.roll() >> dice.below(64)),
        7 => line.data = (0..dice.below(200)).map(|_| dice.roll() as u8).collect(),
        _ => line.direction = Direction::ToRuntime,
    }
}

#[test]
fn damaged_recordings_neither_panic_nor_grow() {
    for name in RECORDINGS {
        let lines = image_lines(name);
        for round in 0..rounds() {
            let mut dice = Dice(round);
            let mut decoder = Decoder::new();
            let from = dice.below(lines.len());
            let every = 1 + dice.below(40);
            for line in lines.iter().skip(from).take(150) {
                let mut line = line.clone();
                if dice.below(every) == 0 {
                    damage(&mut line, &mut dice);
                }
                for seen in decoder.feed(&line.record()) {
                    assert!(!tells_secret(&format!("{seen:?}")), "{name}, round {round}");
                }
                assert!(decoder.held() < MOST_HELD, "{name}, round {round}: {}", decoder.held());
            }
            decoder.close(2, 0);
        }
    }
}

#[test]
fn frames_made_of_dice_neither_panic_nor_grow() {
    for round in 0..rounds() {
        let mut dice = Dice(round);
        let mut decoder = Decoder::new();
        let mut offsets = [0_u64; 2];
        let preface = round % 2 == 0;
        for at in 0..400 {
            let way = if at == 0 { 0 } else { dice.below(2) };
            let mut data = Vec::new();
            if at == 0 && preface {
                data.extend(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
            }
            for _ in 0..1 + dice.below(4) {
                let length = dice.below(60);
                // Some frames claim to be longer than they are.
                let claimed = if dice.below(20) == 0 { dice.below(1 << 24) } else { length };
                data.extend(&(claimed as u32).to_be_bytes()[1..]);
                data.extend([dice.below(11) as u8, (dice.roll() & dice.roll()) as u8]);
                data.extend((dice.below(20) as u32).to_be_bytes());
                data.extend((0..length).map(|_| dice.roll() as u8));
            }
            let directions = [Direction::ToRuntime, Direction::ToKubelet];
            let (direction, offset) = (directions[way], offsets[way]);
            let record = Record { t_us: at, connection: 1, direction, offset, data: &data };
            decoder.feed(&record);
            offsets[way] += data.len() as u64;
            assert!(decoder.held() < MOST_HELD, "round {round}: {}", decoder.held());
        }
        decoder.close(1, 0);
    }
}

#[test]
fn claims_of_any_length_cost_nothing() {
    use crate::support::{DATA, END_HEADERS, HEADERS, PATH, Wire, block, frame};
    let mut wire = Wire::new();
    let before = wire.decoder.held();
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &block(&[(":path", PATH)]));
    // A gRPC message of 4 GiB, in it an image of 4 GiB.
    let message =
        [&[0, 0xff, 0xff, 0xff, 0xff][..], &[0x0a, 0xf0, 0xff, 0xff, 0xff, 0x0f]].concat();
    bytes.extend(frame(
        DATA,
        0,
        1,
        &[&message[..], &[0x0a, 0xe0, 0xff, 0xff, 0xff, 0x0f]].concat(),
    ));
    wire.client(&bytes);
    for _ in 0..1000 {
        wire.client(&frame(DATA, 0, 1, &[b'x'; 16_000]));
    }
    assert!(wire.decoder.held() < before + 64 * 1024, "{}", wire.decoder.held());
    // Responses that nobody asked for, each with a long text.
    for stream in 0..5000 {
        let mut block = block(&[(":status", "200"), ("content-type", "x"), ("grpc-status", "2")]);
        block.extend([0, 12]);
        block.extend(b"grpc-message\x7f\x81\x5e");
        block.extend([b'm'; 12_000]);
        wire.server(&frame(HEADERS, 5, 2 * stream + 3, &block));
    }
    assert!(wire.decoder.held() < MOST_HELD, "{}", wire.decoder.held());
    // Connections without end.
    for connection in 0..5000 {
        let direction = Direction::ToRuntime;
        let record = Record { t_us: connection, connection, direction, offset: 0, data: b"PRI" };
        wire.decoder.feed(&record);
    }
    assert!(wire.decoder.held() < MOST_HELD, "{}", wire.decoder.held());
    assert!(wire.decoder.counters().forgotten_connections > 3900);
}
