//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the client's side, without channel binding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// More rounds than servers ask for in earnest would only keep us busy.
const MOST_ROUNDS: u32 = 1_000_000;

/// No channel binding, no other name to act for.
const HEADER: &str = "n,,";

/// An exchange that has begun.
pub struct Scram {
    password: String,
    nonce: String,
    /// What is signed, as far as it is known.
    spoken: String,
    /// The signature that the server must give.
    expected: Option<String>,
}

impl Scram {
    /// With a nonce that is new each time and has neither `,` nor control
    /// characters.
    pub fn new(password: &str, nonce: &str) -> Self {
        Self {
            password: password.into(),
            nonce: nonce.into(),
            // The user's name is that of the startup message.
            spoken: format!("n=,r={nonce}"),
            expected: None,
        }
    }

    /// The first message.
    pub fn first(&self) -> String {
        format!("{HEADER}{}", self.spoken)
    }

    /// The final message, in answer to the server's first.
    ///
    /// # Errors
    ///
    /// What is wrong with the server's message.
    pub fn last(&mut self, challenge: &str) -> Result<String, String> {
        let mut parts = challenge.split(',');
        let mut part = |prefix| parts.next().and_then(|part| part.strip_prefix(prefix));
        let (Some(nonce), Some(salt), Some(rounds)) = (part("r="), part("s="), part("i=")) else {
            return Err("the server's SCRAM challenge has not what it must have".into());
        };
        if !nonce.starts_with(&self.nonce) || nonce == self.nonce {
            return Err("the server's SCRAM challenge is not for us".into());
        }
        let salt = STANDARD
            .decode(salt)
            .map_err(|_| "the server's SCRAM salt is no base64")?;
        let rounds = rounds
            .parse()
            .ok()
            .filter(|rounds| (1..=MOST_ROUNDS).contains(rounds));
        let rounds = rounds.ok_or("the server's SCRAM iteration count is out of range")?;

        let salted = salted(self.password.as_bytes(), &salt, rounds);
        let client_key = hmac(&salted, b"Client Key");
        let bare = format!("c={},r={nonce}", STANDARD.encode(HEADER));
        let signed = format!("{},{challenge},{bare}", self.spoken);
        let signature = hmac(&Sha256::digest(client_key), signed.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(signature)
            .map(|(key, sign)| key ^ sign)
            .collect();
        let server_key = hmac(&salted, b"Server Key");
        self.expected = Some(STANDARD.encode(hmac(&server_key, signed.as_bytes())));
        Ok(format!("{bare},p={}", STANDARD.encode(proof)))
    }

    /// Whether the server's final message shows that it knows the password too.
    pub fn is_server(&self, outcome: &str) -> bool {
        let signature = outcome.split(',').next().and_then(|part| part.strip_prefix("v="));
        signature.is_some() && signature == self.expected.as_deref()
    }
}

/// PBKDF2 with one block (RFC 5802 §2.2, `Hi`).
fn salted(password: &[u8], salt: &[u8], rounds: u32) -> [u8; 32] {
    let mut round = hmac(password, &[salt, &1u32.to_be_bytes()].concat());
    let mut sum = round;
    for _ in 1..rounds {
        round = hmac(password, &round);
        sum.iter_mut().zip(round).for_each(|(sum, byte)| *sum ^= byte);
    }
    sum
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 §3, without the user's name, which PostgreSQL takes from elsewhere.
    #[test]
    fn exchange_of_the_rfc_gives_its_proof() {
        let mut scram = Scram::new("pencil", "rOprNGfwEbeRWgbNEkqO");
        scram.spoken = format!("n=user,r={}", scram.nonce);
        let challenge =
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(
            scram.last(challenge).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(scram.is_server("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(!scram.is_server("v=AAAA") && !scram.is_server("e=other-error"));
    }

    #[test]
    fn challenge_that_is_not_ours_is_refused() {
        for challenge in [
            "",
            "r=abc,s=W22Z,i=4096",
            "r=xyzabc,s=W22Z,i=4096",
            "r=abcd,s=!,i=4096",
            "r=abcd,s=W22Z,i=0",
            "r=abcd,s=W22Z,i=99999999",
            "s=W22Z,r=abcd,i=1",
        ] {
            assert!(Scram::new("x", "abc").last(challenge).is_err(), "{challenge}");
        }
    }
}
