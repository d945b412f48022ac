use std::{
    fmt::Write as _,
    io::{self, Write},
};

use jiff::Timestamp;

use super::{
    changes,
    pods::{attempts, next, verdict},
    times::{ago, time},
};
use crate::{
    local::v1::{FailingImage, GetPodResponse},
    text::shown,
};

/// Everything about a pod: what becomes of it, its images, what changed.
pub(super) fn detail(pod: &GetPodResponse, out: &mut impl Write) -> io::Result<()> {
    let now = Timestamp::now();
    line(out, "Pod", &format!("{}/{}", pod.namespace, pod.name))?;
    line(out, "Phase", &pod.phase)?;
    line(out, "Outlook", &pod.outlook)?;
    for pull in &pod.pulls {
        let since = time(pull.since.as_ref()).map(|since| ago(since, now)).unwrap_or_default();
        line(out, "Pulling", &format!("{}, for {since:#}", pull.image))?;
    }
    for image in &pod.images {
        writeln!(out)?;
        self::image(image, &pod.outlook, now, out)?;
    }
    if !pod.changes.is_empty() {
        writeln!(out)?;
        changes::rows(&pod.changes, false, now).write(out)?;
    }
    Ok(())
}

fn image(image: &FailingImage, told: &str, now: Timestamp, out: &mut impl Write) -> io::Result<()> {
    line(out, "Image", &image.image)?;
    line(out, "Cause", &format!("{} ({})", image.class, image.disposition))?;
    line(out, "Rule", &image.rule)?;
    line(out, "Host", &image.host)?;
    line(out, "Attempts", &all_attempts(image, now))?;
    line(out, "Next attempt", &next(image, now))?;
    line(out, "Scope", &image.scope)?;
    line(out, "Verdict", &verdict(image, now))?;
    if image.outlook != told {
        line(out, "Outlook", &image.outlook)?;
    }
    if image.released {
        line(out, "Released", "by hand")?;
    }
    line(out, "Advice", &image.advice)?;
    line(out, "Error", &format!("{}: {}", image.reason, image.message))
}

/// Without a value there is no line.
fn line(out: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    if value.is_empty() {
        return Ok(());
    }
    writeln!(out, "{name:<13} {}", shown(Some(value)))
}

fn all_attempts(image: &FailingImage, now: Timestamp) -> String {
    let mut text = attempts(image);
    let mut classes: Vec<_> = image.attempts_by_class.iter().collect();
    classes.sort();
    for (number, (class, count)) in classes.into_iter().enumerate() {
        let _ = write!(text, "{} {count} {class}", if number == 0 { ", of" } else { "," });
    }
    if let Some(first) = time(image.first_attempt.as_ref()) {
        let _ = write!(text, "; the first {:#} ago", ago(first, now));
    }
    if let Some(last) = time(image.last_attempt.as_ref()) {
        let _ = write!(text, ", the last {:#} ago", ago(last, now));
    }
    text
}
