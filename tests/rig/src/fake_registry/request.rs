//! What a client asks for.

use axum::extract::Request;
use http::{HeaderMap, Method, header};

use super::state::Counts;

/// A request to a repository.
#[derive(Debug)]
pub(super) struct Ask {
    /// Empty for the registry as a whole.
    pub(super) repository: String,
    pub(super) target: Target,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
}

/// The thing asked for.
#[derive(Debug)]
pub(super) enum Target {
    /// `/v2/`
    Registry,
    /// By tag or digest.
    Manifest(String),
    /// By digest.
    Blob(String),
    /// Referrers, tag lists, uploads: not served.
    Other,
}

impl Ask {
    /// A request for the registry itself.
    pub(super) fn registry(request: Request) -> Self {
        Self::new(String::new(), Target::Registry, request)
    }

    /// A request for `<repository>/<kind>/<reference>`; a repository's name may have slashes too.
    pub(super) fn repository(path: &str, request: Request) -> Self {
        let parts = path
            .rsplit_once('/')
            .and_then(|(rest, last)| rest.rsplit_once('/').map(|(name, kind)| (name, kind, last)));
        match parts {
            Some((name, "manifests", last)) => {
                Self::new(name.to_owned(), Target::Manifest(last.to_owned()), request)
            }
            Some((name, "blobs", last)) => {
                Self::new(name.to_owned(), Target::Blob(last.to_owned()), request)
            }
            Some((name, ..)) => Self::new(name.to_owned(), Target::Other, request),
            None => Self::new(path.to_owned(), Target::Other, request),
        }
    }

    fn new(repository: String, target: Target, request: Request) -> Self {
        let (parts, _) = request.into_parts();
        Self { repository, target, method: parts.method, headers: parts.headers }
    }

    pub(super) fn count(&self, counts: &mut Counts) {
        match (&self.target, &self.method) {
            (Target::Manifest(_), &Method::GET) => counts.manifest_get += 1,
            (Target::Manifest(_), &Method::HEAD) => counts.manifest_head += 1,
            (Target::Blob(_), _) => counts.blob += 1,
            _ => {}
        }
    }

    /// The registry as the client calls it.
    pub(super) fn host(&self) -> &str {
        let host = self.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        host.unwrap_or("localhost")
    }
}
