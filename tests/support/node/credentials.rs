//! Certificates by the test cluster's CA, with which the processes of a node log in.

use super::super::Cluster;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use serde_json::json;
use std::fs;
use std::path::Path;

/// Writes a kubeconfig file for a user in a group, with all that it needs in it.
///
/// # Errors
/// A text for a person.
pub fn write_kubeconfig(
    cluster: &Cluster,
    user: &str,
    group: Option<&str>,
    path: &Path,
) -> Result<(), String> {
    let server = cluster.advertised_url().ok_or("the cluster must have Options::advertise for nodes")?;
    let read = |name: &str| {
        let path = cluster.dir().join(name);
        fs::read_to_string(&path).map_err(|e| format!("failed to read {}: {e}", path.display()))
    };
    let (certificate, key) = certificate(&read("ca.pem")?, &read("ca-key.pem")?, user, group)
        .map_err(|e| format!("failed to make a certificate for {user}: {e}"))?;
    let beside = |extension: &str, text: &str| {
        let path = path.with_extension(extension);
        fs::write(&path, text).map_err(|e| format!("failed to write {}: {e}", path.display()))?;
        Ok::<_, String>(path.file_name().unwrap_or_default().to_string_lossy().into_owned())
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {
            "server": server, "certificate-authority": beside("ca", cluster.ca_pem())?,
        }}],
        "users": [{"name": user, "user": {
            "client-certificate": beside("crt", &certificate)?, "client-key": beside("key", &key)?,
        }}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
        "current-context": "test",
    });
    fs::write(path, config.to_string()).map_err(|e| format!("failed to write {}: {e}", path.display()))
}

fn certificate(
    ca: &str,
    ca_key: &str,
    user: &str,
    group: Option<&str>,
) -> Result<(String, String), rcgen::Error> {
    let issuer = Issuer::from_ca_cert_pem(ca, KeyPair::from_pem(ca_key)?)?;
    let mut wanted = CertificateParams::new(Vec::new())?;
    wanted.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        wanted.distinguished_name.push(DnType::OrganizationName, group);
    }
    wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    Ok((wanted.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
}
