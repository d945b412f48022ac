//! The rig's certificates, keys and tokens; all of them die with the rig.

use std::fs::{self, File};
use std::io::Read;

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::folder::Folder;
use crate::{NODE_ADDRESS, SERVICE_ADDRESS};

/// Tokens of the rig's own users.
pub(crate) struct Tokens {
    /// A cluster administrator.
    pub(crate) admin: String,
    /// The node's kubelet.
    pub(crate) node: String,
}

/// Writes the API server's certificate, its CA and the key for service-account tokens.
pub(crate) fn write_certificates(folder: &Folder) -> anyhow::Result<()> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "pullfuse-rig");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let ca_key = KeyPair::generate()?;
    let ca = params.self_signed(&ca_key)?;
    let issuer = Issuer::new(params, ca_key);

    let key = KeyPair::generate()?;
    let names = [
        "localhost",
        "kubernetes.default.svc",
        "127.0.0.1",
        &NODE_ADDRESS.to_string(),
        &SERVICE_ADDRESS.to_string(),
    ]
    .map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &issuer)?;

    let accounts = KeyPair::generate()?;
    for (name, text) in [
        ("ca.pem", ca.pem()),
        ("api-server.pem", certificate.pem()),
        ("api-server.key", key.serialize_pem()),
        ("accounts.key", accounts.serialize_pem()),
        ("accounts.pub", accounts.public_key_pem()),
    ] {
        fs::write(folder.path("config").join(name), text)?;
    }
    Ok(())
}

/// Makes the tokens and the file from which the API server knows them.
pub(crate) fn write_tokens(folder: &Folder) -> anyhow::Result<Tokens> {
    let tokens = Tokens { admin: random_hex(16)?, node: random_hex(16)? };
    let node = crate::NODE;
    let lines = format!(
        "{},admin,admin,\"system:masters\"\n{},system:node:{node},{node},\"system:nodes\"\n",
        tokens.admin, tokens.node
    );
    fs::write(folder.path("config/tokens.csv"), lines)?;
    Ok(tokens)
}

/// Random bytes in hexadecimal.
pub(crate) fn random_hex(bytes: usize) -> anyhow::Result<String> {
    let mut random = vec![0; bytes];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut random))
        .context("cannot read /dev/urandom")?;
    Ok(hex::encode(random))
}
