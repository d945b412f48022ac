//! Tells the kernel side which sockets to hear.
//!
//! A socket is recognised by its file, device and inode, or by the path that the runtime bound. Only
//! the file cannot be forged: any container can bind the runtime's path in its own file system and
//! play both ends. So the file is the default, and it is looked at again whenever it is replaced.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, MapError},
};

use super::load::map;

/// Longest path of a unix socket, its final 0 included.
const UNIX_PATH: usize = 108;

/// By what a connection's server end is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Match {
    /// The socket's file is the endpoint's file now.
    #[default]
    Inode,
    /// The socket was bound at one of the endpoint's spellings, in whatever file system.
    Path,
    /// Both.
    Both,
    /// One of the two.
    Either,
}

impl Match {
    /// As `enum` in `bpf/sockets.h`.
    fn number(self) -> u64 {
        match self {
            Self::Inode => 1,
            Self::Path => 2,
            Self::Both => 3,
            Self::Either => 4,
        }
    }
}

/// Device in the kernel's own spelling, and inode.
type File = [u64; 2];

/// The kernel's list of wanted sockets.
pub(super) struct Filter {
    by: Match,
    head: Array<MapData, [u64; 4]>,
    /// The lengths of the wanted paths, as bits.
    lengths: [u64; 2],
    inodes: HashMap<MapData, File, u8>,
    paths: HashMap<MapData, [u8; UNIX_PATH], u8>,
    /// The last file seen of each endpoint.
    files: BTreeMap<PathBuf, File>,
}

impl Filter {
    pub(super) fn new(ebpf: &mut Ebpf, by: Match) -> Result<Self, MapError> {
        Ok(Self {
            by,
            head: map(ebpf, "FILTER")?,
            lengths: [0; 2],
            inodes: map(ebpf, "INODES")?,
            paths: map(ebpf, "PATHS")?,
            files: BTreeMap::new(),
        })
    }

    /// Hears these endpoints, in every usual spelling, and no others.
    pub(super) fn set(&mut self, endpoints: &[PathBuf]) -> Result<(), MapError> {
        let old: Vec<_> = self.paths.keys().collect::<Result<_, _>>()?;
        for key in old {
            self.paths.remove(&key)?;
        }
        let mut lengths = [0_u64; 2];
        for path in endpoints.iter().flat_map(|path| spellings(path)) {
            let bytes = path.as_os_str().as_bytes();
            let mut key = [0; UNIX_PATH];
            // A longer path cannot be bound either.
            let Some(place) = key.get_mut(..bytes.len()).filter(|key| key.len() < UNIX_PATH) else {
                continue;
            };
            place.copy_from_slice(bytes);
            self.paths.insert(key, 0, 0)?;
            lengths[bytes.len() / 64] |= 1 << (bytes.len() % 64);
        }
        self.lengths = lengths;
        for file in std::mem::take(&mut self.files).into_values() {
            // Two spellings of one file have one entry.
            let _ = self.inodes.remove(&file);
        }
        self.refresh(endpoints)?;
        self.set_head()
    }

    /// Looks which files the endpoints are now; whether one is new.
    ///
    /// While an endpoint's file is gone, the last one is still heard: connections outlive it.
    pub(super) fn refresh(&mut self, endpoints: &[PathBuf]) -> Result<bool, MapError> {
        let mut changed = false;
        for endpoint in endpoints {
            let Ok(file) = file(endpoint) else { continue };
            let old = self.files.insert(endpoint.clone(), file);
            if old == Some(file) {
                continue;
            }
            changed = true;
            self.inodes.insert(file, 0, 0)?;
            if let Some(old) = old
                && !self.files.values().any(|file| *file == old)
            {
                self.inodes.remove(&old)?;
            }
        }
        if changed {
            self.set_head()?;
        }
        Ok(changed)
    }

    /// Writes what the kernel side looks at first.
    pub(super) fn set_head(&mut self) -> Result<(), MapError> {
        let inodes = self.files.values().fold(0, |bits, [_, inode]| bits | 1 << (inode & 63));
        let [shorter, longer] = self.lengths;
        self.head.set(0, [self.by.number(), shorter, longer, inodes], 0)
    }
}

/// The path as given and as it may have been bound: /var/run is a link to /run.
fn spellings(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![path.to_owned()];
    if let Ok(rest) = path.strip_prefix("/var/run") {
        all.push(Path::new("/run").join(rest));
    } else if let Ok(rest) = path.strip_prefix("/run") {
        all.push(Path::new("/var/run").join(rest));
    }
    if let Ok(real) = path.canonicalize()
        && !all.contains(&real)
    {
        all.push(real);
    }
    all
}

fn file(path: &Path) -> io::Result<File> {
    let found = fs::metadata(path)?;
    if !found.file_type().is_socket() {
        return Err(io::Error::other("not a socket"));
    }
    let device = found.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    Ok([u64::from(major) << 20 | u64::from(minor), found.ino()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_looked_for_as_either_side_spells_it() {
        for (given, other) in
            [("/run/x/y.sock", "/var/run/x/y.sock"), ("/var/run/x/y.sock", "/run/x/y.sock")]
        {
            assert_eq!(spellings(Path::new(given)), [PathBuf::from(given), other.into()]);
        }
        assert_eq!(spellings(Path::new("/runner/y.sock")), [PathBuf::from("/runner/y.sock")]);
    }
}
