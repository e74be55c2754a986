//! The lab's certificate authority and the certificates of its stand-ins, with
//! the names kubeadm gives an apiserver.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

/// Certificates are good from an hour ago, for clocks that differ, …
const BEFORE: Duration = Duration::from_secs(3600);

/// … for a year, as kubeadm's.
const VALID: Duration = Duration::from_secs(365 * 24 * 3600);

/// The service address of a kubeadm cluster, which every apiserver's certificate names.
const SERVICE_ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 96, 0, 1));

/// Signs certificates; its key never leaves the process.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, both PEM.
pub struct Identity {
    /// The certificate, without the authority's.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new() -> Result<Self, rcgen::Error> {
        let mut parameters = parameters("kubernetes")?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Ok(Self(CertifiedIssuer::self_signed(
            parameters,
            KeyPair::generate()?,
        )?))
    }

    /// Its certificate, PEM: what clients trust.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for the apiserver `name` that is reached under `addresses`.
    ///
    /// # Errors
    /// When `name` is no host name.
    pub fn apiserver(&self, name: &str, addresses: &[IpAddr]) -> Result<Identity, rcgen::Error> {
        let mut parameters = parameters("kube-apiserver")?;
        for name in [
            name,
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ] {
            parameters
                .subject_alt_names
                .push(SanType::DnsName(name.try_into()?));
        }
        let addresses = addresses.iter().copied().chain([SERVICE_ADDRESS]);
        parameters
            .subject_alt_names
            .extend(addresses.map(SanType::IpAddress));
        parameters.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.0)?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn parameters(common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let start = date_time_ymd(1970, 1, 1) + now.saturating_sub(BEFORE);
    parameters.not_before = start;
    parameters.not_after = start + VALID;
    Ok(parameters)
}
