//! Whole streams written by another implementation of HTTP/2: what the decoder makes of the bytes
//! must be what client and server said to each other.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use pullfuse::wire::{Decoder, Direction, Exchange, Outcome, Record};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::support::{PATH, SECRET, grpc, pull_request, tells_secret};

/// The decoder with the offsets of one connection.
struct Tap {
    decoder: Decoder,
    offsets: [u64; 2],
    seen: Vec<Exchange>,
    /// Records that are passed over at the start, as if the tap were put in later.
    skip: usize,
    records: usize,
}

/// One end of a connection whose writes are also given to a decoder.
struct Tapped {
    inner: DuplexStream,
    direction: Direction,
    tap: Arc<Mutex<Tap>>,
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, to)
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, from);
        if let Poll::Ready(Ok(length)) = written {
            let direction = self.direction;
            let mut tap = self.tap.lock().unwrap();
            let tap = &mut *tap;
            let offset = &mut tap.offsets[usize::from(direction == Direction::ToKubelet)];
            let data = &from[..length];
            let t_us = tap.records as u64;
            let record = Record { t_us, connection: 1, direction, offset: *offset, data };
            *offset += length as u64;
            tap.records += 1;
            if tap.records > tap.skip {
                tap.seen.extend(tap.decoder.feed(&record));
            }
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// What a call is to be; the image tells the server.
fn plan(call: usize) -> (Outcome, u32, String) {
    match call % 4 {
        0 => (Outcome::Succeeded, 0, String::new()),
        1 => (Outcome::Failed, 5, format!("no such tag {call}")),
        2 => (Outcome::Failed, 2, format!("{}{call}", "long ".repeat(call % 100))),
        _ => (Outcome::Transport, 0, String::new()),
    }
}

async fn serve(io: Tapped) {
    let mut connection = h2::server::Builder::new()
        .max_concurrent_streams(10_000)
        .max_frame_size(16_384)
        .handshake::<_, Bytes>(io)
        .await
        .unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let call: usize = request.headers()["x-call"].to_str().unwrap().parse().unwrap();
            let mut body = request.into_body();
            while let Some(Ok(part)) = body.data().await {
                let _ = body.flow_control().release_capacity(part.len());
            }
            let (outcome, code, message) = plan(call);
            let head = Response::builder().header("content-type", "application/grpc");
            match outcome {
                Outcome::Succeeded => {
                    let mut send = respond.send_response(head.body(()).unwrap(), false).unwrap();
                    send.send_data(Bytes::from(grpc(b"\x0a\x03ref")), false).unwrap();
                    let mut trailers = HeaderMap::new();
                    trailers.insert("grpc-status", "0".parse().unwrap());
                    send.send_trailers(trailers).unwrap();
                }
                Outcome::Failed => {
                    let head = head
                        // Longer than a frame, so that CONTINUATION is needed.
                        .header("x-long", "z".repeat(if call % 8 == 2 { 20_000 } else { 0 }))
                        .header("grpc-status", code)
                        .header("grpc-message", message.replace(' ', "%20"))
                        .header("grpc-status-details-bin", "CAUSBA");
                    respond.send_response(head.body(()).unwrap(), true).unwrap();
                }
                Outcome::Transport => respond.send_reset(h2::Reason::INTERNAL_ERROR),
            }
        });
    }
}

/// Makes the calls and returns what each was, by pod UID, and what the decoder saw.
async fn converse(
    calls: usize,
    skip: usize,
    window: u32,
) -> (BTreeMap<String, usize>, Vec<Exchange>, Decoder) {
    let tap = Tap { decoder: Decoder::new(), offsets: [0; 2], seen: Vec::new(), skip, records: 0 };
    let tap = Arc::new(Mutex::new(tap));
    let (client, server) = tokio::io::duplex(1 << 20);
    let end = |inner, direction| Tapped { inner, direction, tap: tap.clone() };
    let server = tokio::spawn(serve(end(server, Direction::ToKubelet)));
    let (send, connection) = h2::client::Builder::new()
        .header_table_size(if calls.is_multiple_of(2) { 4096 } else { 1000 })
        .initial_window_size(window)
        .handshake::<_, Bytes>(end(client, Direction::ToRuntime))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut made = BTreeMap::new();
    let mut tasks = Vec::new();
    for call in 0..calls {
        let uid = format!("uid-{call}");
        made.insert(uid.clone(), call);
        let mut send = send.clone().ready().await.unwrap();
        let mut request = Request::post(format!("http://x{PATH}")).header("x-call", call);
        if call % 5 == 0 {
            request = request.header("x-long", "y".repeat(20_000));
        }
        let request = request.body(()).unwrap();
        let (response, mut body) = send.send_request(request, false).unwrap();
        tasks.push(tokio::spawn(async move {
            let message = grpc(&pull_request(&format!("image-{call}"), &uid));
            let mut rest = message.as_slice();
            // Some in two DATA frames, cut within the password; h2 takes more for an attack.
            if call % 10 == 0 {
                let secret = |w: &[u8]| w == SECRET.as_bytes();
                let at = message.windows(SECRET.len()).position(secret).unwrap();
                let (one, two) = message.split_at(at + 5);
                body.send_data(Bytes::copy_from_slice(one), false).unwrap();
                tokio::task::yield_now().await;
                rest = two;
            }
            let _ = body.send_data(Bytes::copy_from_slice(rest), true);
            if let Ok(response) = response.await {
                let mut body = response.into_body();
                while let Some(Ok(_)) = body.data().await {}
                let _ = body.trailers().await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    drop(send);
    connection.abort();
    server.abort();
    let _ = (connection.await, server.await);
    let tap = Arc::into_inner(tap).unwrap().into_inner().unwrap();
    (made, tap.seen, tap.decoder)
}

fn assert_right(seen: &Exchange, call: usize, late: bool) {
    let (outcome, code, message) = plan(call);
    assert_eq!(seen.outcome, outcome, "call {call}");
    assert_eq!(seen.pull.image, Some(format!("image-{call}")));
    assert_eq!(seen.pull.pod, Some(format!("pod-uid-{call}")));
    let known = outcome != Outcome::Transport;
    if late {
        assert!(seen.code.is_none_or(|seen| seen == code), "call {call}");
        assert!(seen.message.as_ref().is_none_or(|seen| *seen == message), "call {call}");
    } else {
        assert_eq!(seen.code, known.then_some(code), "call {call}");
        assert_eq!(seen.message, known.then_some(message), "call {call}");
    }
    assert!(!tells_secret(&format!("{seen:?}")));
}

#[tokio::test]
async fn whole_streams_are_understood_as_h2_meant_them() {
    for (calls, window) in [(1, 65_535), (8, 65_535), (301, 65_535), (300, 1 << 20), (40, 1000)] {
        let (made, seen, decoder) = converse(calls, 0, window).await;
        assert_eq!(seen.len(), calls);
        for seen in &seen {
            assert_right(seen, made[seen.pull.pod_uid.as_ref().unwrap()], false);
        }
        assert_eq!(decoder.in_flight().count(), 0);
        let counters = decoder.counters();
        assert_eq!((counters.gaps, counters.resyncs, counters.unread_blocks), (0, 0, 0));
    }
}

#[tokio::test]
async fn joined_late_nothing_of_h2_is_misunderstood() {
    let mut all = 0;
    for skip in (1..120).step_by(2) {
        let (made, seen, _) = converse(60, skip, 65_535).await;
        for seen in &seen {
            assert_right(seen, made[seen.pull.pod_uid.as_ref().unwrap()], true);
        }
        all += seen.len();
    }
    assert!(all > 100, "only {all} calls were seen");
}
