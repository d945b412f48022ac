//! What the recordings do not show: resets, refusals, gaps, reordering, odd framing.

use pullfuse::wire::{Direction, Exchange, Outcome};

use crate::support::*;

fn ends(exchanges: &[Exchange]) -> Vec<(u32, Outcome, Option<u32>, Option<&str>)> {
    exchanges.iter().map(|e| (e.stream, e.outcome, e.code, e.message.as_deref())).collect()
}

#[test]
fn a_pull_in_flight_is_visible_until_it_ends() {
    let mut wire = Wire::new();
    assert_eq!(wire.client(&request(1, "a")), []);
    let flights: Vec<_> = wire.decoder.in_flight().collect();
    let [flight] = flights.as_slice() else { panic!("{flights:?}") };
    assert_eq!((flight.stream, flight.start_us, flight.unsure), (1, 3, false));
    assert_eq!(flight.pull.pod_uid.as_deref(), Some("a"));
    let ended = wire.server(&success(1));
    assert_eq!(ends(&ended), [(1, Outcome::Succeeded, Some(0), Some(""))]);
    assert_eq!((ended[0].start_us, ended[0].end_us), (3, 4));
    assert_eq!(wire.decoder.in_flight().count(), 0);
}

#[test]
fn a_response_may_come_before_its_request() {
    let mut wire = Wire::new();
    assert_eq!(wire.server(&failure(1, "5", "gone")), []);
    assert_eq!(wire.server(&failure(3, "2", "broken")), []);
    let (first, third) = (request(1, "a"), request(3, "c"));
    assert_eq!(ends(&wire.client(&first)), [(1, Outcome::Failed, Some(5), Some("gone"))]);
    assert_eq!(ends(&wire.client(&third)), [(3, Outcome::Failed, Some(2), Some("broken"))]);
}

#[test]
fn resets_of_either_side_are_no_answers() {
    let mut wire = Wire::new();
    for stream in [1, 3] {
        wire.client(&request(stream, "a"));
    }
    let cancel = frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    assert_eq!(ends(&wire.client(&cancel)), [(1, Outcome::Transport, None, None)]);
    let refused = frame(RST_STREAM, 0, 3, &[0, 0, 0, 7]);
    assert_eq!(ends(&wire.server(&refused)), [(3, Outcome::Transport, None, None)]);
    // What comes afterwards is of no interest.
    assert_eq!(wire.server(&success(1)), []);
    // Before its request.
    let refused = frame(RST_STREAM, 0, 5, &[0, 0, 0, 7]);
    assert_eq!(wire.server(&refused), []);
    assert_eq!(ends(&wire.client(&request(5, "a"))), [(5, Outcome::Transport, None, None)]);
}

#[test]
fn a_reset_after_the_answer_changes_nothing() {
    let mut wire = Wire::new();
    wire.client(&request(1, "a"));
    let mut answer = failure(1, "5", "gone");
    answer.extend(frame(RST_STREAM, 0, 1, &[0; 4]));
    assert_eq!(ends(&wire.server(&answer)), [(1, Outcome::Failed, Some(5), Some("gone"))]);
}

#[test]
fn go_away_ends_the_streams_that_will_not_be_served() {
    let mut wire = Wire::new();
    for stream in [1, 3, 5] {
        wire.client(&request(stream, "a"));
    }
    let all = frame(GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    assert_eq!(wire.server(&all), []);
    let some = frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0, b'b', b'y', b'e']);
    let refused = [(3, Outcome::Transport, None, None), (5, Outcome::Transport, None, None)];
    assert_eq!(ends(&wire.server(&some)), refused);
    // Written before the client knew.
    assert_eq!(ends(&wire.client(&request(7, "a"))), [(7, Outcome::Transport, None, None)]);
    assert_eq!(ends(&wire.server(&success(1))), [(1, Outcome::Succeeded, Some(0), Some(""))]);
}

#[test]
fn a_closed_connection_ends_its_pulls() {
    let mut wire = Wire::new();
    wire.client(&request(1, "a"));
    let ended = wire.decoder.close(7, 99);
    assert_eq!(ends(&ended), [(1, Outcome::Transport, None, None)]);
    assert_eq!(ended[0].end_us, 99);
    assert_eq!(wire.decoder.close(7, 99), []);
}

#[test]
fn a_new_connection_under_the_same_identity_ends_the_old_one() {
    let mut wire = Wire::new();
    wire.client(&request(1, "a"));
    wire.offsets = [0; 2];
    let mut first = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    first.extend(request(1, "b"));
    assert_eq!(ends(&wire.client(&first)), [(1, Outcome::Transport, None, None)]);
    let ended = wire.server(&[frame(SETTINGS, 0, 0, &[]), success(1)].concat());
    assert_eq!(ends(&ended), [(1, Outcome::Succeeded, Some(0), Some(""))]);
    assert_eq!(ended[0].pull.pod_uid.as_deref(), Some("b"));
}

#[test]
fn padding_priority_and_continuation_are_seen_through() {
    let mut wire = Wire::new();
    let headers = block(&[(":method", "POST"), (":path", PATH)]);
    let mut first = vec![3, 0, 0, 0, 0, 16];
    first.extend(&headers[..5]);
    first.extend([0; 3]);
    let mut bytes = frame(HEADERS, 0x8 | 0x20, 1, &first);
    bytes.extend(frame(CONTINUATION, 0, 1, &headers[5..9]));
    bytes.extend(frame(CONTINUATION, 0, 1, &[]));
    bytes.extend(frame(CONTINUATION, END_HEADERS, 1, &headers[9..]));
    let message = grpc(&pull_request("image", "a"));
    let (one, two) = message.split_at(20);
    for (part, flags) in [(one, 0x8), (&[], 0x8), (two, 0x8 | END_STREAM)] {
        let padded = [&[200][..], part, &[0; 200]].concat();
        bytes.extend(frame(DATA, flags, 1, &padded));
    }
    for byte in bytes {
        assert_eq!(wire.client(&[byte]), []);
    }
    assert_eq!(wire.decoder.in_flight().count(), 1);
    assert_eq!(ends(&wire.server(&success(1))), [(1, Outcome::Succeeded, Some(0), Some(""))]);
}

#[test]
fn a_pull_without_a_pod_is_known_by_its_path_alone() {
    let mut wire = Wire::new();
    let headers = block(&[(":path", "/runtime.v1alpha2.ImageService/PullImage")]);
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &headers);
    bytes.extend(frame(DATA, END_STREAM, 1, &grpc(b"\x0a\x05\x0a\x03img")));
    wire.client(&bytes);
    let ended = wire.server(&failure(1, "5", "gone"));
    assert_eq!(ended[0].pull.image.as_deref(), Some("img"));
    assert_eq!(ended[0].pull.pod_uid, None);
    // Compressed, so that only the path is known.
    let mut bytes = frame(HEADERS, END_HEADERS, 3, &headers);
    bytes.extend(frame(DATA, END_STREAM, 3, b"\x01\0\0\0\x02xx"));
    wire.client(&bytes);
    let ended = wire.server(&failure(3, "5", "gone"));
    assert_eq!((ended.len(), &ended[0].pull.image), (1, &None));
}

#[test]
fn without_a_path_only_a_whole_request_counts() {
    let headers = frame(HEADERS, END_HEADERS, 1, &[0xc0 | 0x20]);
    for (message, counts) in [
        (pull_request("image", "a"), true),
        (pull_request("", "a"), false),
        (pull_request("image", ""), false),
        (b"\x0a\x05\x0a\x03img".to_vec(), false),
        (vec![], false),
    ] {
        let mut wire = Wire::joined();
        wire.client(&[headers.clone(), frame(DATA, END_STREAM, 1, &grpc(&message))].concat());
        assert_eq!(wire.decoder.in_flight().count(), usize::from(counts));
        assert_eq!(wire.server(&failure(1, "5", "x")).len(), usize::from(counts));
    }
}

#[test]
fn another_path_is_never_a_pull_whatever_the_message() {
    let mut wire = Wire::new();
    let headers = block(&[(":path", "/runtime.v1.RuntimeService/CreateContainer")]);
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &headers);
    bytes.extend(frame(DATA, END_STREAM, 1, &grpc(&pull_request("image", "a"))));
    wire.client(&bytes);
    assert_eq!(wire.server(&failure(1, "5", "x")), []);
}

#[test]
fn trailers_after_a_message_can_still_be_a_failure() {
    let mut wire = Wire::new();
    wire.client(&request(1, "a"));
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &block(&[(":status", "200")]));
    bytes.extend(frame(DATA, 0, 1, &grpc(b"")));
    let trailers = block(&[("grpc-status", "8"), ("grpc-message", "full%21")]);
    bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, 1, &trailers));
    assert_eq!(ends(&wire.server(&bytes)), [(1, Outcome::Failed, Some(8), Some("full!"))]);
}

#[test]
fn a_gap_within_one_data_frame_costs_only_that_message() {
    let mut wire = Wire::new();
    wire.client(&request(1, "a"));
    // A long response of another stream loses its middle; the table is kept.
    let data = frame(DATA, 0, 99, &[7; 5000]);
    wire.server(&data[..100]);
    wire.lose(Direction::ToKubelet, 4000);
    wire.server(&data[4100..]);
    let counters = wire.decoder.counters();
    assert_eq!((counters.gaps, counters.missing_bytes, counters.resyncs), (1, 4000, 0));
    assert_eq!(
        ends(&wire.server(&failure(1, "5", "x"))),
        [(1, Outcome::Failed, Some(5), Some("x"))]
    );
    // The same in the pull's own response and request.
    wire.client(&request(3, "a"));
    let answer = success(3);
    let message = answer.len() - 40;
    let head = answer.iter().rposition(|b| *b == b'r').unwrap();
    assert!(head < message + 40);
    let at = answer.windows(3).position(|w| w == b"ref").unwrap();
    wire.server(&answer[..at]);
    wire.lose(Direction::ToKubelet, 3);
    assert_eq!(ends(&wire.server(&answer[at + 3..])), [(3, Outcome::Succeeded, Some(0), Some(""))]);
}

#[test]
fn a_frame_that_is_found_counts_although_its_end_comes_later() {
    let mut wire = Wire::joined();
    let bytes = request(1, "a");
    wire.client(&bytes[..20]);
    wire.client(&bytes[20..]);
    assert_eq!((wire.decoder.counters().resyncs, wire.decoder.in_flight().count()), (1, 1));
    wire.client(&request(3, "b"));
    assert_eq!(wire.decoder.counters().resyncs, 1, "the place is known");
}

#[test]
fn what_a_gap_may_have_hidden_is_not_guessed() {
    let lost_success = |trailers: &[(&str, &str)]| {
        let mut wire = Wire::new();
        wire.client(&request(1, "a"));
        let trailers = frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(trailers));
        wire.lose(Direction::ToKubelet, 500);
        wire.server(&frame(6, 0, 0, &[0; 8]));
        let unsure = wire.decoder.in_flight().all(|pull| pull.unsure);
        assert!(unsure, "it may be over");
        let seen = wire.server(&trailers);
        (seen, wire.decoder.counters().unsettled, wire.decoder.in_flight().count())
    };
    let (seen, unsettled, open) = lost_success(&[("x", "y")]);
    assert_eq!((seen.len(), unsettled, open), (0, 1, 0), "trailers that tell nothing");
    let (seen, ..) = lost_success(&[("grpc-status", "0")]);
    assert_eq!(ends(&seen), [(1, Outcome::Succeeded, Some(0), Some(""))]);
    let (seen, ..) = lost_success(&[("grpc-status", "5"), ("grpc-message", "m")]);
    assert_eq!(ends(&seen), [(1, Outcome::Failed, Some(5), Some("m"))]);
    let (seen, ..) = lost_success(&[(":status", "200"), ("x", "y")]);
    assert_eq!(ends(&seen), [(1, Outcome::Failed, None, None)], "a whole response by itself");
}

#[test]
fn a_pull_whose_end_was_missed_gives_way_to_the_next_of_its_pod() {
    let mut wire = Wire::new();
    wire.client(&request(1, "a"));
    wire.lose(Direction::ToKubelet, 500);
    wire.server(&frame(6, 0, 0, &[0; 8]));
    wire.client(&request(3, "b"));
    assert_eq!(wire.decoder.in_flight().count(), 2);
    wire.client(&request(5, "a"));
    let open: Vec<u32> = wire.decoder.in_flight().map(|pull| pull.stream).collect();
    assert_eq!(open, [3, 5]);
    assert_eq!(wire.decoder.counters().unsettled, 1);
    assert_eq!(wire.decoder.close(7, 9).len(), 2);
}

#[test]
fn bytes_seen_twice_count_once() {
    let mut wire = Wire::new();
    let bytes = request(1, "a");
    wire.client(&bytes);
    wire.offsets[0] -= bytes.len() as u64;
    wire.client(&[&bytes[..], &request(3, "b")].concat());
    assert_eq!(wire.decoder.in_flight().count(), 2);
    assert_eq!(wire.decoder.counters().gaps, 0);
}
