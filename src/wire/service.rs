//! Evidence of which CRI service a connection belongs to.
//!
//! The kubelet has one connection per service, and that of the runtime service carries nearly all
//! bytes. Once it is known, capture need not copy it any more. `:path` tells it in a connection
//! seen from its start; one joined late repeats paths as unknown indexes, so messages that only
//! the runtime service has count as well.

const RUNTIME_SERVICES: [&[u8]; 2] =
    [b"/runtime.v1.RuntimeService/", b"/runtime.v1alpha2.RuntimeService/"];
const IMAGE_SERVICES: [&[u8]; 2] =
    [b"/runtime.v1.ImageService/", b"/runtime.v1alpha2.ImageService/"];
const PULL_IMAGE: &[u8] = b"PullImage";
/// Calls of the runtime service after which a connection is taken as its own.
const ENOUGH: u32 = 8;
/// Length of the ID of a container or a sandbox.
const ID: usize = 64;

/// What a `:path` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    PullImage,
    Other,
}

/// What was seen on one connection.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    runtime_calls: u32,
    image_service: bool,
}

impl Evidence {
    /// Takes in the path of a call.
    pub(super) fn path(&mut self, path: &[u8]) -> Path {
        let method = IMAGE_SERVICES.iter().find_map(|service| path.strip_prefix(*service));
        self.image_service |= method.is_some();
        if RUNTIME_SERVICES.iter().any(|service| path.starts_with(service)) {
            self.runtime_call();
        }
        if method == Some(PULL_IMAGE) { Path::PullImage } else { Path::Other }
    }

    /// A pull was recognised by its structure.
    pub(super) fn pull(&mut self) {
        self.image_service = true;
    }

    /// Takes in the start of a DATA frame of a request: one whose first field is an ID asks about
    /// a container or a sandbox.
    pub(super) fn request(&mut self, data: &[u8]) {
        if data.get(5..).and_then(|message| id(message, 0x0a)).is_some() {
            self.runtime_call();
        }
    }

    /// Takes in the start of a DATA frame of a response: a list whose first item has an ID and
    /// another one as its second field lists containers with their sandboxes.
    pub(super) fn response(&mut self, data: &[u8]) {
        let item = data.get(5..).and_then(|message| match message {
            // The item's length takes two bytes: it is more than 127 and less than 16384.
            [0x0a, low, high, item @ ..] if low & 0x80 != 0 && high & 0x80 == 0 => Some(item),
            _ => None,
        });
        if item.and_then(|item| id(item, 0x0a)).and_then(|rest| id(rest, 0x12)).is_some() {
            self.runtime_call();
        }
    }

    fn runtime_call(&mut self) {
        self.runtime_calls = self.runtime_calls.saturating_add(1);
    }

    /// Whether no pull is to be expected here.
    pub(super) fn rules_out_pulls(&self) -> bool {
        !self.image_service && self.runtime_calls >= ENOUGH
    }
}

/// What follows a string field with this tag that is an ID.
fn id(message: &[u8], tag: u8) -> Option<&[u8]> {
    let length = u8::try_from(ID).ok()?;
    let rest = message.strip_prefix(&[tag, length])?;
    let (id, rest) = rest.split_at_checked(ID)?;
    id.iter().all(u8::is_ascii_hexdigit).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_image_services_have_pull_image() {
        let mut evidence = Evidence::default();
        for path in
            ["/runtime.v1.ImageService/PullImage", "/runtime.v1alpha2.ImageService/PullImage"]
        {
            assert_eq!(evidence.path(path.as_bytes()), Path::PullImage);
        }
        for path in [
            "/runtime.v1.ImageService/PullImages",
            "/runtime.v1.RuntimeService/PullImage",
            "/x/runtime.v1.ImageService/PullImage",
            "PullImage",
            "",
        ] {
            assert_eq!(evidence.path(path.as_bytes()), Path::Other, "{path}");
        }
    }

    #[test]
    fn a_connection_with_a_call_of_the_image_service_is_never_ruled_out() {
        let mut evidence = Evidence::default();
        for _ in 0..100 {
            evidence.path(b"/runtime.v1.RuntimeService/ListContainers");
        }
        assert!(evidence.rules_out_pulls());
        evidence.path(b"/runtime.v1.ImageService/ImageFsInfo");
        assert!(!evidence.rules_out_pulls());
    }
}
