//! Recordings of the CRI socket: one JSON object per line, perhaps gzipped.
//!
//! In: a file, or a reader of one. Out: its [`Line`]s. Touches only that file.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

use crate::wire::{Direction, Record};

/// Longest line that is read: no write on a socket comes near it.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Bytes seen on a connection, as a recording holds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When they were seen, in microseconds since the recording began.
    pub t_us: u64,
    /// Number of the connection.
    pub connection: u64,
    /// Which way they went.
    #[serde(with = "way")]
    pub direction: Direction,
    /// Where they start in the stream of this direction.
    pub offset: u64,
    /// The bytes.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub data: Vec<u8>,
}

impl Line {
    /// For the decoder.
    pub fn record(&self) -> Record<'_> {
        let Self { t_us, connection, direction, offset, ref data } = *self;
        Record { t_us, connection, direction, offset, data }
    }
}

mod way {
    use super::*;

    #[derive(Serialize, Deserialize)]
    enum Way {
        #[serde(rename = "c2s")]
        ToRuntime,
        #[serde(rename = "s2c")]
        ToKubelet,
    }

    pub(super) fn serialize<S: Serializer>(way: &Direction, to: S) -> Result<S::Ok, S::Error> {
        let way = match way {
            Direction::ToRuntime => Way::ToRuntime,
            Direction::ToKubelet => Way::ToKubelet,
        };
        way.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Direction, D::Error> {
        Ok(match Way::deserialize(from)? {
            Way::ToRuntime => Direction::ToRuntime,
            Way::ToKubelet => Direction::ToKubelet,
        })
    }
}

fn to_base64<S: Serializer>(data: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&BASE64_STANDARD.encode(data))
}

fn from_base64<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    // The text itself stays out of the error: it may hold anything.
    BASE64_STANDARD.decode(text).map_err(|_| D::Error::custom("`data` is no base64"))
}

/// Why a recording cannot be read. The text names the file and, where there is one, the line.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// No such file, or no right to read it.
    #[error("cannot open the recording {path}: {source}")]
    Absent {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Reading failed on the way; for a gzipped file also: it is damaged or cut off.
    #[error("{path}: line {line}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// What the system or the decompression said.
        source: io::Error,
    },
    /// A line that is no record.
    #[error(
        "{path}: line {line}: {message}; expected a JSON object with t_us, connection, \
         direction (c2s or s2c), offset and data (base64)"
    )]
    NoRecord {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// What is wrong with it.
        message: String,
    },
    /// Fewer records than were to be skipped.
    #[error("{path}: has only {records} records, so none can be reached with --from {from}")]
    TooShort {
        /// The file.
        path: PathBuf,
        /// Its records.
        records: u64,
        /// How many were to be skipped.
        from: u64,
    },
}

/// Reads a recording line by line.
pub struct Recording {
    from: Box<dyn BufRead>,
    path: PathBuf,
    line: u64,
    buffer: Vec<u8>,
}

impl Recording {
    /// Opens a file; whether it is gzipped is seen from its first bytes.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let absent = |source| RecordingError::Absent { path: path.into(), source };
        let mut file = BufReader::new(File::open(path).map_err(absent)?);
        let gzipped = file.fill_buf().map_err(absent)?.starts_with(&GZIP);
        let from: Box<dyn BufRead> = if gzipped {
            Box::new(BufReader::new(MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        Ok(Self { from, path: path.into(), line: 0, buffer: Vec::new() })
    }

    /// Skips the first `records` records.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn skip_records(&mut self, records: u64) -> Result<(), RecordingError> {
        for skipped in 0..records {
            if !self.read_line()? {
                let path = self.path.clone();
                return Err(RecordingError::TooShort { path, records: skipped, from: records });
            }
        }
        Ok(())
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read on or the line is no record.
    pub fn next_line(&mut self) -> Result<Option<Line>, RecordingError> {
        if !self.read_line()? {
            return Ok(None);
        }
        serde_json::from_slice(&self.buffer).map(Some).map_err(|error| self.no_record(&error))
    }

    fn no_record(&self, error: &dyn std::fmt::Display) -> RecordingError {
        // A record is one line, so only the column of serde's "at line 1 column n" says anything.
        let message = error.to_string().replace("at line 1 column", "at column");
        RecordingError::NoRecord { path: self.path.clone(), line: self.line, message }
    }

    /// Reads a line that is not blank into the buffer.
    fn read_line(&mut self) -> Result<bool, RecordingError> {
        loop {
            self.buffer.clear();
            self.line += 1;
            let read = self.from.as_mut().take(LONGEST_LINE).read_until(b'\n', &mut self.buffer);
            match read {
                Ok(0) => return Ok(false),
                Ok(read) if read as u64 == LONGEST_LINE => {
                    return Err(self.no_record(&"the line is longer than any record"));
                }
                Ok(_) if self.buffer.trim_ascii().is_empty() => {}
                Ok(_) => return Ok(true),
                Err(source) => {
                    let (path, line) = (self.path.clone(), self.line);
                    return Err(RecordingError::Unreadable { path, line, source });
                }
            }
        }
    }
}
