//! Small OCI images, built in memory.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::config::{self, ConfigFile, Rootfs};
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciImageManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use sha2::{Digest, Sha256};

/// What a registry stores under a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The media type, as descriptors and manifest answers name it.
    pub media_type: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// The content.
    pub bytes: Bytes,
}

impl Blob {
    /// Content with its digest.
    #[must_use]
    pub fn new(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { media_type: media_type.to_owned(), digest: digest(&bytes), bytes }
    }
}

/// A regular file of an image.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it lies in the image; a leading slash is optional.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
}

/// The platform of an image and what it runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program and its first arguments; a pod's `args` follow them.
    pub entrypoint: Vec<String>,
    /// Environment variables, `NAME=value`.
    pub env: Vec<String>,
    /// The processor architecture in Go's spelling, for example `amd64`.
    pub architecture: String,
    /// The operating system in Go's spelling.
    pub os: String,
}

impl Default for Settings {
    /// Runs nothing, on Linux on this machine's kind of processor.
    fn default() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self {
            entrypoint: Vec::new(),
            env: Vec::new(),
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
        }
    }
}

/// An image of one layer. Clones share their content.
///
/// The same input always gives the same digests, and a runtime does not fetch a layer that it
/// already has: an image that must really be fetched needs a file of its own.
#[derive(Clone, Debug)]
pub struct Image {
    /// The manifest; its digest is the image's.
    pub manifest: Blob,
    /// The configuration.
    pub config: Blob,
    /// The only layer, a compressed tar archive.
    pub layer: Blob,
}

impl Image {
    /// An image of one static program, at `/<name>`. Images of different names share no blob.
    pub fn program(name: &str, binary: &Path) -> anyhow::Result<Self> {
        let bytes =
            fs::read(binary).with_context(|| format!("cannot read {}", binary.display()))?;
        let entry = Entry { path: name.to_owned(), bytes, mode: 0o755 };
        let settings = Settings { entrypoint: vec![format!("/{name}")], ..Settings::default() };
        Self::files([entry], &settings)
    }

    /// An image of these files.
    pub fn files(
        entries: impl IntoIterator<Item = Entry>,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let tar = archive(entries)?;
        let mut layer = GzEncoder::new(Vec::new(), Compression::fast());
        std::io::copy(&mut tar.as_slice(), &mut layer)?;
        let layer = ImageLayer::oci_v1_gzip(layer.finish()?, None);

        let config = ConfigFile {
            architecture: settings.architecture.as_str().into(),
            os: settings.os.as_str().into(),
            config: Some(config::Config {
                entrypoint: Some(settings.entrypoint.clone()),
                env: Some(settings.env.clone()),
                ..config::Config::default()
            }),
            rootfs: Rootfs { r#type: config::ROOTFS_TYPE.to_owned(), diff_ids: vec![digest(&tar)] },
            ..ConfigFile::default()
        };
        let config = Config::oci_v1_from_config_file(config, None)?;
        let layers = [layer];
        let mut manifest = OciImageManifest::build(&layers, &config, None);
        manifest.media_type = Some(OCI_IMAGE_MEDIA_TYPE.to_owned());
        let [layer] = layers;
        Ok(Self {
            manifest: Blob::new(OCI_IMAGE_MEDIA_TYPE, serde_json::to_vec(&manifest)?),
            config: Blob::new(&config.media_type, config.data),
            layer: Blob::new(&layer.media_type, layer.data),
        })
    }
}

/// Pushes an image as `repo:tag` to a registry that speaks plain HTTP.
pub async fn push(registry: SocketAddr, reference: &str, image: &Image) -> anyhow::Result<()> {
    let reference: Reference = format!("{registry}/{reference}").parse()?;
    let client = client();
    client.auth(&reference, &RegistryAuth::Anonymous, RegistryOperation::Push).await?;
    for blob in [&image.layer, &image.config] {
        client.push_blob(&reference, blob.bytes.clone(), &blob.digest).await?;
    }
    let Blob { media_type, bytes, .. } = &image.manifest;
    client.push_manifest_raw(&reference, bytes.clone(), media_type.parse()?).await?;
    Ok(())
}

/// A registry client that speaks plain HTTP.
#[must_use]
pub fn client() -> oci_client::Client {
    // The client panics without a TLS library, even where it never uses one. An error means that
    // the process has chosen one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    oci_client::Client::new(ClientConfig {
        protocol: ClientProtocol::Http,
        // Spares loading the machine's certificates, which takes half a second.
        accept_invalid_certificates: true,
        ..ClientConfig::default()
    })
}

fn archive(entries: impl IntoIterator<Item = Entry>) -> anyhow::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for Entry { path, bytes, mode } in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        let relative = path.trim_start_matches('/');
        tar.append_data(&mut header, relative, bytes.as_slice())
            .with_context(|| format!("cannot put {path} into a layer"))?;
    }
    Ok(tar.into_inner()?)
}

/// The digest of a blob: `sha256:` and its hash.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
