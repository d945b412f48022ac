//! Tables as kubectl prints them: three spaces between columns, nothing around them.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets::NOTHING};

use crate::text::shown;

/// Between two columns.
const GAP: u16 = 3;

/// A table; rows may span lines.
pub(crate) fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// As it is printed, without spaces at the end of a line.
pub(crate) fn text(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    table.trim_fmt()
}

/// How urgent a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Plain,
    Warning,
    Bad,
}

impl Look {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
        }
    }
}

/// A table of rows of one line each, coloured. Who writes it to anything but a terminal strips the
/// colours.
#[derive(Debug)]
pub(crate) struct Rows {
    table: Table,
    looks: Vec<Look>,
}

impl Rows {
    /// A table with this head.
    pub(crate) fn new(head: &[&str]) -> Self {
        let mut table = plain();
        table.set_header(head.iter().copied());
        Self { table, looks: Vec::new() }
    }

    /// Adds a row; whatever a cell holds, it stays on its line.
    pub(crate) fn add(&mut self, look: Look, cells: impl IntoIterator<Item = String>) {
        self.table.add_row(cells.into_iter().map(|cell| shown(Some(&cell))));
        self.looks.push(look);
    }

    /// The lines, the head first.
    pub(crate) fn lines(self) -> Vec<String> {
        let text = text(self.table);
        let looks =
            std::iter::once(Style::new().bold()).chain(self.looks.into_iter().map(Look::style));
        let styled = |(line, style): (&str, Style)| format!("{style}{line}{style:#}");
        text.lines().zip(looks).map(styled).collect()
    }

    /// Writes all of it.
    pub(crate) fn write(self, out: &mut impl Write) -> io::Result<()> {
        for line in self.lines() {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_like_kubectls_and_colours_can_be_stripped() {
        let mut rows = Rows::new(&["POD", "STATE"]);
        rows.add(Look::Bad, ["batch/long-name".into(), "down".into()]);
        rows.add(Look::Plain, ["b/p".into(), String::new()]);
        let coloured = rows.lines().join("\n");
        assert!(coloured.contains("\u{1b}[31mbatch"), "{coloured:?}");
        let plain = anstream::adapter::strip_str(&coloured).to_string();
        assert_eq!(plain, "POD               STATE\nbatch/long-name   down\nb/p");
    }
}
