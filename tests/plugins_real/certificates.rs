//! An authority of the test's own, and what it signs.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

/// Signs certificates for 127.0.0.1 into a folder.
pub struct Certificates<'a> {
    folder: &'a Path,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Files of a certificate and its key, for a server or a client.
pub struct Issued {
    /// PEM
    pub certificate: PathBuf,
    /// PEM
    pub key: PathBuf,
}

impl<'a> Certificates<'a> {
    pub fn new(folder: &'a Path) -> Self {
        let mut parameters = parameters("authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.join("authority.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    /// The file with the authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// A certificate whose common name is this.
    pub fn issue(&self, name: &str) -> Issued {
        let mut parameters = parameters(name);
        let address = SanType::IpAddress([127, 0, 0, 1].into());
        parameters.subject_alt_names.push(address);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let file = |extension, text: String| {
            let path = self.folder.join(name).with_extension(extension);
            fs::write(&path, text).unwrap();
            path
        };
        Issued {
            certificate: file("crt", certificate.pem()),
            key: file("key", key.serialize_pem()),
        }
    }
}

fn parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}
