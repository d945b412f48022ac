use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    cli::Format,
    cluster::Place,
    group::{Groups, Row},
    nodes::{Agent, Agents},
    shown::age,
};
use crate::{table, text::shown};

/// Pods by image and cause.
pub(super) fn groups(
    groups: &Groups,
    place: &Place,
    format: Format,
    out: &mut impl Write,
) -> io::Result<()> {
    let sorted = groups.sorted();
    let now = Timestamp::now();
    match format {
        Format::Json => json(&sorted, out)?,
        _ if sorted.is_empty() => {
            let place = shown(Some(&place.text()));
            writeln!(out, "no pod was ended by pullfuse, and none waits for its image, {place}")?;
        }
        _ => {
            let wide = format == Format::Wide;
            let mut head = vec!["STATE", "IMAGE", "CAUSE", "PODS", "NAMESPACES", "NODES"];
            head.extend(["FIRST", "LAST", "ADVICE"]);
            head.extend(["HOST", "EXAMPLE", "ERROR"].iter().filter(|_| wide));
            table(&head, sorted.iter().map(|row| group_row(*row, wide, now)), out)?;
        }
    }
    if groups.left_out > 0 {
        eprintln!(
            "kubectl-pullfuse: warning: {} pods of further images are not shown; name a namespace \
             with -n",
            groups.left_out
        );
    }
    out.flush()
}

fn group_row(Row { key, group }: Row<'_>, wide: bool, now: Timestamp) -> Vec<String> {
    let mut row = vec![
        key.state.as_str().into(),
        key.image.clone(),
        key.class.map_or("-", |class| class.as_str()).into(),
        group.pods.to_string(),
        if wide { group.namespaces.long() } else { group.namespaces.short() },
        if wide { group.nodes.long() } else { group.nodes.short() },
        age(group.first, now),
        age(group.last, now),
        group.advice.clone(),
    ];
    if wide {
        row.extend([
            key.host.clone().unwrap_or_else(|| "-".into()),
            group.example.clone(),
            group.error.clone(),
        ]);
    }
    row
}

/// The agent of every node.
pub(super) fn agents(agents: &Agents, format: Format, out: &mut impl Write) -> io::Result<()> {
    let now = Timestamp::now();
    if format == Format::Json {
        json(&agents.rows, out)?;
        return out.flush();
    }
    let wide = format == Format::Wide;
    let mut head = vec!["NODE", "AGENT", "RESTARTS", "AGE", "VERSION", "WHY"];
    head.extend(["NAMESPACE", "POD", "IMAGE"].iter().filter(|_| wide));
    table(&head, agents.rows.iter().map(|agent| agent_row(agent, wide, now)), out)?;
    let (nodes, ready) = agents.counts();
    writeln!(out, "\n{ready} of {nodes} nodes have a ready agent")?;
    out.flush()
}

fn agent_row(agent: &Agent, wide: bool, now: Timestamp) -> Vec<String> {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let mut row = vec![
        agent.node.clone(),
        agent.health.as_str().into(),
        agent.restarts.to_string(),
        age(agent.since, now),
        agent.image.as_deref().map_or("-", version).into(),
        agent.why.clone(),
    ];
    if wide {
        row.extend([or_dash(&agent.namespace), or_dash(&agent.pod), or_dash(&agent.image)]);
    }
    row
}

/// The tag of an image, or the beginning of its digest.
fn version(image: &str) -> &str {
    if let Some((_, digest)) = image.split_once('@') {
        return digest.get(..19).unwrap_or(digest);
    }
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    name.split_once(':').map_or("latest", |(_, tag)| tag)
}

/// As kubectl prints tables. What comes from the cluster must not move the cursor.
fn table(
    head: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut table = table::plain();
    table.set_header(head.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|text| shown(Some(text))));
    }
    writeln!(out, "{}", table::text(table))
}

/// An object a line. JSON escapes control characters itself, but not those that turn the text.
fn json<T: Serialize>(rows: &[T], out: &mut impl Write) -> io::Result<()> {
    for row in rows {
        serde_json::to_writer(&mut *out, row)?;
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::found::{Found, State};

    #[test]
    fn hostile_texts_do_not_move_the_cursor() {
        let evil = "\u{1b}[2J\u{202e}evil\n";
        let mut all = Groups::default();
        all.add(Found {
            state: State::Ended,
            image: evil.into(),
            class: None,
            host: Some(evil.into()),
            namespace: evil.into(),
            pod: evil.into(),
            node: evil.into(),
            first: None,
            last: None,
            advice: evil.into(),
            error: evil.into(),
        });
        for format in [Format::Table, Format::Wide] {
            let mut out = Vec::new();
            groups(&all, &Place::Namespace("n".into()), format, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(!text.contains(['\u{1b}', '\u{202e}']) && text.contains("evil"), "{text:?}");
            assert_eq!(text.lines().count(), 2, "{text:?}");
        }
    }

    #[test]
    fn a_version_is_the_tag_or_the_digest() {
        for (image, expected) in [
            ("127.0.0.1:5000/pullfuse:test", "test"),
            ("127.0.0.1:5000/pullfuse", "latest"),
            ("r/pullfuse:1@sha256:0123456789abcdef", "sha256:0123456789ab"),
        ] {
            assert_eq!(version(image), expected);
        }
    }
}
