use jiff::Timestamp;

use super::{
    listing::Listing,
    times::{ago, coming, past, time},
};
use crate::{
    local::v1::{FailingImage, ListPodsResponse},
    table::{Look, Rows},
};

/// Characters of an error in a table.
const SHORT: usize = 60;

impl Listing for ListPodsResponse {
    type Row = FailingImage;

    fn items(&self) -> &[FailingImage] {
        &self.images
    }

    fn name(image: &FailingImage) -> String {
        format!("{}/{} {}", image.namespace, image.pod, image.image)
    }

    fn table(&self, wide: bool) -> Rows {
        let now = Timestamp::now();
        let mut head = vec!["POD", "IMAGE", "CLASS", "ATTEMPTS", "NEXT ATTEMPT", "VERDICT"];
        head.extend(if wide {
            &["FIRST", "HOST", "SCOPE", "OUTLOOK", "ERROR"][..]
        } else {
            &["ERROR"]
        });
        let mut rows = Rows::new(&head);
        for image in &self.images {
            let mut row = vec![
                format!("{}/{}", image.namespace, image.pod),
                image.image.clone(),
                image.class.clone(),
                attempts(image),
                next(image, now),
                verdict(image, now),
            ];
            if wide {
                row.extend([
                    past(image.first_attempt.as_ref(), now),
                    image.host.clone(),
                    image.scope.clone(),
                    image.outlook.clone(),
                    image.message.clone(),
                ]);
            } else {
                row.push(end_of(&image.message));
            }
            rows.add(look(image), row);
        }
        rows
    }

    fn nothing(&self) -> String {
        "no image fails on this node".into()
    }

    fn remark(&self) -> String {
        self.holdup.clone()
    }
}

fn look(image: &FailingImage) -> Look {
    match image.decision.as_str() {
        _ if image.dry_run => Look::Plain,
        "fail" => Look::Bad,
        "wait" | "held" | "report" => Look::Warning,
        _ if image.verdict_at.is_some() => Look::Warning,
        _ => Look::Plain,
    }
}

/// Those that count, of those at which the pod is ended.
pub(super) fn attempts(image: &FailingImage) -> String {
    match image.limit {
        0 => format!("{}/never", image.attempts),
        limit => format!("{}/{limit}", image.counted),
    }
}

/// When the kubelet tries again.
pub(super) fn next(image: &FailingImage, now: Timestamp) -> String {
    if let Some(since) = time(image.pulling_since.as_ref()) {
        return format!("pulling for {:#}", ago(since, now));
    }
    time(image.next_attempt.as_ref()).map_or_else(String::new, |at| coming(at, now))
}

/// When the pod is ended, or why it is not, in few words.
pub(super) fn verdict(image: &FailingImage, now: Timestamp) -> String {
    match image.verdict.as_str() {
        "decided" => return "being ended".into(),
        "written" => return "ended, watched".into(),
        "held" => return "ended".into(),
        "given_up" => return "given up".into(),
        "dry_run" if image.dry_run => return "dry run: would have ended it".into(),
        _ => {}
    }
    let because = &image.because;
    let text = match image.decision.as_str() {
        "held" => {
            let what = match because.as_str() {
                "breaker" => format!("outage of {}", image.held_by.clone()),
                cap => format!("caps.{cap}"),
            };
            let left = time(image.held_until.as_ref()).map(|until| ago(now, until));
            let left = left.map(|left| format!(", {left:#} at most")).unwrap_or_default();
            format!("held: {what}{left}")
        }
        "report" => format!("not ended: {because}"),
        "leave" if because == "below_limit" && !image.only_reported.is_empty() => {
            format!("not ended: {}", image.only_reported)
        }
        "leave" if because == "below_limit" => {
            let left = image.limit.saturating_sub(image.counted);
            let at = time(image.verdict_at.as_ref()).map(|at| coming(at, now));
            match at {
                Some(at) => format!("{at}, {left} more"),
                None => format!("after {left} more"),
            }
        }
        "leave" => format!("not ended: {because}"),
        _ => time(image.verdict_at.as_ref()).map_or("now".into(), |at| coming(at, now)),
    };
    if image.dry_run { format!("dry run: {text}") } else { text }
}

/// The end of an error says most.
fn end_of(text: &str) -> String {
    let length = text.chars().count();
    if length <= SHORT {
        return text.to_owned();
    }
    std::iter::once('…').chain(text.chars().skip(length - SHORT + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> FailingImage {
        let at = |seconds| Some(pbjson_types::Timestamp { seconds, nanos: 0 });
        FailingImage {
            limit: 5,
            counted: 2,
            decision: "leave".into(),
            because: "below_limit".into(),
            verdict_at: at(1090),
            next_attempt: at(1040),
            ..FailingImage::default()
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1000).unwrap()
    }

    #[test]
    fn a_verdict_is_when_or_why_not() {
        let say = |image: &FailingImage| verdict(image, now());
        assert_eq!(say(&image()), "in 1m 30s, 3 more");
        assert_eq!(say(&FailingImage { dry_run: true, ..image() }), "dry run: in 1m 30s, 3 more");
        let always = "restart_policy_always";
        let reported = FailingImage { only_reported: always.into(), ..image() };
        assert_eq!(say(&reported), format!("not ended: {always}"));
        let because = |decision: &str, because: &str| FailingImage {
            decision: decision.into(),
            because: because.into(),
            ..image()
        };
        assert_eq!(say(&because("leave", "transient")), "not ended: transient");
        let until = image().verdict_at;
        let outage = FailingImage {
            held_by: "r.example".into(),
            held_until: until,
            ..because("held", "breaker")
        };
        assert_eq!(say(&outage), "held: outage of r.example, 1m 30s at most");
        let cap = FailingImage { held_until: until, ..because("held", "per_node") };
        assert_eq!(say(&cap), "held: caps.per_node, 1m 30s at most");
        assert_eq!(say(&because("wait", "")), "in 1m 30s");
        for (stage, said) in
            [("decided", "being ended"), ("held", "ended"), ("given_up", "given up")]
        {
            let ended = FailingImage { verdict: stage.into(), ..because("fail", "") };
            assert_eq!(say(&ended), said);
        }
    }

    #[test]
    fn the_next_attempt_is_told_from_one_that_goes_on() {
        assert_eq!(next(&image(), now()), "in 40s");
        let pulling_since = Some(pbjson_types::Timestamp { seconds: 980, nanos: 0 });
        assert_eq!(next(&FailingImage { pulling_since, ..image() }, now()), "pulling for 20s");
    }

    #[test]
    fn of_a_long_error_the_end_is_shown() {
        let text = format!("{}: not found", "failed to pull ".repeat(10));
        let short = end_of(&text);
        assert!(short.starts_with('…') && short.ends_with(": not found"), "{short}");
        assert_eq!(short.chars().count(), SHORT);
        assert_eq!(end_of("short"), "short");
    }
}
