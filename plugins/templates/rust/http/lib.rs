//! Asks for a path and looks at status and text of the answer.

use catamaran_check::{Check, Failure, Request, Verdict, healthy, http, unhealthy};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    path: String,
    status: u16,
    contains: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path: "/".into(),
            status: 200,
            contains: String::new(),
        }
    }
}

impl Check for Settings {
    fn probe(&self, _: &Request) -> Result<Verdict, Failure> {
        let answer = http::get(&self.path)?;
        let path = &self.path;
        Ok(if answer.status != self.status {
            unhealthy(format!("{path} answered {}", answer.status))
        } else if !answer.text().contains(&self.contains) {
            unhealthy(format!("{path} does not contain {:?}", self.contains))
        } else {
            healthy(format!("{}, {} bytes", answer.status, answer.body.len()))
        })
    }
}

catamaran_check::export!(Settings);
