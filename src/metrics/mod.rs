//! What pullfuse measures of itself: one table of all families, and what bounds their series.
//!
//! In: what the parts count. Out: series of a registry that `serve` encodes, and `docs/metrics.md`,
//! made from the table. Touches nothing but, in [`measured`], the time that calls to the API server
//! take.

mod calls;
mod names;
mod series;
pub mod table;

pub use self::{
    calls::{Contact, measured},
    names::{Names, OTHER},
    series::{Kind, PREFIX, Series, Spec, when_asked},
};

#[cfg(test)]
mod reference;
