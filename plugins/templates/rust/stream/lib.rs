//! Sends a text and waits for another one.

use catamaran_check::{Check, Failure, Request, Verdict, connection, healthy, unhealthy};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    send: String,
    expect: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            send: "PING\r\n".into(),
            expect: "PONG".into(),
        }
    }
}

impl Check for Settings {
    fn probe(&self, _: &Request) -> Result<Verdict, Failure> {
        let stream = connection::connect()?;
        stream.write(self.send.as_bytes())?;
        let mut came = Vec::new();
        while !String::from_utf8_lossy(&came).contains(&self.expect) {
            let bytes = stream.read(4096)?;
            if bytes.is_empty() || came.len() > 65_536 {
                return Ok(unhealthy(format!("closed without {:?}", self.expect)));
            }
            came.extend(bytes);
        }
        Ok(healthy(format!("{} bytes", came.len())))
    }
}

catamaran_check::export!(Settings);
