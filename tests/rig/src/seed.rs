//! The images that every rig has, laid into its registry's storage before the registry starts.

use std::fs;
use std::path::Path;

use crate::folder::Folder;
use crate::images::Image;

/// Stores the pause image, and another one that a test's pod can run until it is told to end.
pub(crate) fn write(folder: &Folder, parts: &Path) -> anyhow::Result<()> {
    let storage = folder.path("var/lib/registry/docker/registry/v2");
    for name in ["pause", "fine"] {
        let program = parts.join("bin").join(name);
        store(&storage, name, "1", &Image::program(name, &program)?)?;
    }
    Ok(())
}

/// Files an image as the registry itself does: every blob once, and links from the repository.
fn store(storage: &Path, repository: &str, tag: &str, image: &Image) -> anyhow::Result<()> {
    let repository = storage.join("repositories").join(repository);
    for blob in [&image.layer, &image.config, &image.manifest] {
        let hash = hash(&blob.digest);
        put(&storage.join("blobs/sha256").join(&hash[..2]).join(hash).join("data"), &blob.bytes)?;
        put(&repository.join("_layers/sha256").join(hash).join("link"), blob.digest.as_bytes())?;
    }
    let digest = &image.manifest.digest;
    let manifests = repository.join("_manifests");
    let tag = manifests.join("tags").join(tag);
    for folder in [manifests.join("revisions/sha256"), tag.join("index/sha256")] {
        put(&folder.join(hash(digest)).join("link"), digest.as_bytes())?;
    }
    put(&tag.join("current/link"), digest.as_bytes())
}

fn hash(digest: &str) -> &str {
    digest.trim_start_matches("sha256:")
}

fn put(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, content)?)
}
