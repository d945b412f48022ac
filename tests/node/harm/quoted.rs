//! Texts as Go quotes them (`%q`), which both logs are full of.

/// What is quoted from the beginning of `text` on, up to the closing quote.
pub fn unquote(text: &str) -> Option<String> {
    let mut chars = text.strip_prefix('"')?.chars();
    let mut plain = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(plain),
            '\\' => match chars.next()? {
                'n' => plain.push('\n'),
                't' => plain.push('\t'),
                'r' => plain.push('\r'),
                'x' => plain.push(code(&mut chars, 2)?),
                'u' => plain.push(code(&mut chars, 4)?),
                'U' => plain.push(code(&mut chars, 8)?),
                other => plain.push(other),
            },
            other => plain.push(other),
        }
    }
}

/// The quoted value after `key=`.
pub fn field(line: &str, key: &str) -> Option<String> {
    let from = line.find(&format!(" {key}=\""))? + key.len() + 2;
    unquote(&line[from..])
}

fn code(chars: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let number: String = chars.take(digits).collect();
    u32::from_str_radix(&number, 16).ok().and_then(char::from_u32)
}
