//! `PullImageRequest` of CRI v1 and v1alpha2 (their field numbers are the same), read as it comes.
//!
//! Field 2, `auth`, is where the passwords are. Like everything that is not asked for it is
//! skipped byte by byte as it passes: nothing of it is copied, wherever the input is cut.

use serde::Serialize;

/// Longest image reference that is kept; the runtimes refuse far shorter ones.
const LONGEST_IMAGE: usize = 4096;
/// Longest name, namespace and UID that is kept; the API server allows 253 bytes.
const LONGEST_NAME: usize = 512;

/// What a `PullImage` call asks for. Unknown where the request could not be read, and the pod
/// also where a client other than the kubelet asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pull {
    /// The image as the request spells it.
    pub image: Option<String>,
    /// Namespace of the pod.
    pub namespace: Option<String>,
    /// Name of the pod.
    pub pod: Option<String>,
    /// UID of the pod.
    pub pod_uid: Option<String>,
}

impl Pull {
    /// Bytes held, about.
    pub(super) fn held(&self) -> usize {
        let Self { image, namespace, pod, pod_uid } = self;
        [image, namespace, pod, pod_uid].into_iter().flatten().map(String::capacity).sum()
    }
}

/// A text that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Image,
    Name,
    Uid,
    Namespace,
}

/// A message on the way to a text that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Request,
    ImageSpec,
    SandboxConfig,
    SandboxMetadata,
}

/// What to do with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Enter(Level),
    Keep(Text),
    /// A field of type message, string or map that is not needed.
    Skip,
    /// A number that is not needed.
    Number,
    /// No field of the versions that are known.
    Unknown,
}

fn plan(level: Level, field: u32) -> Plan {
    match (level, field) {
        (Level::Request, 1) => Plan::Enter(Level::ImageSpec),
        // `auth`.
        (Level::Request, 2) => Plan::Skip,
        (Level::Request, 3) => Plan::Enter(Level::SandboxConfig),
        (Level::ImageSpec, 1) => Plan::Keep(Text::Image),
        (Level::ImageSpec, 2 | 18 | 19) => Plan::Skip,
        (Level::SandboxConfig, 1) => Plan::Enter(Level::SandboxMetadata),
        (Level::SandboxConfig, 2..=9) => Plan::Skip,
        (Level::SandboxMetadata, 1) => Plan::Keep(Text::Name),
        (Level::SandboxMetadata, 2) => Plan::Keep(Text::Uid),
        (Level::SandboxMetadata, 3) => Plan::Keep(Text::Namespace),
        (Level::SandboxMetadata, 4) => Plan::Number,
        _ => Plan::Unknown,
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Tag(Varint),
    Number(Varint),
    Length(Plan, Varint),
    Keep(Text, u64),
    Skip(u64),
}

#[derive(Debug, Clone, Copy, Default)]
struct Varint {
    value: u64,
    shift: u32,
}

impl Varint {
    /// Adds a byte; the value if it was the last one, an error beyond 64 bits.
    fn push(&mut self, byte: u8) -> Result<Option<u64>, Malformed> {
        let bits = u64::from(byte & 0x7f);
        if self.shift > 63 || (self.shift == 63 && bits > 1) {
            return Err(Malformed);
        }
        self.value |= bits << self.shift;
        self.shift += 7;
        Ok((byte & 0x80 == 0).then_some(self.value))
    }
}

#[derive(Debug)]
struct Malformed;

/// Reads one message.
#[derive(Debug)]
pub(super) struct Parser {
    step: Step,
    /// Bytes read.
    at: u64,
    /// The open messages and where they end, outermost first.
    open: [(Level, u64); 3],
    depth: usize,
    text: Vec<u8>,
    pull: Pull,
    malformed: bool,
}

impl Parser {
    /// For a message of this length.
    pub(super) fn new(length: u32) -> Self {
        Self {
            step: Step::Tag(Varint::default()),
            at: 0,
            open: [(Level::Request, u64::from(length)); 3],
            depth: 0,
            text: Vec::new(),
            pull: Pull::default(),
            malformed: false,
        }
    }

    /// Bytes held, about.
    pub(super) fn held(&self) -> usize {
        size_of::<Self>() + self.text.capacity() + self.pull.held()
    }

    /// Reads the next part of the message.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.malformed {
            self.malformed = self.read(&mut rest).is_err();
        }
    }

    /// What the message says, if all of it was read and it is well-formed throughout.
    pub(super) fn finish(self) -> Option<Pull> {
        let whole = matches!(self.step, Step::Tag(Varint { shift: 0, .. }))
            && self.depth == 0
            && self.at == self.end();
        (whole && !self.malformed).then_some(self.pull)
    }

    fn level(&self) -> (Level, u64) {
        self.open.get(self.depth).copied().unwrap_or((Level::Request, 0))
    }

    fn end(&self) -> u64 {
        self.level().1
    }

    fn read(&mut self, rest: &mut &[u8]) -> Result<(), Malformed> {
        match self.step {
            Step::Skip(left) => {
                let taken = take(rest, left);
                self.passed(taken, left, Step::Skip);
            }
            Step::Keep(text, left) => {
                let taken = take(rest, left);
                let most = if text == Text::Image { LONGEST_IMAGE } else { LONGEST_NAME };
                // One byte more than allowed tells `keep` that it was too long.
                let room = (most + 1).saturating_sub(self.text.len());
                self.text.extend_from_slice(taken.get(..room).unwrap_or(taken));
                if taken.len() as u64 == left {
                    self.keep(text, most)?;
                }
                self.passed(taken, left, |left| Step::Keep(text, left));
            }
            Step::Tag(mut varint) => match self.varint(rest, &mut varint)? {
                None => self.step = Step::Tag(varint),
                Some(tag) => self.tag(tag)?,
            },
            Step::Number(mut varint) => match self.varint(rest, &mut varint)? {
                None => self.step = Step::Number(varint),
                Some(_) => self.next_field(),
            },
            Step::Length(plan, mut varint) => match self.varint(rest, &mut varint)? {
                None => self.step = Step::Length(plan, varint),
                Some(length) => self.length(plan, length)?,
            },
        }
        Ok(())
    }

    fn passed(&mut self, taken: &[u8], left: u64, step: impl FnOnce(u64) -> Step) {
        let taken = taken.len() as u64;
        self.at += taken;
        if taken == left {
            self.next_field();
        } else {
            self.step = step(left - taken);
        }
    }

    fn varint(&mut self, rest: &mut &[u8], to: &mut Varint) -> Result<Option<u64>, Malformed> {
        let (&byte, after) = rest.split_first().ok_or(Malformed)?;
        if self.at >= self.end() {
            return Err(Malformed);
        }
        *rest = after;
        self.at += 1;
        to.push(byte)
    }

    fn tag(&mut self, tag: u64) -> Result<(), Malformed> {
        let field = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
        let plan = plan(self.level().0, field);
        self.step = match (tag & 7, plan) {
            _ if field == 0 => return Err(Malformed),
            (0, Plan::Number | Plan::Unknown) => Step::Number(Varint::default()),
            (2, Plan::Enter(_) | Plan::Keep(_) | Plan::Skip | Plan::Unknown) => {
                Step::Length(plan, Varint::default())
            }
            (1, Plan::Unknown) => self.skip(8)?,
            (5, Plan::Unknown) => self.skip(4)?,
            // A known field of another type, or a group, which proto3 has not.
            _ => return Err(Malformed),
        };
        Ok(())
    }

    fn skip(&self, length: u64) -> Result<Step, Malformed> {
        // Both are below 2^33 here, or `length` alone is too large.
        match self.at.checked_add(length) {
            Some(end) if end <= self.end() => Ok(Step::Skip(length)),
            _ => Err(Malformed),
        }
    }

    fn length(&mut self, plan: Plan, length: u64) -> Result<(), Malformed> {
        let skip = self.skip(length)?;
        match plan {
            Plan::Enter(level) => {
                let end = self.at + length;
                self.depth += 1;
                *self.open.get_mut(self.depth).ok_or(Malformed)? = (level, end);
                self.next_field();
            }
            Plan::Keep(text) => {
                self.text.clear();
                if length == 0 {
                    self.keep(text, 0)?;
                    self.next_field();
                } else {
                    self.step = Step::Keep(text, length);
                }
            }
            _ if length == 0 => self.next_field(),
            _ => self.step = skip,
        }
        Ok(())
    }

    /// Leaves the messages that end here.
    fn next_field(&mut self) {
        while self.depth > 0 && self.at == self.end() {
            self.depth -= 1;
        }
        self.step = Step::Tag(Varint::default());
    }

    fn keep(&mut self, text: Text, most: usize) -> Result<(), Malformed> {
        let bytes = std::mem::take(&mut self.text);
        let kept = match bytes.len() {
            0 => None,
            length if length > most => None,
            _ => Some(String::from_utf8(bytes).map_err(|_| Malformed)?),
        };
        let to = match text {
            Text::Image => &mut self.pull.image,
            Text::Name => &mut self.pull.pod,
            Text::Uid => &mut self.pull.pod_uid,
            Text::Namespace => &mut self.pull.namespace,
        };
        *to = kept;
        Ok(())
    }
}

fn take<'d>(rest: &mut &'d [u8], left: u64) -> &'d [u8] {
    let most = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
    let (taken, after) = rest.split_at(most);
    *rest = after;
    taken
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
