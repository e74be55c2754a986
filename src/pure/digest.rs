//! Digests of content, as images write them: `sha256:…`, `sha512:…`.

use oci_spec::image::{Digest, DigestAlgorithm, Sha256Digest};
use sha2::{Digest as _, Sha256, Sha512};

/// Makes a digest of what it is shown, piece by piece.
pub enum Hasher {
    /// Of the algorithm that everybody has.
    Sha256(Sha256),
    /// Of the other one that the OCI image specification registers.
    Sha512(Sha512),
}

impl Hasher {
    /// One whose digest can be compared with `digest`.
    ///
    /// # Errors
    /// When its algorithm is not known.
    pub fn like(digest: &Digest) -> Result<Self, String> {
        match digest.algorithm() {
            DigestAlgorithm::Sha256 => Ok(Self::sha256()),
            DigestAlgorithm::Sha512 => Ok(Self::Sha512(Sha512::new())),
            other => Err(format!(
                "digests of {other} are not known here, those of sha256 and sha512 are"
            )),
        }
    }

    /// One of SHA-256.
    pub fn sha256() -> Self {
        Self::Sha256(Sha256::new())
    }

    /// The next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest, written out.
    pub fn finish(self) -> String {
        let (algorithm, bytes) = match self {
            Self::Sha256(hash) => ("sha256", hash.finalize().to_vec()),
            Self::Sha512(hash) => ("sha512", hash.finalize().to_vec()),
        };
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{algorithm}:{hex}")
    }
}

/// The SHA-256 of bytes.
pub fn sha256(bytes: &[u8]) -> Digest {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    hex.parse::<Sha256Digest>().expect("64 hexadecimal digits").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    // FIPS 180-4's own example, "abc".
    const SHA256: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const SHA512: &str = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                          2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

    #[test]
    fn digest_of_pieces_is_that_of_the_whole() {
        for digest in [SHA256, SHA512] {
            let mut hasher = Hasher::like(&digest.parse().unwrap()).unwrap();
            hasher.update(b"a");
            hasher.update(b"bc");
            assert_eq!(hasher.finish(), digest);
        }
        assert_eq!(sha256(b"abc").as_ref(), SHA256);
    }

    #[test]
    fn other_algorithm_is_refused_with_its_name() {
        let why = Hasher::like(&"md5:abc".parse().unwrap()).err().unwrap();
        assert!(why.contains("md5"), "{why}");
    }
}
