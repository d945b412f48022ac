use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::text::plain;

/// Annotation by which a pod asks for another number of attempts.
pub const MAX_ATTEMPTS_ANNOTATION: &str = "pullfuse.io/max-attempts";
/// Annotation by which a pod asks to be treated more mildly: `ignore` or `report`.
pub const MODE_ANNOTATION: &str = "pullfuse.io/mode";

/// Longest value that is kept, in characters; no valid one is near it.
const LONGEST: usize = 32;
/// So many characters are never more bytes.
const MOST: usize = 4 * LONGEST;

/// What a pod asks for itself by annotations. The values are as written, so they may be nonsense.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// Value of [`MAX_ATTEMPTS_ANNOTATION`].
    pub max_attempts: Option<String>,
    /// Value of [`MODE_ANNOTATION`].
    pub mode: Option<String>,
}

impl Asked {
    pub(super) fn read(meta: &ObjectMeta) -> Self {
        let value =
            |key: &str| meta.annotations.as_ref().and_then(|all| all.get(key)).map(|v| shorten(v));
        Self { max_attempts: value(MAX_ATTEMPTS_ANNOTATION), mode: value(MODE_ANNOTATION) }
    }
}

/// What is cut ends in an ellipsis, so that no longer value becomes a valid one.
fn shorten(value: &str) -> String {
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => plain(&value[..end], MOST) + "…",
        None => plain(value, MOST),
    }
}
