//! A recording being written: a [`Line`] per record, compressed if the name says so.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};

use crate::{capture::Record, recording::Line};

/// A recording being written.
pub(super) struct Recording {
    to: Sink,
    begin_us: Option<u64>,
    connections: HashMap<u64, u64>,
}

enum Sink {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
}

impl Recording {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = BufWriter::new(File::create(path)?);
        let to = if path.extension().is_some_and(|extension| extension == "gz") {
            Sink::Gzip(GzEncoder::new(file, Compression::default()))
        } else {
            Sink::Plain(file)
        };
        Ok(Self { to, begin_us: None, connections: HashMap::new() })
    }

    pub(super) fn write(&mut self, record: Record) -> io::Result<()> {
        let Record { connection, direction, offset, t_us, data } = record;
        let next = self.connections.len() as u64 + 1;
        let line = Line {
            t_us: t_us.saturating_sub(*self.begin_us.get_or_insert(t_us)),
            connection: *self.connections.entry(connection).or_insert(next),
            direction: direction.into(),
            offset,
            data,
        };
        let to: &mut dyn Write = match &mut self.to {
            Sink::Plain(to) => to,
            Sink::Gzip(to) => to,
        };
        serde_json::to_writer(&mut *to, &line)?;
        to.write_all(b"\n")
    }

    /// Writes what is left.
    pub(super) fn finish(self) -> io::Result<()> {
        match self.to {
            Sink::Plain(mut to) => to.flush(),
            Sink::Gzip(to) => to.finish()?.flush(),
        }
    }
}
