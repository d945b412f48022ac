//! The documentation is true: links lead somewhere, tables list what the code knows, and examples
//! that can run do what is written under them.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]
#![allow(missing_docs, reason = "nobody links to a test")]

mod examples;
mod links;
mod pages;
mod tables;
