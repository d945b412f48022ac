//! HPACK (RFC 7541) for a reader that may have joined late.
//!
//! Indexes count from the newest entry. So a table that starts empty resolves everything that was
//! inserted since, and what lies beyond is unknown: no error, and never a guess. Evicting by the
//! known entries alone is safe, because older entries leave a table first.

mod fixed;

use std::{borrow::Cow, collections::VecDeque, fmt, sync::Arc};

use httlib_huffman::DecoderSpeed;
use thiserror::Error;

use fixed::FIXED;

/// Size of a table until a size update (RFC 9113, section 6.5.2).
const DEFAULT_SIZE: usize = 4096;
/// Most that is kept of a table; what a larger one holds beyond this is unknown.
const MOST_SIZE: usize = 64 * 1024;
/// What an entry costs besides its text (RFC 7541, section 4.1).
const ENTRY_COST: usize = 32;
/// How long an unknown name may be.
const LONGEST_NAME: usize = 256;

/// Why a header block makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum HpackError {
    #[error("the block ends within a field")]
    Truncated,
    #[error("a number is larger than any block")]
    Number,
    #[error("index 0, or one beyond a table that is wholly known")]
    Index,
    #[error("a size update where none may be, or larger than allowed")]
    Size,
    #[error("text that is no Huffman code")]
    Huffman,
}

/// A field; what was inserted before the join is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) name: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
}

#[derive(Clone)]
enum Name {
    Fixed(&'static [u8]),
    Learnt(Arc<[u8]>),
    Unknown,
}

impl Name {
    fn known(&self) -> Option<&[u8]> {
        match self {
            Self::Fixed(name) => Some(name),
            Self::Learnt(name) => Some(name),
            Self::Unknown => None,
        }
    }
}

struct Entry {
    name: Name,
    value: Box<[u8]>,
}

impl Entry {
    /// Its size; a lower bound where the name is unknown.
    fn size(&self) -> usize {
        self.name.known().map_or(0, <[u8]>::len) + self.value.len() + ENTRY_COST
    }
}

/// The dynamic table of one direction.
pub(super) struct Table {
    /// Newest first.
    entries: VecDeque<Entry>,
    size: usize,
    max: usize,
    /// The largest size that the other side has allowed.
    allowed: usize,
    /// Every insertion since the connection began was seen.
    whole: bool,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the headers themselves: they are other people's.
        f.debug_struct("Table")
            .field("entries", &self.entries.len())
            .field("size", &self.size)
            .field("max", &self.max)
            .field("whole", &self.whole)
            .finish_non_exhaustive()
    }
}

impl Table {
    /// A table of which nothing is known.
    pub(super) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            max: DEFAULT_SIZE,
            allowed: DEFAULT_SIZE,
            whole: false,
        }
    }

    /// The connection starts here: the table is empty, and every insertion will be seen.
    pub(super) fn start(&mut self) {
        self.whole = true;
    }

    /// Insertions were missed: no index means what it meant.
    pub(super) fn forget(&mut self) {
        self.entries.clear();
        self.size = 0;
        // A size update may have been among them. Too large keeps entries that nobody names any
        // more, too small answers unknown: neither is wrong.
        self.whole = false;
    }

    /// Bytes held, about.
    pub(super) fn held(&self) -> usize {
        self.size + self.entries.capacity() * size_of::<Entry>()
    }

    /// The other side allows a table of this size.
    pub(super) fn allow(&mut self, size: u32) {
        self.allowed = self.allowed.max(size as usize);
    }

    /// Reads one header block. After an error the table must be forgotten.
    pub(super) fn decode(
        &mut self,
        block: &[u8],
        mut each: impl FnMut(Field<'_>),
    ) -> Result<(), HpackError> {
        let mut rest = block;
        let mut fields_seen = false;
        while let Some(&first) = rest.first() {
            if first & 0x80 != 0 {
                let index = number(&mut rest, 7)?;
                each(self.lookup(index)?);
            } else if first & 0xe0 == 0x20 {
                let size = number(&mut rest, 5)?;
                if fields_seen || (self.whole && size > self.allowed) {
                    return Err(HpackError::Size);
                }
                self.max = size.min(MOST_SIZE);
                // Beyond what is kept, an index may now lead past our entries.
                self.whole &= size <= MOST_SIZE;
                self.evict(0);
                continue;
            } else {
                let insert = first & 0x40 != 0;
                let index = number(&mut rest, if insert { 6 } else { 4 })?;
                let name = match index {
                    0 => Name::Learnt(string(&mut rest)?.into()),
                    _ => self.name(index)?,
                };
                let value = string(&mut rest)?;
                each(Field { name: name.known(), value: Some(&value) });
                if insert {
                    self.insert(name, value);
                }
            }
            fields_seen = true;
        }
        Ok(())
    }

    /// The entry of an index beyond the fixed table; `None` if it is older than the join.
    fn entry(&self, index: usize) -> Result<Option<&Entry>, HpackError> {
        // Callers have looked into the fixed table first.
        let at = index.checked_sub(FIXED.len() + 1).ok_or(HpackError::Index)?;
        match self.entries.get(at) {
            None if self.whole => Err(HpackError::Index),
            entry => Ok(entry),
        }
    }

    fn lookup(&self, index: usize) -> Result<Field<'_>, HpackError> {
        if let Some(&(name, value)) = fixed_field(index)? {
            return Ok(Field { name: Some(name.as_bytes()), value: Some(value.as_bytes()) });
        }
        let entry = self.entry(index)?;
        Ok(Field { name: entry.and_then(|e| e.name.known()), value: entry.map(|e| &*e.value) })
    }

    fn name(&self, index: usize) -> Result<Name, HpackError> {
        if let Some((name, _)) = fixed_field(index)? {
            return Ok(Name::Fixed(name.as_bytes()));
        }
        Ok(self.entry(index)?.map_or(Name::Unknown, |entry| entry.name.clone()))
    }

    fn insert(&mut self, name: Name, value: Cow<'_, [u8]>) {
        let length = name.known().map_or(0, <[u8]>::len) + value.len() + ENTRY_COST;
        if name.known().is_none() && length + LONGEST_NAME > self.max {
            // Perhaps too large to be kept: whatever is older than the next insertion is unknown.
            return self.forget();
        }
        self.evict(length);
        // An entry larger than the table empties it and is not kept (RFC 7541, section 4.4).
        if length <= self.max {
            self.size += length;
            self.entries.push_front(Entry { name, value: value.into_owned().into() });
        }
    }

    /// Makes room for `length` bytes.
    fn evict(&mut self, length: usize) {
        while self.size + length > self.max {
            let Some(oldest) = self.entries.pop_back() else { break };
            self.size -= oldest.size();
        }
    }
}

fn fixed_field(index: usize) -> Result<Option<&'static (&'static str, &'static str)>, HpackError> {
    let at = index.checked_sub(1).ok_or(HpackError::Index)?;
    Ok(FIXED.get(at))
}

/// An integer with a prefix of `bits` bits (RFC 7541, section 5.1).
fn number(rest: &mut &[u8], bits: u32) -> Result<usize, HpackError> {
    let (&first, mut after) = rest.split_first().ok_or(HpackError::Truncated)?;
    let most = (1_usize << bits) - 1;
    let mut value = usize::from(first) & most;
    if value == most {
        let mut shift = 0;
        loop {
            let (&byte, tail) = after.split_first().ok_or(HpackError::Truncated)?;
            after = tail;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            // 28 bits are more than any table or text here can have.
            if shift > 21 {
                return Err(HpackError::Number);
            }
        }
    }
    *rest = after;
    Ok(value)
}

/// A string literal (RFC 7541, section 5.2). Never longer than 8/5 of what it is read from.
fn string<'b>(rest: &mut &'b [u8]) -> Result<Cow<'b, [u8]>, HpackError> {
    let huffman = rest.first().is_some_and(|first| first & 0x80 != 0);
    let length = number(rest, 7)?;
    let (text, after) = rest.split_at_checked(length).ok_or(HpackError::Truncated)?;
    *rest = after;
    if !huffman {
        return Ok(Cow::Borrowed(text));
    }
    let mut plain = Vec::with_capacity(text.len() * 8 / 5);
    httlib_huffman::decode(text, &mut plain, DecoderSpeed::FourBits)
        .map_err(|_| HpackError::Huffman)?;
    Ok(Cow::Owned(plain))
}

#[cfg(test)]
mod tests;
