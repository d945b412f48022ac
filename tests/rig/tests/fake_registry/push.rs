//! Pushing to a real registry, the one a rig has.

use std::process::Stdio;

use oci_client::manifest::IMAGE_LAYER_GZIP_MEDIA_TYPE;
use oci_client::secrets::RegistryAuth;
use pullfuse_rig::images;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{sample, soon};

/// Starts the registry on a free port; it ends with the handle.
async fn real_registry(folder: &std::path::Path) -> (Child, String) {
    let config = folder.join("config.yml");
    let storage = folder.join("storage");
    let text = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n",
        storage.display()
    );
    std::fs::write(&config, text).unwrap();
    let program = pullfuse_rig::build().await.unwrap().join("bin/registry");
    let mut child = Command::new(program)
        .arg("serve")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = loop {
        let line = soon(log.next_line()).await.unwrap().expect("the registry ended");
        if let Some((_, rest)) = line.split_once("listening on ") {
            break rest.split(['"', ' ']).next().unwrap().to_owned();
        }
    };
    // It must never meet a closed pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    (child, address)
}

#[tokio::test]
async fn a_pushed_image_can_be_pulled() {
    let folder = tempfile::tempdir().unwrap();
    let (_registry, address) = real_registry(folder.path()).await;
    let image = sample();
    soon(images::push(address.parse().unwrap(), "team/app:1", &image)).await.unwrap();
    let reference = format!("{address}/team/app:1").parse().unwrap();
    let pulled = images::client()
        .pull(&reference, &RegistryAuth::Anonymous, vec![IMAGE_LAYER_GZIP_MEDIA_TYPE])
        .await
        .unwrap();
    assert_eq!(pulled.digest, Some(image.manifest.digest));
    assert_eq!(pulled.layers[0].data, image.layer.bytes);
}
