//! Makes a fuzz target of each reader of `tests/hostile`.
//!
//! In: bytes that libFuzzer makes up. Out: a crash where something does not hold. Touches the corpus,
//! and what the reader touches.

#[path = "../hostile/mod.rs"]
pub mod hostile;

use std::{env, fs, path::PathBuf};

use hostile::Reader;

/// Makes a program of a reader. Each needs a file in `fuzz_targets` and a `[[bin]]`.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        libfuzzer_sys::fuzz_target!(
            init: $crate::prepare(stringify!($name)),
            |bytes: &[u8]| $crate::hostile::$name::look(bytes)
        );
    };
}

/// Writes the seeds where libFuzzer looks for inputs: into the folder that it is given first. A file, a
/// crash that is to be seen again, needs none.
pub fn prepare(name: &str) {
    // What pullfuse catches on purpose is no crash.
    pullfuse::guarded::abort_on_panic();
    let reader: &Reader = hostile::reader(name);
    let first = env::args().skip(1).find(|arg| !arg.starts_with('-')).map(PathBuf::from);
    let Some(corpus) = first.filter(|path| path.is_dir()) else { return };
    for (number, seed) in (reader.seeds)().iter().enumerate() {
        fs::write(corpus.join(format!("seed-{number}")), seed).unwrap();
    }
}
