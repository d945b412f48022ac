//! The calls that are open on one connection, and what the events of its two directions do to
//! them.

use std::collections::BTreeMap;

use super::{
    Counters, Exchange, InFlight,
    grpc::Ending,
    request::Pull,
    service::{Evidence, Path},
    stream::{Fate, Settled, Stream},
};

/// Calls kept per connection; a kubelet has a handful open.
const MOST_STREAMS: usize = 1024;
/// Responses kept whose request was not seen. Only a request just behind its response matters.
const MOST_AWAITED: usize = 64;

/// Where results go.
pub(super) struct Out<'a> {
    pub(super) exchanges: &'a mut Vec<Exchange>,
    pub(super) counters: &'a mut Counters,
}

/// The calls of one connection.
#[derive(Debug)]
pub(super) struct Calls {
    connection: u64,
    streams: BTreeMap<u32, Stream>,
    /// The highest stream whose request was seen. Clients open streams in rising order, so what is
    /// above waits for its request, and what is below will never get one.
    newest: u32,
    /// The last stream that the runtime will answer.
    last_served: u32,
    pub(super) evidence: Evidence,
}

impl Calls {
    pub(super) fn new(connection: u64) -> Self {
        Self {
            connection,
            streams: BTreeMap::new(),
            newest: 0,
            last_served: u32::MAX,
            evidence: Evidence::default(),
        }
    }

    pub(super) fn in_flight(&self) -> impl Iterator<Item = InFlight<'_>> {
        self.streams.iter().filter_map(|(&stream, call)| {
            Some(InFlight {
                connection: self.connection,
                stream,
                pull: call.pull()?,
                start_us: call.start_us(),
                unsure: call.is_unsure(),
            })
        })
    }

    /// Bytes held, about.
    pub(super) fn held(&self) -> usize {
        self.streams.values().map(Stream::held).sum()
    }

    /// Part of the requests was not seen: those that were being read cannot be understood.
    pub(super) fn requests_lost(&mut self, out: &mut Out<'_>) {
        let unread = self.streams.range(..=self.newest).filter(|(_, call)| call.pull().is_none());
        for stream in unread.map(|(&stream, _)| stream).collect::<Vec<_>>() {
            self.broken_request(stream, out);
        }
    }

    /// Part of the responses was not seen: any call may have ended in it.
    pub(super) fn responses_lost(&mut self) {
        let newest = self.newest;
        self.streams.retain(|&stream, call| stream <= newest || call.has_ended());
        self.streams.values_mut().for_each(Stream::response_gap);
    }

    /// Part of one DATA frame of a response was not seen.
    pub(super) fn response_hole(&mut self, stream: u32, t_us: u64) {
        if let Some(call) = self.streams.get_mut(&stream) {
            call.response_gap();
            // What it held is DATA all the same.
            call.response_data(&[0], t_us, false);
        }
    }

    /// A request begins. The path is `None` where it is unknown.
    pub(super) fn request_headers(
        &mut self,
        stream: u32,
        start_us: u64,
        path: Option<Path>,
        end_stream: bool,
        out: &mut Out<'_>,
    ) {
        if stream <= self.newest {
            // Trailers of a request, which gRPC has not.
            return;
        }
        while let Some((&passed, _)) = self.streams.range(self.newest.saturating_add(1)..).next()
            && passed < stream
        {
            // The response to a request that was made before the join.
            self.streams.remove(&passed);
        }
        self.newest = stream;
        if path == Some(Path::Other) {
            self.streams.remove(&stream);
            return;
        }
        self.make_room(out);
        let call = self.streams.entry(stream).or_insert_with(Stream::awaited);
        call.open(start_us, path.is_some());
        if stream > self.last_served {
            call.reset(start_us);
        }
        if end_stream {
            self.broken_request(stream, out);
        }
    }

    /// DATA of a request.
    pub(super) fn request_data(
        &mut self,
        stream: u32,
        bytes: &[u8],
        end_stream: bool,
        out: &mut Out<'_>,
    ) {
        self.advance(stream, out, |call| call.request_data(bytes, end_stream));
    }

    /// The rest of a request cannot be read.
    pub(super) fn broken_request(&mut self, stream: u32, out: &mut Out<'_>) {
        self.advance(stream, out, Stream::give_up);
    }

    fn advance(&mut self, stream: u32, out: &mut Out<'_>, step: impl FnOnce(&mut Stream) -> Fate) {
        let Some(call) = self.streams.get_mut(&stream) else { return };
        let known = call.pull().is_some();
        if step(call) == Fate::Drop {
            self.streams.remove(&stream);
        } else if !known && call.pull().is_some() {
            self.recognised(stream, out);
            self.settle(stream, out);
        }
    }

    /// Whether the response of this stream matters.
    pub(super) fn awaits_response(&self, stream: u32) -> bool {
        stream > self.newest || self.streams.contains_key(&stream)
    }

    /// A header block of a response.
    pub(super) fn response_headers(
        &mut self,
        stream: u32,
        block: Ending,
        t_us: u64,
        end_stream: bool,
        out: &mut Out<'_>,
    ) {
        if let Some(call) = self.answered(stream, out) {
            call.response_headers(block, t_us, end_stream);
            self.settle(stream, out);
        }
    }

    /// DATA of a response.
    pub(super) fn response_data(
        &mut self,
        stream: u32,
        bytes: &[u8],
        t_us: u64,
        end_stream: bool,
        out: &mut Out<'_>,
    ) {
        // Its header block comes first, so it opens no stream.
        if let Some(call) = self.streams.get_mut(&stream) {
            call.response_data(bytes, t_us, end_stream);
            self.settle(stream, out);
        }
    }

    /// RST_STREAM of either side.
    pub(super) fn reset(&mut self, stream: u32, t_us: u64, out: &mut Out<'_>) {
        self.broken_request(stream, out);
        if let Some(call) = self.answered(stream, out) {
            call.reset(t_us);
            self.settle(stream, out);
        }
    }

    /// GOAWAY: streams above `last` get no answer.
    pub(super) fn go_away(&mut self, last: u32, t_us: u64, out: &mut Out<'_>) {
        self.last_served = self.last_served.min(last);
        self.cut_off(last.saturating_add(1), t_us, out);
    }

    /// The connection is over.
    pub(super) fn close(mut self, t_us: u64, out: &mut Out<'_>) {
        self.cut_off(0, t_us, out);
    }

    fn cut_off(&mut self, first: u32, t_us: u64, out: &mut Out<'_>) {
        for stream in self.streams.range(first..).map(|(&stream, _)| stream).collect::<Vec<_>>() {
            self.reset(stream, t_us, out);
        }
    }

    /// The call of a response, which may come before its request.
    fn answered(&mut self, stream: u32, out: &mut Out<'_>) -> Option<&mut Stream> {
        if stream > self.newest && !self.streams.contains_key(&stream) {
            let mut awaited = self.streams.range(self.newest.saturating_add(1)..);
            let oldest = awaited.next().map(|(&oldest, _)| oldest);
            if let Some(oldest) = oldest
                && awaited.count() + 1 >= MOST_AWAITED
            {
                self.streams.remove(&oldest);
            }
            self.make_room(out);
            self.streams.insert(stream, Stream::awaited());
        }
        self.streams.get_mut(&stream)
    }

    /// A pull was recognised.
    fn recognised(&mut self, stream: u32, out: &mut Out<'_>) {
        self.evidence.pull();
        let Some(pull) = self.streams.get(&stream).and_then(Stream::pull) else { return };
        // The kubelet pulls for one pod one after the other. So an earlier pull of the same image
        // for the same pod is over, if its end was perhaps in a gap.
        let same = |other: &Pull| other.pod_uid.is_some() && other == pull;
        let over = |call: &Stream| call.is_unsure() && call.pull().is_some_and(same);
        let earlier = self.streams.range(..stream).filter(|(_, call)| over(call));
        for earlier in earlier.map(|(&earlier, _)| earlier).collect::<Vec<_>>() {
            self.streams.remove(&earlier);
            out.counters.unsettled += 1;
        }
    }

    /// Hands out an exchange that is complete.
    fn settle(&mut self, stream: u32, out: &mut Out<'_>) {
        let Some(settled) = self.streams.get(&stream).and_then(Stream::settled) else { return };
        let Some(call) = self.streams.remove(&stream) else { return };
        let (connection, start_us) = (self.connection, call.start_us());
        match (settled, call.into_pull()) {
            (Settled::Known { end_us, outcome, code, message }, Some(pull)) => {
                out.exchanges.push(Exchange {
                    connection,
                    stream,
                    pull,
                    start_us,
                    end_us,
                    outcome,
                    code,
                    message,
                });
            }
            _ => out.counters.unsettled += 1,
        }
    }

    fn make_room(&mut self, out: &mut Out<'_>) {
        if self.streams.len() >= MOST_STREAMS
            && let Some((_, oldest)) = self.streams.pop_first()
        {
            out.counters.unsettled += u64::from(oldest.pull().is_some());
        }
    }
}
