//! containerd's own log: every `PullImage` call, with its begin and its end.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::quoted::{field, unquote};

/// A call that the runtime was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub began: Timestamp,
    /// `None`: it goes on.
    pub ended: Option<Timestamp>,
    pub succeeded: bool,
}

/// The calls for each image, in the order of their begins.
pub fn calls(log: &str) -> BTreeMap<String, Vec<Call>> {
    let mut all: BTreeMap<String, Vec<Call>> = BTreeMap::new();
    for line in log.lines() {
        let (Some(at), Some(message)) = (time(line), field(line, "msg")) else { continue };
        if message.starts_with("starting containerd") {
            // Whatever went on ended with the one before.
            for call in all.values_mut().flatten().filter(|call| call.ended.is_none()) {
                call.ended = Some(at);
            }
        }
        let Some(rest) = message.strip_prefix("PullImage ") else { continue };
        let Some(image) = unquote(rest) else { continue };
        let succeeded = message.contains("\" returns image reference ");
        let calls = all.entry(image).or_default();
        if succeeded || message.ends_with("\" failed") {
            // Which of several has ended is not said: the oldest, as if they came in turn.
            if let Some(call) = calls.iter_mut().find(|call| call.ended.is_none()) {
                (call.ended, call.succeeded) = (Some(at), succeeded);
            }
        } else {
            calls.push(Call { began: at, ended: None, succeeded: false });
        }
    }
    all
}

fn time(line: &str) -> Option<Timestamp> {
    line.strip_prefix("time=\"")?.split('"').next()?.parse().ok()
}
