use std::{env, fmt::Write as _, fs, path::PathBuf};

/// What was asked and answered, for `docs/transcripts`.
#[derive(Default)]
pub struct Transcript(String);

impl Transcript {
    /// What the reader is to know first.
    pub fn remark(&mut self, text: &str) {
        let _ = writeln!(self.0, "# {text}");
    }

    /// A command and what it said.
    pub fn asked(&mut self, program: &str, words: &[&str], said: &str) {
        let line = [&[program], words].concat().join(" ");
        let _ = write!(self.0, "$ {line}\n{said}\n");
    }

    /// Writes it into the folder PULLFUSE_TRANSCRIPTS, if there is one.
    pub fn keep(&self, name: &str) -> anyhow::Result<()> {
        if let Some(folder) = env::var_os("PULLFUSE_TRANSCRIPTS") {
            fs::write(PathBuf::from(folder).join(format!("{name}.txt")), &self.0)?;
        }
        Ok(())
    }
}
