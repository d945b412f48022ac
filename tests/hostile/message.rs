//! The text of a failed pull, with a password put in somewhere: whatever it is taken for, the password
//! is not told.

use std::sync::LazyLock;

use pullfuse::{
    classify::{Classifier, Failure},
    config,
    pods::MESSAGE_LIMIT,
    text::plain,
};

use super::is_harmless;

const PASSWORD: &str = "MARKER0MARKER";
const OWN_RULES: &str = "[[rules]]\nmatch = '(?i)scanner\\s+blocked'\ncode = 'NotFound'\n\
    class = 'forbidden'\n[[rules]]\nregistry = '*.example'\nclass = 'not_found'\n";

static CLASSIFIERS: LazyLock<[Classifier; 2]> = LazyLock::new(|| {
    let own = config::parse(OWN_RULES).unwrap();
    [Classifier::new(&[]), Classifier::new(&own.rules)]
});

/// The first byte says where the password stands.
pub fn look(bytes: &[u8]) {
    let Some((&place, bytes)) = bytes.split_first() else { return };
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    let at = text.floor_char_boundary(text.len() * usize::from(place) / 255);
    text.insert_str(at, &format!("https://me:{PASSWORD}@r.example/v2/"));
    let kept = plain(&text, MESSAGE_LIMIT);
    assert!(!kept.contains(PASSWORD) && is_harmless(&kept), "{text:?}\nbecame\n{kept:?}");
    // As it came on the socket, and as the status is kept.
    for (classifier, message) in CLASSIFIERS.iter().zip([&text, &kept]) {
        let image = Some("r.example/app:1");
        let cause = classifier.classify(&Failure { message, image, ..Failure::default() });
        let told = format!("{}\n{}", cause.advice, cause.host.unwrap_or_default());
        assert!(told.len() < 1500 && is_harmless(&told), "{text:?}\n{told:?}");
        assert!(!told.to_lowercase().contains(&PASSWORD.to_lowercase()), "{text:?}\n{told}");
    }
}
