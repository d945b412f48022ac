use proptest::prelude::*;

use super::*;

const SECRET: &[u8] = b"MARKER-SECRET-1";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let length = bytes.len();
    if length > 127 {
        field.push(length as u8 & 0x7f | 0x80);
    }
    field.push(if length > 127 { (length >> 7) as u8 } else { length as u8 });
    field.extend(bytes);
    field
}

fn message(fields: &[Vec<u8>]) -> Vec<u8> {
    let body = fields.concat();
    [&[0][..], &(body.len() as u32).to_be_bytes(), &body].concat()
}

/// `PullImageRequest` with credentials and a pod.
fn pull() -> Vec<u8> {
    let auth = [field(1, b"user"), field(2, SECRET), field(3, SECRET)].concat();
    message(&[field(1, &field(1, b"image:tag")), field(2, &auth), field(3, &field(2, b"pod-uid"))])
}

/// A connection's client side, from its first byte.
fn stream() -> Vec<u8> {
    let body = pull();
    let (a, b) = body.split_at(40);
    [
        PREFACE.to_vec(),
        frame(4, 0, 0, &[]),
        frame(HEADERS, 4, 1, b"some header block"),
        frame(DATA, 0, 1, a),
        frame(6, 0, 0, &[0; 8]),
        frame(HEADERS, 4, 3, b"x"),
        frame(DATA, END_STREAM, 3, &pull()),
        frame(DATA, END_STREAM, 1, b),
        frame(8, 0, 0, &[0, 0, 1, 0]),
    ]
    .concat()
}

fn has(data: &[u8], word: &[u8]) -> usize {
    data.windows(word.len()).filter(|window| *window == word).count()
}

/// Feeds the stream cut at these places; returns what comes out.
fn blanked(stream: &[u8], from: usize, cuts: &[usize], lose: Option<usize>) -> Vec<u8> {
    let mut blanker = Blanker::default();
    let mut cuts: Vec<_> = cuts.iter().map(|cut| from + cut % (stream.len() - from)).collect();
    cuts.extend([from, stream.len()]);
    cuts.sort_unstable();
    let mut out = Vec::new();
    for (number, piece) in cuts.windows(2).enumerate() {
        let data = stream[piece[0]..piece[1]].to_vec();
        if lose == Some(number) || data.is_empty() {
            continue;
        }
        let offset = piece[0] as u64;
        let length = data.len();
        let mut record =
            Record { connection: 1, direction: Direction::ToServer, offset, t_us: 0, data };
        blanker.blank(&mut record);
        assert_eq!(record.data.len(), length);
        out.extend(record.data);
    }
    out
}

#[test]
fn only_the_credentials_go() {
    let stream = stream();
    let out = blanked(&stream, 0, &[], None);
    for (word, times) in [(SECRET, 0), (b"user", 0), (b"image:tag", 2), (b"pod-uid", 2)] {
        assert_eq!(has(&out, word), times, "{}", String::from_utf8_lossy(word));
    }
    let changed = stream.iter().zip(&out).filter(|(a, b)| a != b).count();
    let auth = field(1, b"user").len() + 2 * field(2, SECRET).len();
    assert!(changed <= 2 * auth, "{changed} bytes changed, credentials are {}", 2 * auth);
}

#[test]
fn what_stands_for_them_is_an_empty_message() {
    for length in (2..20).chain([127, 128]) {
        let secret = vec![0xff; length];
        let mut body = message(&[field(2, &secret)]);
        Message::default().blank(&mut body);
        let mut rest = &body[body.len() - length..];
        while let Some((tag, after)) = rest.split_first() {
            assert_eq!(*tag, 15 << 3, "length {length}");
            let zero = after.iter().position(|byte| byte & 0x80 == 0).unwrap();
            assert!(after[..=zero].iter().all(|byte| byte & 0x7f == 0));
            rest = &after[zero + 1..];
        }
    }
}

#[test]
fn compressed_padded_and_damaged_requests_are_blanked_whole() {
    let mut compressed = pull();
    compressed[0] = 1;
    let mut longer_than_it_says = pull();
    longer_than_it_says[4] = 20;
    let padded = [&[3][..], &pull(), &[0; 3]].concat();
    for (flags, body) in [(0, compressed), (PADDED, padded), (0, longer_than_it_says)] {
        let stream =
            [PREFACE.to_vec(), frame(HEADERS, 4, 1, b"h"), frame(DATA, flags, 1, &body)].concat();
        assert_eq!(has(&blanked(&stream, 0, &[], None), SECRET), 0);
    }
}

#[test]
fn what_the_runtime_sends_is_left_alone() {
    let data = pull();
    let mut record = Record {
        connection: 1,
        direction: Direction::ToClient,
        offset: 9,
        t_us: 0,
        data: data.clone(),
    };
    Blanker::default().blank(&mut record);
    assert_eq!(record.data, data);
}

#[test]
fn a_late_joiner_blanks_until_it_knows_where_it_is() {
    let stream = stream();
    let second = PREFACE.len() + FRAME_HEADER;
    // On a frame's boundary: known at once. One byte later: nothing of the first piece passes.
    let out = blanked(&stream, second, &[], None);
    assert_eq!((has(&out, b"image:tag"), has(&out, SECRET)), (2, 0));
    let out = blanked(&stream, second + 1, &[], None);
    assert!(out.iter().all(|byte| *byte == 0));
}

proptest! {
    /// However the stream is cut, wherever it is joined and whatever is lost: no credential passes.
    #[test]
    fn no_credential_ever_passes(
        from in 0..stream().len() - 1,
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
        lose in proptest::option::of(0..12_usize),
    ) {
        let out = blanked(&stream(), from, &cuts, lose);
        prop_assert_eq!(has(&out, SECRET), 0);
        // Nor a part of it that would help.
        prop_assert_eq!(has(&out, &SECRET[..8]), 0);
        prop_assert_eq!(has(&out, &SECRET[7..]), 0);
    }

    /// Cuts alone change nothing.
    #[test]
    fn cuts_do_not_matter(cuts in proptest::collection::vec(any::<usize>(), 0..20)) {
        // The first cut may not fall into the preface, by which the connection is known.
        let cuts: Vec<_> = cuts.into_iter().map(|cut| cut.max(PREFACE.len())).collect();
        let stream = stream();
        let cuts: Vec<_> = cuts.iter().map(|cut| cut % stream.len()).filter(|cut| *cut >= PREFACE.len()).collect();
        prop_assert_eq!(blanked(&stream, 0, &cuts, None), blanked(&stream, 0, &[], None));
    }

    /// No input panics or changes its length.
    #[test]
    fn any_bytes_pass(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..80), 0..20)) {
        let bytes = [PREFACE.to_vec(), frame(HEADERS, 4, 1, b"h"), pieces.concat()].concat();
        let framed = [PREFACE.to_vec(), frame(HEADERS, 4, 1, b"h"), frame(DATA, 0, 1, &pieces.concat())].concat();
        blanked(&bytes, 0, &[3, 40, 41, 90], None);
        blanked(&framed, 0, &[30, 47, 90], None);
    }
}
