//! The settings of every part, written into the rig's folder.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::folder::Folder;
use crate::options::Options;
use crate::{NODE, SERVICE_ADDRESS};

mod containerd;
mod control_plane;
mod kubelet;
pub(crate) mod pki;

pub(crate) use containerd::program as containerd;
pub(crate) use control_plane::{api_server, controller_manager, etcd, registry, scheduler};
pub(crate) use kubelet::program as kubelet;

/// Writes everything; `api_server` is where the host reaches the API server.
pub(crate) fn write(
    folder: &Folder,
    parts: &Path,
    options: &Options,
    api_server: SocketAddr,
) -> anyhow::Result<()> {
    pki::write_certificates(folder)?;
    let tokens = pki::write_tokens(folder)?;
    let inside = format!("https://{SERVICE_ADDRESS}:{}", crate::port::API_SERVER);
    for (name, server, user, token) in [
        ("admin", format!("https://{api_server}"), "admin", &tokens.admin),
        ("inner", inside.clone(), "admin", &tokens.admin),
        ("node", inside, NODE, &tokens.node),
    ] {
        let path = folder.path(&format!("config/{name}.kubeconfig"));
        write_json(&path, &kubeconfig(folder, &server, user, token)?)?;
    }
    control_plane::write(folder)?;
    containerd::write(folder, parts, options)?;
    kubelet::write(folder, options)
}

/// A kubeconfig that carries its CA, so that it can be copied anywhere.
fn kubeconfig(folder: &Folder, server: &str, user: &str, token: &str) -> anyhow::Result<Value> {
    use base64::Engine;
    let ca = fs::read(folder.path("config/ca.pem"))?;
    let ca = base64::engine::general_purpose::STANDARD.encode(ca);
    let cluster = json!({ "server": server, "certificate-authority-data": ca });
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "rig", "cluster": cluster }],
        "users": [{ "name": user, "user": { "token": token } }],
        "contexts": [{ "name": "rig", "context": { "cluster": "rig", "user": user } }],
        "current-context": "rig",
    }))
}

fn write_json(path: &Path, value: &Value) -> anyhow::Result<()> {
    Ok(fs::write(path, serde_json::to_vec_pretty(value)?)?)
}

/// Lays `over` on `base`: objects are merged key by key, anything else replaces what was there.
fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (_, Value::Null) => {}
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::merge;
    use serde_json::json;

    #[test]
    fn merging_replaces_only_what_is_named() {
        let mut base = json!({ "a": 1, "b": { "c": [1, 2], "d": 3 } });
        merge(&mut base, &json!({ "b": { "c": [4] }, "e": 5 }));
        merge(&mut base, &json!(null));
        assert_eq!(base, json!({ "a": 1, "b": { "c": [4], "d": 3 }, "e": 5 }));
    }
}
