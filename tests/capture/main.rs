//! The kernel side against a private socket pair: what it hands over is compared with what was sent.
//!
//! Needs root, and a kernel with BTF.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]
#![allow(missing_docs, unreachable_pub, reason = "nobody links to a test")]

mod support;

use std::{
    collections::HashSet,
    io::{IoSlice, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    thread,
    time::Duration,
};

use pullfuse::capture::{Capture, Direction, Heard, Match};
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use tokio::time::timeout;

use self::support::{
    Pair, are_pieces_of, closed, drain, drain_one, hear, options, pattern, pieces, reader, streams,
};

const SIZES: [usize; 14] =
    [1, 2, 7, 100, 4095, 4096, 16_383, 16_384, 16_385, 32_768, 65_536, 100_000, 500_000, 1 << 20];

#[tokio::test]
async fn every_way_and_size_of_sending_is_heard_byte_for_byte() {
    let pair = Pair::new();
    let mut capture = hear(&pair.path(), Match::Inode).await;
    let (client, server) = pair.connect();
    let got = reader(server);
    let mut sent: Vec<u8> = Vec::new();
    for (round, size) in SIZES.into_iter().enumerate() {
        let bytes = pattern(round as u64 + 1, size);
        (&client).write_all(&bytes).unwrap();
        sent.extend(&bytes);

        let n = send(&client, &bytes, SendFlags::empty()).unwrap();
        sent.extend(&bytes[..n]);

        // Segments of odd sizes, an empty one among them.
        let (a, rest) = bytes.split_at(size / 3);
        let (b, c) = rest.split_at(rest.len() / 2);
        let segments = [a, b, &[], c].map(IoSlice::new);
        let n = (&client).write_vectored(&segments).unwrap();
        sent.extend(&bytes[..n]);
        let n =
            sendmsg(&client, &segments, &mut SendAncillaryBuffer::default(), SendFlags::empty())
                .unwrap();
        sent.extend(&bytes[..n]);
    }
    drop(client);
    assert!(got.join().unwrap() == sent, "the socket itself lost something");
    let heard = streams(drain(&mut capture).await);
    assert_eq!(heard.len(), 1, "{:?}", heard.keys());
    let ((_, direction), bytes) = heard.into_iter().next().unwrap();
    assert_eq!(direction, Direction::ToServer);
    assert!(bytes == sent, "heard {} bytes, sent {}", bytes.len(), sent.len());
}

#[tokio::test]
async fn a_send_that_fits_only_in_part_is_heard_in_part() {
    let pair = Pair::new();
    let mut capture = hear(&pair.path(), Match::Inode).await;
    let (client, mut server) = pair.connect();
    server.set_nonblocking(true).unwrap();
    client.set_nonblocking(true).unwrap();
    let bytes = pattern(9, 3 << 20);
    let (mut sent, mut got, mut partial) = (Vec::new(), Vec::new(), 0);
    let mut space = vec![0; 70_000];
    for round in 0..60 {
        let from = sent.len() % (2 << 20);
        let (a, b) = bytes[from..from + (1 << 20)].split_at(333_333);
        let segments = [IoSlice::new(a), IoSlice::new(&a[..0]), IoSlice::new(b)];
        let result = match round % 3 {
            0 => (&client).write(&bytes[from..from + (1 << 20)]),
            1 => (&client).write_vectored(&segments),
            _ => {
                sendmsg(&client, &segments, &mut SendAncillaryBuffer::default(), SendFlags::empty())
                    .map_err(Into::into)
            }
        };
        if let Ok(n) = result {
            sent.extend_from_slice(&bytes[from..from + n]);
            partial += usize::from(n < 1 << 20);
        }
        if let Ok(n) = server.read(&mut space) {
            got.extend_from_slice(&space[..n]);
        }
    }
    assert!(partial > 10, "only {partial} sends were partial");
    drop(client);
    while let Ok(n @ 1..) = server.read(&mut space) {
        got.extend_from_slice(&space[..n]);
    }
    assert!(got == sent);
    let heard = streams(drain(&mut capture).await);
    assert!(heard.into_values().collect::<Vec<_>>() == [sent]);
}

#[tokio::test]
async fn connections_at_once_are_kept_apart_in_both_directions() {
    // On a preemptible kernel sends may be hidden; then there are gaps, and nothing else is wrong.
    let pair = Pair::new();
    let mut capture = hear(&pair.path(), Match::Both).await;
    let talkers: Vec<_> = (0..8_u64)
        .map(|number| {
            let (client, server) = pair.connect();
            let (one, two) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let talk = move |mut end: UnixStream, seed: u64| {
                thread::spawn(move || {
                    let bytes = pattern(seed, 400_000);
                    for piece in bytes.chunks(1 + seed as usize * 397) {
                        end.write_all(piece).unwrap();
                    }
                    end.shutdown(std::net::Shutdown::Write).unwrap();
                    bytes
                })
            };
            let got = [reader(one), reader(two)];
            (talk(client, 2 * number + 1), talk(server, 2 * number + 2), got)
        })
        .collect();
    let mut sent = Vec::new();
    for (client, server, got) in talkers {
        let (asked, answered) = (client.join().unwrap(), server.join().unwrap());
        let [got_answer, got_question] = got.map(|reader| reader.join().unwrap());
        assert!(got_answer == answered && got_question == asked);
        sent.push((asked, answered));
    }
    let mut heard = pieces(drain(&mut capture).await);
    let connections: HashSet<u64> = heard.keys().map(|(connection, _)| *connection).collect();
    for connection in connections {
        let mut take = |direction| heard.remove(&(connection, direction)).unwrap_or_default();
        let (asked, answered) = (take(Direction::ToServer), take(Direction::ToClient));
        let same = |sent: &(Vec<u8>, Vec<u8>)| {
            are_pieces_of(&asked, &sent.0) && are_pieces_of(&answered, &sent.1)
        };
        let at = sent.iter().position(same).expect("bytes of one connection, all but for gaps");
        let (question, answer) = sent.swap_remove(at);
        if capture.counters().missed == 0 {
            assert!(asked == [question] && answered == [answer]);
        }
    }
    assert_eq!(sent.len(), 0, "connections that were not heard");
    let (missed, heard) = (capture.counters().missed, capture.counters().records);
    assert!(missed < heard, "most of it was hidden");
    if std::env::var_os("PULLFUSE_TEST_PREEMPTED").is_some() {
        assert!(missed > 0, "nothing was hidden, and so nothing is shown");
    }
}

#[tokio::test]
async fn a_connection_older_than_the_capture_is_heard_from_then_on() {
    let pair = Pair::new();
    let (mut client, server) = pair.connect();
    client.write_all(b"before").unwrap();
    let mut capture = hear(&pair.path(), Match::Path).await;
    client.write_all(b"after").unwrap();
    (&server).write_all(b"answer").unwrap();
    let heard = streams(drain(&mut capture).await);
    let mut texts: Vec<_> = heard.into_values().collect();
    texts.sort();
    assert_eq!(texts, [b"after".to_vec(), b"answer".to_vec()]);
}

#[tokio::test]
async fn only_the_endpoints_own_socket_is_heard() {
    let (pair, other) = (Pair::new(), Pair::new());
    let mut capture = hear(&pair.path(), Match::Either).await;
    let (_own, (mut client, _server)) = (pair.connect(), other.connect());
    client.write_all(b"elsewhere").unwrap();
    assert_eq!(drain(&mut capture).await, []);
}

#[tokio::test]
async fn a_muted_connection_is_silent_and_the_next_one_is_not() {
    let pair = Pair::new();
    let mut capture = hear(&pair.path(), Match::Inode).await;
    let (mut client, server) = pair.connect();
    client.write_all(b"one").unwrap();
    let heard = drain(&mut capture).await;
    capture.mute(heard[0].connection);
    client.write_all(b"two").unwrap();
    (&server).write_all(b"three").unwrap();
    assert_eq!(drain(&mut capture).await, []);
    drop((client, server));
    // The kernel likes to give a new socket the place of the old one.
    for round in 0..50 {
        let (mut client, _server) = pair.connect();
        client.write_all(b"anew").unwrap();
        let new = drain_one(&mut capture).await;
        assert_eq!((new.offset, new.data.as_slice()), (0, &b"anew"[..]), "round {round}");
        assert_ne!(new.connection, heard[0].connection);
    }
}

#[tokio::test]
async fn the_end_of_a_connection_is_heard_whichever_end_it_comes_from() {
    let pair = Pair::new();
    let mut capture = hear(&pair.path(), Match::Inode).await;
    for client_first in [true, false] {
        for unread in [false, true] {
            let (mut client, mut server) = pair.connect();
            client.write_all(b"question").unwrap();
            server.write_all(b"answer").unwrap();
            let connection = drain_one(&mut capture).await.connection;
            assert_eq!(drain_one(&mut capture).await.connection, connection);
            let (leaves, mut stays) =
                if client_first { (client, server) } else { (server, client) };
            if !unread {
                (&leaves).read_exact(&mut vec![0; if client_first { 6 } else { 8 }]).unwrap();
            }
            drop(leaves);
            // Who stays notices, as every gRPC client and server does.
            while matches!(stays.read(&mut [0; 64]), Ok(1..)) {}
            assert_eq!(closed(&mut capture).await, connection, "{client_first} {unread}");
        }
    }
}

#[tokio::test]
async fn a_socket_made_anew_is_heard_and_one_that_comes_late_too() {
    let pair = Pair::new();
    let late = pair.folder.path().join("new").join("cri.sock");
    let mut options = options(vec![pair.path(), late.clone()]);
    options.by = Match::Inode;
    let mut capture = Capture::start(options).await.unwrap();
    let hear_at = async |path: &Path, capture: &mut Capture| {
        let listener = UnixListener::bind(path).unwrap();
        // The notice is worked off while records are waited for.
        let _ = timeout(Duration::from_millis(2500), async {
            while matches!(capture.next().await, Ok(Heard::Closed { .. })) {}
        })
        .await;
        let mut client = UnixStream::connect(path).unwrap();
        client.write_all(b"hello").unwrap();
        assert_eq!(drain_one(capture).await.data, b"hello", "{}", path.display());
        listener
    };
    std::fs::remove_file(pair.path()).unwrap();
    let _restarted = hear_at(&pair.path(), &mut capture).await;
    std::fs::create_dir(late.parent().unwrap()).unwrap();
    let _first = hear_at(&late, &mut capture).await;
}

#[tokio::test]
async fn what_was_heard_before_the_stop_can_still_be_taken_and_nothing_after_it_is_heard() {
    let pair = Pair::new();
    let mut capture = hear(&pair.path(), Match::Inode).await;
    let (mut client, server) = pair.connect();
    client.write_all(b"before").unwrap();
    (&server).write_all(b"answer").unwrap();
    capture.stop();
    client.write_all(b"after").unwrap();
    let left = std::iter::from_fn(|| capture.left()).filter_map(|heard| match heard {
        Heard::Sent(record) => Some(record.data),
        Heard::Closed { .. } => None,
    });
    assert_eq!(left.collect::<Vec<_>>(), [b"before".to_vec(), b"answer".to_vec()]);
}

#[tokio::test]
async fn what_the_ring_cannot_hold_is_counted_and_leaves_a_gap() {
    let pair = Pair::new();
    let mut options = options(vec![pair.path()]);
    options.ring_bytes = 64 << 10;
    let mut capture = Capture::start(options).await.unwrap();
    let (mut client, server) = pair.connect();
    let got = reader(server);
    let bytes = pattern(5, 1 << 20);
    client.write_all(&bytes).unwrap();
    let mut heard = drain(&mut capture).await;
    client.write_all(b"end").unwrap();
    heard.extend(drain(&mut capture).await);
    drop(client);
    got.join().unwrap();
    assert!(capture.counters().dropped > 0);
    let end = heard.pop().unwrap();
    assert_eq!((end.offset, end.data.as_slice()), (bytes.len() as u64, &b"end"[..]));
    let mut missing = 0;
    let mut at = 0;
    for record in heard {
        missing += record.offset - at;
        let from = record.offset as usize;
        assert!(record.data == bytes[from..from + record.data.len()]);
        at = record.offset + record.data.len() as u64;
    }
    assert!(missing + (bytes.len() as u64 - at) > 0);
}

#[tokio::test]
async fn many_segments_are_heard() {
    let pair = Pair::new();
    let mut capture = hear(&pair.path(), Match::Inode).await;
    let (client, server) = pair.connect();
    let got = reader(server);
    let bytes = pattern(77, 4 * 300);
    let segments: Vec<_> = bytes.chunks(4).map(IoSlice::new).collect();
    let n = (&client).write_vectored(&segments).unwrap();
    assert_eq!(n, bytes.len());
    drop(client);
    got.join().unwrap();
    let heard = streams(drain(&mut capture).await);
    assert!(heard.into_values().collect::<Vec<_>>() == [bytes]);
}
