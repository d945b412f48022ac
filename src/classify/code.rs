use strum::{EnumString, FromRepr, IntoStaticStr};

/// A gRPC status. Only a hint: containerd says `NotFound` of a login page, CRI-O says `Unknown` of
/// nearly everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, FromRepr, IntoStaticStr)]
#[strum(ascii_case_insensitive)]
#[repr(u32)]
#[allow(missing_docs, reason = "the names are those of gRPC")]
pub enum Code {
    Ok = 0,
    #[strum(serialize = "Canceled", serialize = "Cancelled")]
    Canceled,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

impl Code {
    /// What a user needs who wrote something else.
    pub const EXPECTED: &str =
        "a gRPC status: a name such as NotFound or DeadlineExceeded, or a number from 0 to 16";

    /// The status with this number; `None` for one that gRPC does not have.
    pub fn of(number: u32) -> Option<Self> {
        Self::from_repr(number)
    }

    /// The name, as gRPC spells it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Reads a name (`NotFound`, `NOT_FOUND`) or a number (`5`).
    pub fn read(text: &str) -> Option<Self> {
        match text.parse() {
            Ok(number) => Self::of(number),
            Err(_) => text.replace('_', "").parse().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        for text in ["NotFound", "NOT_FOUND", "notfound", "5"] {
            assert_eq!(Code::read(text), Some(Code::NotFound), "{text}");
        }
        assert_eq!(Code::read("Cancelled"), Some(Code::Canceled));
        assert_eq!(Code::read("CANCELED"), Some(Code::Canceled));
        assert_eq!(Code::of(16), Some(Code::Unauthenticated));
        for text in ["", "17", "-1", "Missing"] {
            assert_eq!(Code::read(text), None, "{text}");
        }
    }
}
