//! What a repository can answer.

use http::StatusCode;

use crate::images::Image;

/// How the registry answers for one repository.
///
/// A repository that has an image serves it under every tag. Answers with an image fail, if they
/// fail, at the layer: manifest and configuration are proper.
#[derive(Clone, Debug, Default)]
pub enum Answer {
    /// The image, as a good registry serves it.
    Image(Image),
    /// 404: no such tag, no such repository.
    #[default]
    NotFound,
    /// 401 and a request for a password, whatever password comes.
    Unauthorized,
    /// 401 and a request for a password; with the right one, another answer.
    Basic {
        /// The right user and password.
        login: Login,
        /// The answer behind it.
        inner: Box<Answer>,
    },
    /// 401 and the address of a token server; with a good token, another answer.
    BearerToken {
        /// Whom the token server trusts.
        tokens: Tokens,
        /// The answer behind it.
        inner: Box<Answer>,
    },
    /// 403.
    Forbidden,
    /// 429: the pull limit is reached.
    TooManyRequests {
        /// The `Retry-After` header, in seconds.
        retry_after: Option<u32>,
    },
    /// A status of 500 or above, as from a broken registry or the proxy before it.
    ServerError(StatusCode),
    /// Nothing, until the repository is given another answer.
    Hang,
    /// A layer that comes slowly. The rate can be changed while it comes, and any other answer
    /// releases the rest of it at once.
    SlowBlob {
        /// The image that comes slowly.
        image: Image,
        /// The rate; 0 stalls after the headers.
        bytes_per_second: u64,
    },
    /// A connection that ends in the middle of the layer.
    TruncatedBlob(Image),
    /// A layer that does not match its digest.
    CorruptBlob(Image),
    /// Another answer than the layer, in words of one's own.
    RefusedBlob {
        /// The image whose layer is refused.
        image: Image,
        /// The status, such as 403, or 307 with a location.
        status: StatusCode,
        /// The `Location` header.
        location: Option<String>,
        /// The body.
        body: String,
    },
    /// An index that offers the image for another architecture only, [`WRONG_ARCHITECTURE`].
    WrongPlatform(Image),
    /// A manifest of Docker's schema 1, which runtimes no longer accept.
    Schema1,
    /// A web page with status 200, as from a captive portal.
    TextHtml,
    /// A connection that closes without an answer.
    Reset,
}

/// The architecture of [`Answer::WrongPlatform`].
pub const WRONG_ARCHITECTURE: &str = "s390x";

impl Answer {
    /// Asks for a password before it gives `inner`.
    #[must_use]
    pub fn basic(user: &str, password: &str, inner: Self) -> Self {
        Self::Basic { login: Login::new(user, password), inner: Box::new(inner) }
    }

    /// Asks for a token before it gives `inner`.
    #[must_use]
    pub fn bearer(tokens: Tokens, inner: Self) -> Self {
        Self::BearerToken { tokens, inner: Box::new(inner) }
    }

    /// What is answered once the credentials are right.
    pub(super) fn innermost(&self) -> &Self {
        match self {
            Self::Basic { inner, .. } | Self::BearerToken { inner, .. } => inner.innermost(),
            other => other,
        }
    }
}

/// A user and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl Login {
    /// A user and a password.
    #[must_use]
    pub fn new(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned() }
    }
}

/// Whom the token server trusts.
#[derive(Clone, Debug)]
pub enum Tokens {
    /// Whoever asks gets a good token.
    Anyone,
    /// The right password gets a good token and a wrong one 401. Whoever gives none gets a token
    /// that does not open the repository.
    Login(Login),
    /// Everyone gets a token that does not open the repository: how large public registries answer
    /// both for a private repository and for one that does not exist.
    Insufficient,
    /// The token server answers with this status.
    Refused(StatusCode),
}
