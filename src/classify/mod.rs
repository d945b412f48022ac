//! From an error's text to its cause, and from the cause to what it means for the pod. Pure.

mod class;

pub use class::{Class, Disposition};
