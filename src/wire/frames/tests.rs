use proptest::{collection::vec, option, prelude::*};

use super::*;

/// A frame as a model of the reader understands it.
#[derive(Debug, Clone)]
enum Sent {
    Data {
        stream: u32,
        bytes: Vec<u8>,
        padding: Option<u8>,
        end: bool,
    },
    /// A header block in several frames.
    Block {
        stream: u32,
        parts: Vec<Vec<u8>>,
        padding: Option<u8>,
        priority: bool,
        end: bool,
    },
    Reset(u32),
    GoAway(u32),
    Settings(u32),
    /// Of no interest.
    Other(u8),
}

/// What comes of it; DATA of one frame is put together again.
#[derive(Debug, PartialEq)]
enum Got {
    Data(u32, Vec<u8>, bool),
    Block(u32, Vec<u8>, bool),
    Reset(u32),
    GoAway(u32),
    Settings(u32),
}

fn push(to: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    to.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    to.extend([kind, flags]);
    to.extend(stream.to_be_bytes());
    to.extend(payload);
}

fn pad(payload: &[u8], padding: Option<u8>) -> (Vec<u8>, u8) {
    match padding {
        None => (payload.to_vec(), 0),
        Some(n) => ([&[n], payload, &vec![0; n.into()]].concat(), flag::PADDED),
    }
}

impl Sent {
    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Data { stream, bytes, padding, end } => {
                let (payload, padded) = pad(bytes, *padding);
                push(to, kind::DATA, padded | u8::from(*end), *stream, &payload);
            }
            Self::Block { stream, parts, padding, priority, end } => {
                let (first, rest) = parts.split_first().unwrap();
                let first = if *priority { [&[0; 5], &first[..]].concat() } else { first.clone() };
                let (payload, mut flags) = pad(&first, *padding);
                flags |= u8::from(*end) | if *priority { flag::PRIORITY } else { 0 };
                flags |= if rest.is_empty() { flag::END_HEADERS } else { 0 };
                push(to, kind::HEADERS, flags, *stream, &payload);
                for (at, part) in rest.iter().enumerate() {
                    let flags = if at + 1 == rest.len() { flag::END_HEADERS } else { 0 };
                    push(to, kind::CONTINUATION, flags, *stream, part);
                }
            }
            Self::Reset(stream) => push(to, kind::RST_STREAM, 0, *stream, &[0; 4]),
            Self::GoAway(last) => {
                push(to, kind::GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat());
            }
            Self::Settings(size) => {
                let size = [&[0, 3, 0, 0, 0, 9, 0, 1], &size.to_be_bytes()[..]].concat();
                push(to, kind::SETTINGS, 0, 0, &size);
            }
            Self::Other(kind) => push(to, *kind, 0, 0, &[0; 8]),
        }
    }

    fn got(&self) -> Option<Got> {
        Some(match self {
            Self::Data { bytes, end: false, .. } if bytes.is_empty() => return None,
            Self::Data { stream, bytes, end, .. } => Got::Data(*stream, bytes.clone(), *end),
            Self::Block { stream, parts, end, .. } => Got::Block(*stream, parts.concat(), *end),
            Self::Reset(stream) => Got::Reset(*stream),
            Self::GoAway(last) => Got::GoAway(*last),
            Self::Settings(size) => Got::Settings(*size),
            Self::Other(_) => return None,
        })
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let stream = || (0_u32..50).prop_map(|n| 2 * n + 1);
    let bytes = || vec(any::<u8>(), 0..300);
    let padding = || option::weighted(0.3, any::<u8>());
    prop_oneof![
        (stream(), bytes(), padding(), any::<bool>())
            .prop_map(|(stream, bytes, padding, end)| Sent::Data { stream, bytes, padding, end }),
        (stream(), vec(bytes(), 1..4), padding(), any::<bool>(), any::<bool>()).prop_map(
            |(stream, parts, padding, priority, end)| Sent::Block {
                stream,
                parts,
                padding,
                priority,
                end
            }
        ),
        stream().prop_map(Sent::Reset),
        (0..=u32::MAX >> 1).prop_map(Sent::GoAway),
        any::<u32>().prop_map(Sent::Settings),
        // PING, and types that nobody has defined.
        prop_oneof![Just(kind::PING), 10_u8..].prop_map(Sent::Other),
    ]
}

fn read(frames: &mut Frames, parts: &[&[u8]]) -> Vec<Got> {
    let (mut got, mut open): (Vec<Got>, bool) = (Vec::new(), false);
    for bytes in parts {
        let mut input = Input { bytes, t_us: 1, at_start: true };
        while let Some(event) = frames.next(&mut input) {
            let next = match event {
                Event::Headers { stream, end_stream, .. } => {
                    Got::Block(stream, frames.block().unwrap().to_vec(), end_stream)
                }
                Event::Data { stream, bytes, opens, end_stream } => match got.last_mut() {
                    Some(Got::Data(same, before, end)) if !opens && open && *same == stream => {
                        before.extend(bytes);
                        *end = end_stream;
                        continue;
                    }
                    _ => Got::Data(stream, bytes.to_vec(), end_stream),
                },
                Event::Reset { stream } => Got::Reset(stream),
                Event::GoAway { last } => Got::GoAway(last),
                Event::Settings { table_size, .. } => Got::Settings(table_size.unwrap()),
                Event::Promise | Event::Lost => panic!("{event:?}"),
            };
            open = matches!(next, Got::Data(..));
            got.push(next);
        }
    }
    got
}

proptest! {
    #[test]
    fn frames_are_read_wherever_they_are_cut(all in vec(sent(), 0..20), cut in 1_usize..400) {
        let mut bytes = PREFACE.to_vec();
        all.iter().for_each(|sent| sent.write(&mut bytes));
        let mut frames = Frames::new();
        frames.start_client();
        let got = read(&mut frames, &bytes.chunks(cut).collect::<Vec<_>>());
        prop_assert_eq!(got, all.iter().filter_map(Sent::got).collect::<Vec<_>>());
        prop_assert!(frames.in_step());
    }

    #[test]
    fn any_bytes_are_read_or_passed_over(
        parts in vec(vec(any::<u8>(), 0..200), 0..20), start in 0..3,
    ) {
        let mut frames = Frames::new();
        match start {
            0 => frames.start_client(),
            1 => frames.start_server(),
            _ => {}
        }
        for bytes in &parts {
            let mut input = Input { bytes, t_us: 1, at_start: true };
            while frames.next(&mut input).is_some() {}
            prop_assert!(input.bytes.is_empty());
            prop_assert!(frames.held() < 64 * 1024);
        }
    }

    #[test]
    fn a_join_at_a_frame_finds_it_and_one_within_text_does_not(
        all in vec(sent(), 1..5), text in "[ -~]{1,300}",
    ) {
        let usual = |sent: &Sent| !matches!(sent, Sent::Other(10..));
        let all: Vec<Sent> = all.into_iter().filter(usual).collect();
        let mut bytes = Vec::new();
        all.iter().for_each(|sent| sent.write(&mut bytes));
        let got = read(&mut Frames::new(), &[text.as_bytes(), &bytes]);
        prop_assert_eq!(got, all.iter().filter_map(Sent::got).collect::<Vec<_>>());
    }
}
