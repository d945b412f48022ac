//! One connection: the bytes of its two directions, and the gaps in them.

use super::{
    Counters, Direction, InFlight, Record, UNKNOWN_GAP,
    calls::{Calls, Out},
    frames::{Event, Frames, Input, PREFACE},
    grpc::Ending,
    hpack::{Field, Table},
};

/// One direction.
#[derive(Debug)]
struct Half {
    frames: Frames,
    table: Table,
    /// Offset of the next byte, once one was seen.
    next: Option<u64>,
}

impl Half {
    fn new() -> Self {
        Self { frames: Frames::new(), table: Table::new(), next: None }
    }

    /// The first record of this direction.
    fn start(&mut self, record: &Record<'_>) {
        // A capture may count from where it joined; a client's first bytes cannot be mistaken.
        let preface = PREFACE.iter().zip(record.data).all(|(expected, seen)| expected == seen);
        match record.direction {
            _ if record.offset > 0 => {}
            Direction::ToRuntime if preface => {
                self.frames.start_client();
                self.table.start();
            }
            Direction::ToRuntime => {}
            Direction::ToKubelet => {
                self.frames.start_server();
                self.table.start();
            }
        }
    }

    /// Reads the header block of the event just returned; `false` if that cannot be done.
    fn block(&mut self, counters: &mut Counters, each: impl FnMut(Field<'_>)) -> bool {
        let Self { frames, table, next: _ } = self;
        let read = frames.block().is_some_and(|block| table.decode(block, each).is_ok());
        if !read {
            table.forget();
            counters.unread_blocks += 1;
        }
        read
    }

    /// The settings of the other side.
    fn allow(&mut self, table_size: Option<u32>, max_frame: Option<u32>) {
        if let Some(size) = table_size {
            self.table.allow(size);
        }
        if let Some(size) = max_frame {
            self.frames.allow_frame(size);
        }
    }
}

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    to_runtime: Half,
    to_kubelet: Half,
    calls: Calls,
    last_us: u64,
}

impl Connection {
    pub(super) fn new(id: u64) -> Self {
        Self { to_runtime: Half::new(), to_kubelet: Half::new(), calls: Calls::new(id), last_us: 0 }
    }

    /// Bytes held, about.
    pub(super) fn held(&self) -> usize {
        let halves = [&self.to_runtime, &self.to_kubelet];
        let halves = halves.map(|half| half.frames.held() + half.table.held());
        size_of::<Self>() + halves.iter().sum::<usize>() + self.calls.held()
    }

    /// When it was last heard of.
    pub(super) fn last_us(&self) -> u64 {
        self.last_us
    }

    pub(super) fn rules_out_pulls(&self) -> bool {
        self.calls.evidence.rules_out_pulls()
    }

    pub(super) fn in_flight(&self) -> impl Iterator<Item = InFlight<'_>> {
        self.calls.in_flight()
    }

    /// Whether the record starts another connection under the same identity.
    pub(super) fn is_restarted_by(&self, record: &Record<'_>) -> bool {
        let half = match record.direction {
            Direction::ToRuntime => &self.to_runtime,
            Direction::ToKubelet => &self.to_kubelet,
        };
        record.offset == 0 && half.next.is_some_and(|next| next > 0)
    }

    /// The connection is over.
    pub(super) fn close(self, t_us: u64, out: &mut Out<'_>) {
        self.calls.close(t_us, out);
    }

    /// Reads a record.
    pub(super) fn feed(&mut self, record: &Record<'_>, out: &mut Out<'_>) {
        let Self { to_runtime, to_kubelet, calls, last_us } = self;
        *last_us = record.t_us;
        let (half, other) = match record.direction {
            Direction::ToRuntime => (to_runtime, to_kubelet),
            Direction::ToKubelet => (to_kubelet, to_runtime),
        };
        if half.next.is_none() {
            half.start(record);
        }
        let next = half.next.unwrap_or(record.offset);
        let bytes = match record.offset.checked_sub(next) {
            Some(0) => record.data,
            Some(missing) => {
                gap(half, calls, missing, record, out);
                record.data
            }
            None => {
                // Seen before.
                let seen = usize::try_from(next - record.offset).unwrap_or(usize::MAX);
                record.data.get(seen..).unwrap_or_default()
            }
        };
        half.next = Some(next.max(record.offset.saturating_add(record.data.len() as u64)));
        let mut input = Input { bytes, t_us: record.t_us, at_start: true };
        let mut in_step = half.frames.in_step();
        while let Some(event) = half.frames.next(&mut input) {
            out.counters.resyncs += u64::from(!in_step);
            in_step = event != Event::Lost;
            match record.direction {
                Direction::ToRuntime => from_client(half, other, calls, event, record.t_us, out),
                Direction::ToKubelet => from_server(half, other, calls, event, record.t_us, out),
            }
        }
        // The frame that was found may end in a later record.
        out.counters.resyncs += u64::from(!in_step && half.frames.in_step());
    }
}

fn gap(half: &mut Half, calls: &mut Calls, missing: u64, record: &Record<'_>, out: &mut Out<'_>) {
    out.counters.gaps += 1;
    if missing < UNKNOWN_GAP {
        out.counters.missing_bytes = out.counters.missing_bytes.saturating_add(missing);
    }
    match (half.frames.skip(missing), record.direction) {
        (Some(stream), Direction::ToRuntime) => calls.broken_request(stream, out),
        (Some(stream), Direction::ToKubelet) => calls.response_hole(stream, record.t_us),
        (None, direction) => lost(half, calls, direction, out),
    }
}

/// The place in one direction is lost, and with it what its indexes mean.
fn lost(half: &mut Half, calls: &mut Calls, direction: Direction, out: &mut Out<'_>) {
    half.table.forget();
    match direction {
        Direction::ToRuntime => calls.requests_lost(out),
        Direction::ToKubelet => calls.responses_lost(),
    }
}

fn from_client(
    half: &mut Half,
    other: &mut Half,
    calls: &mut Calls,
    event: Event<'_>,
    t_us: u64,
    out: &mut Out<'_>,
) {
    match event {
        Event::Headers { stream, start_us, end_stream } => {
            let mut path = None;
            half.block(out.counters, |field| {
                if field.name == Some(b":path") {
                    path = field.value.map(|path| calls.evidence.path(path));
                }
            });
            calls.request_headers(stream, start_us, path, end_stream, out);
        }
        Event::Promise => {
            half.block(out.counters, |_| {});
        }
        Event::Data { stream, bytes, opens, end_stream } => {
            if opens {
                calls.evidence.request(bytes);
            }
            calls.request_data(stream, bytes, end_stream, out);
        }
        Event::Reset { stream } => calls.reset(stream, t_us, out),
        Event::Settings { table_size, max_frame } => other.allow(table_size, max_frame),
        // It is about streams that the runtime opened; there are none.
        Event::GoAway { .. } => {}
        Event::Lost => lost(half, calls, Direction::ToRuntime, out),
    }
}

fn from_server(
    half: &mut Half,
    other: &mut Half,
    calls: &mut Calls,
    event: Event<'_>,
    t_us: u64,
    out: &mut Out<'_>,
) {
    match event {
        Event::Headers { stream, end_stream, .. } if calls.awaits_response(stream) => {
            let mut ending = Ending::default();
            if !half.block(out.counters, |field| ending.field(field)) {
                // What was read before the error may be wrong as well.
                ending = Ending::default();
            }
            calls.response_headers(stream, ending, t_us, end_stream, out);
        }
        Event::Headers { .. } | Event::Promise => {
            half.block(out.counters, |_| {});
        }
        Event::Data { stream, bytes, opens, end_stream } => {
            if opens {
                calls.evidence.response(bytes);
            }
            calls.response_data(stream, bytes, t_us, end_stream, out);
        }
        Event::Reset { stream } => calls.reset(stream, t_us, out),
        Event::Settings { table_size, max_frame } => other.allow(table_size, max_frame),
        Event::GoAway { last } => calls.go_away(last, t_us, out),
        Event::Lost => lost(half, calls, Direction::ToKubelet, out),
    }
}
