//! Whatever is read from outside: for each reader, what must hold of any bytes at all.
//!
//! In: bytes. Out: nothing, or a panic that says what does not hold. `tests/damage.rs` damages the
//! [`seeds`] at random; `tests/fuzz` looks for the bytes that reach new code. Touches a folder of its
//! own for readers of files, and nothing else.

pub mod answer;
pub mod batch;
pub mod config;
pub mod ledger;
pub mod message;
pub mod pod;
pub mod recording;
pub mod seeds;
pub mod text;
pub mod verdict;
pub mod wire;

/// A part of pullfuse that reads what others wrote.
pub struct Reader {
    /// The name of its fuzz target.
    pub name: &'static str,
    /// Panics if what must hold does not.
    pub look: fn(&[u8]),
    /// Bytes that it understands.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All readers, those first that strangers reach most easily.
pub const READERS: [Reader; 10] = [
    Reader { name: "wire", look: wire::look, seeds: seeds::wire },
    Reader { name: "pod", look: pod::look, seeds: seeds::pod },
    Reader { name: "message", look: message::look, seeds: seeds::message },
    Reader { name: "text", look: text::look, seeds: seeds::text },
    Reader { name: "config", look: config::look, seeds: seeds::config },
    Reader { name: "recording", look: recording::look, seeds: seeds::recording },
    Reader { name: "ledger", look: ledger::look, seeds: seeds::ledger },
    Reader { name: "verdict", look: verdict::look, seeds: seeds::verdict },
    Reader { name: "batch", look: batch::look, seeds: seeds::batch },
    Reader { name: "answer", look: answer::look, seeds: seeds::answer },
];

/// The reader of this name.
pub fn reader(name: &str) -> &'static Reader {
    READERS.iter().find(|reader| reader.name == name).unwrap()
}

/// Whether a text cannot do anything but be seen, line breaks aside.
pub fn is_harmless(text: &str) -> bool {
    let turns = |char| matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !text.chars().any(|char| char != '\n' && char.is_control() || turns(char))
}
