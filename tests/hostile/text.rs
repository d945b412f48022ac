//! Any text: what is kept, shown and written of it is harmless, bounded, and stays as it is when it is
//! treated again.

use std::io::Write as _;

use pullfuse::text::{Harmless, image, lines, plain, redact, shown};

use super::is_harmless;

/// The first byte bounds what is kept.
pub fn look(bytes: &[u8]) {
    let Some((&most, bytes)) = bytes.split_first() else { return };
    let (most, text) = (8 + 8 * usize::from(most), &*String::from_utf8_lossy(bytes));
    let told = redact(text);
    assert_eq!(redact(&told), told, "{text:?}\nis not the same a second time");

    let kept = plain(text, most);
    assert!(kept.len() <= most && one_line(&kept), "{kept:?}, at most {most}");
    let image = image(text);
    assert!(image.len() <= 1024 && one_line(&image), "{image:?}");
    assert!(one_line(&shown(Some(text))));
    assert!(is_harmless(&lines(text)));

    let mut out = Harmless::new(Vec::new());
    serde_json::to_writer(&mut out, text).unwrap();
    let json = String::from_utf8(out.into_inner()).unwrap();
    assert!(one_line(&json), "{json:?}");
    assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);

    let mut out = Harmless::whole_lines(Vec::new());
    out.write_all(bytes).unwrap();
    assert!(is_harmless(&String::from_utf8(out.into_inner()).unwrap()));
}

fn one_line(text: &str) -> bool {
    is_harmless(text) && !text.contains('\n')
}
