use std::{
    fmt::Write as _,
    io::{self, Write},
};

use jiff::Timestamp;

use super::table;
use crate::{
    local::v1::{FailingImage, ListPodsResponse},
    text::shown,
};

/// Characters of an error in a table.
const SHORT: usize = 60;

pub(super) fn table(answer: &ListPodsResponse, out: &mut impl Write) -> io::Result<()> {
    if answer.images.is_empty() {
        return writeln!(out, "no image fails on this node");
    }
    let now = Timestamp::now();
    let mut table =
        table::new(&["POD", "IMAGE", "CLASS", "ATTEMPTS", "NEXT ATTEMPT", "OUTLOOK", "ERROR"]);
    for image in &answer.images {
        table.add_row([
            format!("{}/{}", shown(Some(&image.namespace)), shown(Some(&image.pod))),
            shown(Some(&image.image)),
            shown(Some(&image.class)),
            attempts(image),
            next(image, now),
            shown(Some(&image.outlook)),
            shown(Some(&image.message)).chars().take(SHORT).collect(),
        ]);
    }
    writeln!(out, "{}", table.trim_fmt())
}

/// Everything about the pods' images, one after the other.
pub(super) fn detail(answer: &ListPodsResponse, out: &mut impl Write) -> io::Result<()> {
    let now = Timestamp::now();
    for (number, image) in answer.images.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        let mut line = |name: &str, value: &str| {
            if value.is_empty() {
                Ok(())
            } else {
                writeln!(out, "{name:<13} {}", shown(Some(value)))
            }
        };
        line("Pod", &format!("{}/{}", image.namespace, image.pod))?;
        line("Image", &image.image)?;
        line("Cause", &format!("{} ({})", image.class, image.disposition))?;
        line("Rule", &image.rule)?;
        line("Host", &image.host)?;
        line("Attempts", &all_attempts(image, now))?;
        line("Next attempt", &next(image, now))?;
        line("Scope", &image.scope)?;
        line("Verdict", &image.verdict)?;
        line("Outlook", &image.outlook)?;
        line("Advice", &image.advice)?;
        line("Error", &format!("{}: {}", image.reason, image.message))?;
    }
    Ok(())
}

/// Those that count, of those at which the pod is ended.
fn attempts(image: &FailingImage) -> String {
    match image.limit {
        0 => format!("{}/never", image.attempts),
        limit => format!("{}/{limit}", image.counted),
    }
}

fn all_attempts(image: &FailingImage, now: Timestamp) -> String {
    let mut text = attempts(image);
    let mut classes: Vec<_> = image.attempts_by_class.iter().collect();
    classes.sort();
    for (number, (class, count)) in classes.into_iter().enumerate() {
        let _ = write!(text, "{} {count} {class}", if number == 0 { ", of" } else { "," });
    }
    if let Some(first) = table::time(image.first_attempt.as_ref()) {
        let _ = write!(text, "; the first {:#} ago", table::ago(first, now));
    }
    if let Some(last) = table::time(image.last_attempt.as_ref()) {
        let _ = write!(text, ", the last {:#} ago", table::ago(last, now));
    }
    text
}

fn next(image: &FailingImage, now: Timestamp) -> String {
    match table::time(image.next_attempt.as_ref()) {
        Some(at) if at > now => format!("in {:#}", table::ago(now, at)),
        Some(_) => "now".into(),
        None => String::new(),
    }
}
