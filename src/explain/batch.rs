//! Many failures, one JSON object per line; one JSON object per line comes back.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use super::{ExplainError, Understood};
use crate::classify::{Cause, Classifier, Code, Failure};

/// Longest line that is read, in bytes; no runtime has so much to say.
const LONGEST_LINE: u64 = 16 << 20;

/// One failure. Other keys are ignored, so that the output of `replay -o json` can be explained.
#[derive(Deserialize)]
struct Line {
    /// Null where unknown.
    #[serde(deserialize_with = "Option::deserialize")]
    message: Option<String>,
    #[serde(default, deserialize_with = "code")]
    code: Option<Code>,
    runtime: Option<String>,
    reason: Option<String>,
    image: Option<String>,
}

/// A line that cannot be read gives a line that says so, and the next one is read.
pub(super) fn explain(
    file: &str,
    classifier: &Classifier,
    to: &mut dyn Write,
) -> Result<Understood, ExplainError> {
    let unreadable = |source| ExplainError::Batch { file: file.to_owned(), source };
    let mut from: Box<dyn BufRead> = match file {
        "-" => Box::new(io::stdin().lock()),
        file => Box::new(BufReader::new(File::open(file).map_err(unreadable)?)),
    };
    let mut understood = Understood::All;
    let mut bytes = Vec::new();
    for number in 1_u64.. {
        bytes.clear();
        match from.as_mut().take(LONGEST_LINE).read_until(b'\n', &mut bytes).map_err(unreadable)? {
            0 => break,
            read if read as u64 == LONGEST_LINE => {
                let why = format!("line {number} is longer than {LONGEST_LINE} bytes");
                return Err(unreadable(io::Error::other(why)));
            }
            _ => {}
        }
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<Line>(bytes.trim_ascii()) {
            Ok(line) if line.code == Some(Code::Ok) => write(&NOTHING, to)?,
            Ok(line) => write(&cause(&line, classifier), to)?,
            Err(error) => {
                understood = Understood::NotAll;
                write(&json!({ "error": complaint(number, &error) }), to)?;
            }
        }
    }
    to.flush()?;
    Ok(understood)
}

/// The answer for a call that did not fail.
const NOTHING: Nothing = Nothing {
    class: None,
    disposition: None,
    rule: None,
    advice: "code 0 is a success: there is nothing to explain",
    host: None,
};

/// The fields of a [`Cause`], unknown.
#[derive(Serialize)]
struct Nothing {
    class: Option<()>,
    disposition: Option<()>,
    rule: Option<()>,
    advice: &'static str,
    host: Option<()>,
}

fn cause(line: &Line, classifier: &Classifier) -> Cause {
    classifier.classify(&Failure {
        message: line.message.as_deref().unwrap_or_default(),
        code: line.code,
        runtime: line.runtime.as_deref(),
        reason: line.reason.as_deref(),
        image: line.image.as_deref(),
    })
}

fn complaint(number: u64, error: &serde_json::Error) -> String {
    let text = error.to_string();
    // Its own line is always the first.
    let text = text.split(" at line 1 column").next().unwrap_or_default();
    let column = error.column();
    format!(
        "line {number}, column {column}: {text}; expected an object such as {{\"message\": \"...\", \"code\": \
         \"NotFound\", \"runtime\": \"containerd 2.4\"}}, where code may be a number or null, and \
         reason and image may be given too"
    )
}

fn write(line: &impl Serialize, to: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *to, line)?;
    to.write_all(b"\n")
}

/// A name, a number or null. A number that gRPC does not have is no hint, but no reason to refuse
/// the line: it may come from the wire.
fn code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Code>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Any {
        Nothing(()),
        Number(u32),
        Name(String),
    }
    let wrong = || serde::de::Error::custom(format!("code is not {}", Code::EXPECTED));
    match Any::deserialize(deserializer).map_err(|_: D::Error| wrong())? {
        Any::Nothing(()) => Ok(None),
        Any::Number(number) => Ok(Code::of(number)),
        Any::Name(name) => Code::read(&name).map(Some).ok_or_else(wrong),
    }
}
