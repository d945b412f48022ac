//! Lists, once or again and again with what changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    time::Duration,
};

use serde::Serialize;

use super::AskError;
use crate::{
    cli::{Ask, Output},
    local::{Client, connect, v1},
    table::Rows,
    text::shown,
};

/// Several changes come at once.
const SETTLES_IN: Duration = Duration::from_millis(200);

/// An answer that is a list.
pub(super) trait Listing: Serialize {
    type Row: Serialize;

    /// The items, in the order of the table's rows.
    fn items(&self) -> &[Self::Row];
    /// What an item is known by.
    fn name(item: &Self::Row) -> String;
    fn table(&self, wide: bool) -> Rows;
    /// What is said of an empty list.
    fn nothing(&self) -> String;
    /// What is to be said besides; empty if nothing is.
    fn remark(&self) -> String {
        String::new()
    }
}

/// Lists, and with `watch` goes on until the agent ends.
pub(super) async fn run<L: Listing>(
    ask: &Ask,
    watch: bool,
    namespace: String,
    list: impl AsyncFn(&mut Client) -> Result<L, AskError>,
    out: &mut impl Write,
) -> Result<(), AskError> {
    let mut agent = connect(&ask.socket).await?;
    if !watch {
        return Ok(all(&list(&mut agent).await?, ask.output, out)?);
    }
    // Before the first list, so that nothing is missed between.
    let watching = v1::WatchRequest { since: None, namespace };
    let mut changes = agent.watch(watching).await?.into_inner();
    let mut seen = BTreeMap::new();
    let mut head = true;
    loop {
        let answer = list(&mut agent).await?;
        if !answer.items().is_empty() || !seen.is_empty() {
            changed(&answer, &mut seen, head, ask.output, out)?;
            head = false;
        }
        out.flush()?;
        let mut next = changes.message().await;
        let settled = tokio::time::sleep(SETTLES_IN);
        tokio::pin!(settled);
        while let Ok(Some(_)) = next {
            tokio::select! {
                further = changes.message() => next = further,
                () = &mut settled => break,
            }
        }
        if !matches!(next, Ok(Some(_))) {
            return Err(AskError::Ended);
        }
    }
}

pub(super) fn all<L: Listing>(answer: &L, output: Output, out: &mut impl Write) -> io::Result<()> {
    if output == Output::Json {
        return json(answer, out);
    }
    if answer.items().is_empty() {
        writeln!(out, "{}", answer.nothing())?;
    } else {
        answer.table(output == Output::Wide).write(out)?;
    }
    match answer.remark() {
        remark if remark.is_empty() => Ok(()),
        remark => writeln!(out, "\n{}", shown(Some(&remark))),
    }
}

/// Only what is new, as kubectl does.
fn changed<L: Listing>(
    answer: &L,
    seen: &mut BTreeMap<String, String>,
    head: bool,
    output: Output,
    out: &mut impl Write,
) -> io::Result<()> {
    let items = answer.items();
    let mut new = Vec::new();
    for item in items {
        let text = serde_json::to_string(item)?;
        let before = seen.insert(L::name(item), text.clone());
        new.push(before.as_ref() != Some(&text));
    }
    let present: BTreeSet<_> = items.iter().map(L::name).collect();
    let gone: Vec<_> = seen.extract_if(.., |name, _| !present.contains(name)).collect();
    if output == Output::Json {
        for (item, _) in items.iter().zip(new).filter(|(_, new)| *new) {
            json(item, out)?;
        }
        return Ok(());
    }
    let lines = answer.table(output == Output::Wide).lines();
    let wanted = std::iter::once(head).chain(new);
    for (line, _) in lines.iter().zip(wanted).filter(|(_, wanted)| *wanted) {
        writeln!(out, "{line}")?;
    }
    for (name, _) in gone {
        writeln!(out, "{}: no longer fails", shown(Some(&name)))?;
    }
    Ok(())
}

fn json(value: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}
