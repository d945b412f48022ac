//! Text from elsewhere, made fit for a terminal: it must not move the cursor.

/// The text with every harmful character escaped; `<unknown>` where there is none.
pub(crate) fn shown(text: Option<&str>) -> String {
    match text {
        Some(text) => text.chars().flat_map(escaped).collect(),
        None => "<unknown>".into(),
    }
}

fn escaped(char: char) -> impl Iterator<Item = char> {
    // Besides control characters those that turn the writing direction.
    let harmful = char.is_control()
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let (plain, escape) =
        if harmful { (None, Some(char.escape_default())) } else { (Some(char), None) };
    plain.into_iter().chain(escape.into_iter().flatten())
}
