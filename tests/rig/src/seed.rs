//! The images that every rig has, laid into its registry's storage before the registry starts.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::folder::Folder;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Stores the pause image, and under another name the image that a test's pod can run.
pub(crate) fn write(folder: &Folder, parts: &Path) -> anyhow::Result<()> {
    let storage = folder.path("var/lib/registry/docker/registry/v2");
    let program = parts.join("bin/pause");
    let program =
        fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    for repository in ["pause", "fine"] {
        image(&storage, repository, "1", &program)?;
    }
    Ok(())
}

/// An image of one program.
fn image(storage: &Path, repository: &str, tag: &str, program: &[u8]) -> anyhow::Result<()> {
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    let path = format!("{repository}-{tag}");
    layer.append_data(&mut header, &path, program)?;
    let layer = layer.into_inner()?;

    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = serde_json::to_vec(&json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Entrypoint": [format!("/{path}")] },
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
    }))?;
    let descriptor = |kind: &str, blob: &[u8]| json!({ "mediaType": kind, "digest": digest(blob), "size": blob.len() });
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, &config),
        "layers": [descriptor(LAYER, &layer)],
    }))?;

    let repository = storage.join("repositories").join(repository);
    for blob in [&layer, &config, &manifest] {
        let digest = digest(blob);
        let hex = hexadecimal(&digest);
        put(&storage.join("blobs/sha256").join(&hex[..2]).join(hex).join("data"), blob)?;
        link(&repository.join("_layers/sha256").join(hex), &digest)?;
    }
    let manifest = digest(&manifest);
    let hex = hexadecimal(&manifest);
    let tag = repository.join("_manifests/tags").join(tag);
    link(&repository.join("_manifests/revisions/sha256").join(hex), &manifest)?;
    link(&tag.join("current"), &manifest)?;
    link(&tag.join("index/sha256").join(hex), &manifest)
}

fn digest(blob: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(blob)))
}

fn hexadecimal(digest: &str) -> &str {
    digest.trim_start_matches("sha256:")
}

fn link(folder: &Path, digest: &str) -> anyhow::Result<()> {
    put(&folder.join("link"), digest.as_bytes())
}

fn put(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, content)?)
}
