//! Which files may be opened: Landlock.

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
    path_beneath_rules,
};

use super::Limit;

/// The rights that are known here; a kernel that has fewer limits fewer.
const KNOWN: ABI = ABI::V6;

/// What every agent reads: what the kernel and the C library tell.
const SYSTEM: [&str; 6] = ["/proc", "/sys", "/etc", "/usr", "/lib", "/lib64"];

/// The agent's own files. Those of the node that are only mounted for the sake of a socket are not
/// among them: beside the runtime's socket lie the environments of all containers.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Files and folders that are read.
    pub read: Vec<PathBuf>,
    /// Folders in which files are made.
    pub write: Vec<PathBuf>,
}

/// Limits this thread, and those that it makes, to the files of the agent, and to the port that it
/// will listen on.
pub(super) fn limit(places: &Places, port: u16) -> Limit {
    match restrict(places, port) {
        Ok(status) => match status.landlock {
            LandlockStatus::Available { effective_abi, .. } => {
                Limit::On((effective_abi as i32).to_string())
            }
            LandlockStatus::NotEnabled => Limit::Absent("not enabled in this kernel".into()),
            _ => Limit::Absent("not in this kernel".into()),
        },
        Err(error) => Limit::Failed(crate::say(&error)),
    }
}

fn restrict(places: &Places, port: u16) -> Result<RestrictionStatus, RulesetError> {
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let write: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
        ReadFile | ReadDir | WriteFile | Truncate | Refer | MakeReg | MakeDir | MakeSock
            | RemoveFile | RemoveDir
    });
    Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(KNOWN))?
        .create()?
        .add_rule(NetPort::new(port, AccessNet::BindTcp))?
        .add_rules(path_beneath_rules(SYSTEM, read))?
        .add_rules(path_beneath_rules(&places.read, read))?
        .add_rules(path_beneath_rules(&places.write, write))?
        .restrict_self()
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn only_the_agents_own_files_can_be_opened() {
        let folder = TempDir::new().unwrap();
        let [secret, config, ledger] = ["secret", "config", "ledger"].map(|name| {
            let folder = folder.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("file"), name).unwrap();
            folder
        });
        let places = Places { read: vec![config.clone()], write: vec![ledger.clone()] };
        // In a thread of its own, since it cannot be taken back.
        thread::scope(|scope| {
            let limited = scope.spawn(|| {
                let Limit::On(_) = limit(&places, 1) else {
                    eprintln!("skipped: this kernel has no Landlock");
                    return;
                };
                fs::read(config.join("file")).unwrap();
                fs::write(config.join("file"), "").unwrap_err();
                fs::write(ledger.join("new"), "").unwrap();
                fs::rename(ledger.join("new"), ledger.join("file")).unwrap();
                fs::read(secret.join("file")).unwrap_err();
                fs::read_dir(&secret).unwrap_err();
            });
            limited.join().unwrap();
        });
    }
}
