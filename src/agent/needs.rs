//! What an agent goes on to need of its process: its files, its port, the sockets.

use std::path::{Path, PathBuf};

use kube::config::Kubeconfig;

use crate::{
    config::Config,
    confine::{Needs, Places},
};

/// What an agent with this configuration goes on to need. Makes the folders that it writes to: what
/// does not exist cannot be allowed.
pub(super) fn of(config: &Config, file: &Path) -> Needs {
    let mut read = vec![file.to_owned()];
    let kubeconfig = Kubeconfig::read().unwrap_or_default();
    let users = || kubeconfig.auth_infos.iter().filter_map(|user| user.auth_info.as_ref());
    for user in users() {
        let files = [&user.token_file, &user.client_certificate, &user.client_key];
        read.extend(files.into_iter().flatten().map(PathBuf::from));
    }
    for cluster in kubeconfig.clusters.iter().filter_map(|cluster| cluster.cluster.as_ref()) {
        read.extend(cluster.certificate_authority.as_ref().map(PathBuf::from));
    }
    read.extend(std::env::split_paths(&std::env::var_os("KUBECONFIG").unwrap_or_default()));
    read.extend(std::env::home_dir().map(|home| home.join(".kube/config")));
    read.push(SERVICE_ACCOUNT.into());

    let write = vec![config.ledger.dir.clone(), folder(&config.serve.socket)];
    for folder in &write {
        // If one cannot be made, its user will say so.
        let _ = std::fs::create_dir_all(folder);
    }
    Needs {
        // Files are replaced, so it is their folders that count.
        places: Places { read: read.iter().map(|file| folder(file)).collect(), write },
        port: config.serve.address.port(),
        programs: users().any(|user| user.exec.is_some() || user.auth_provider.is_some()),
        unix_sockets: config.act.check_image,
    }
}

/// Where a pod finds its token.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

fn folder(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn an_agent_reads_and_writes_in_the_folders_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let text = format!(
            "[ledger]\ndir = \"{}\"\n[serve]\nsocket = \"{}\"\n\
            address = \"127.0.0.1:7\"\n[act]\ncheck_image = false\n",
            at("ledger").display(),
            at("run/agent.sock").display()
        );
        let config = config::parse(&text).unwrap();
        let needs = of(&config, &at("config/config.toml"));
        assert_eq!(needs.places.write, [at("ledger"), at("run")]);
        assert!(at("ledger").is_dir() && at("run").is_dir());
        assert!(needs.places.read.contains(&at("config")));
        assert!(
            needs.places.read.contains(&PathBuf::from(SERVICE_ACCOUNT).parent().unwrap().into())
        );
        assert_eq!((needs.port, needs.programs, needs.unix_sockets), (7, false, false));
    }
}
