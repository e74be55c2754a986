//! Check plugin: the endpoint's TLS handshake succeeds and its certificate
//! lasts. The host does the handshake, by the document's `tls` table; this
//! plugin only judges what it settled.

use catamaran_check::connection::{self, TlsSession};
use catamaran_check::{Check, Failure, Request, Verdict, export};
use serde::Deserialize;

/// The check's `config`.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct TlsHandshake {
    /// Days before expiry from which the endpoint is degraded.
    warn_days: u32,
    /// Days before expiry from which it is unhealthy; 0 is at expiry.
    critical_days: u32,
}

export!(TlsHandshake);

impl Default for TlsHandshake {
    fn default() -> Self {
        Self {
            warn_days: 14,
            critical_days: 0,
        }
    }
}

impl Check for TlsHandshake {
    fn validate(&self) -> Result<(), String> {
        // `warn-days = 0` switches the warning off.
        if self.warn_days != 0 && self.critical_days > self.warn_days {
            return Err(format!(
                "`critical-days` ({}) is over `warn-days` ({}), which would then never warn",
                self.critical_days, self.warn_days
            ));
        }
        Ok(())
    }

    fn probe(&self, request: &Request) -> Result<Verdict, Failure> {
        let session = match request.endpoint.tls {
            true => connection::connect()?.tls(),
            false => None,
        };
        session.map(|session| judge(self, &session)).ok_or_else(|| {
            let fault = "the check has no `tls` table; add one, for example `tls = { verify = false }`";
            Failure::Fault(fault.into())
        })
    }
}

fn judge(config: &TlsHandshake, session: &TlsSession) -> Verdict {
    const DAY: i64 = 24 * 60 * 60;
    let left = session.expires_in_seconds;
    let subject = match session.subject.as_str() {
        "" => "certificate".into(),
        subject => format!("certificate {subject}"),
    };
    let below = |days: u32| left < i64::from(days) * DAY;
    if left <= 0 {
        return Verdict::Unhealthy(format!("{subject} expired {} ago", span(left.saturating_neg())));
    }
    let unverified = if session.verified { "" } else { ", not verified" };
    let text = format!(
        "{}, {subject} expires in {}{unverified}",
        session.version,
        span(left)
    );
    if below(config.critical_days) {
        Verdict::Unhealthy(text)
    } else if below(config.warn_days) {
        Verdict::Degraded(text)
    } else {
        Verdict::Healthy(text)
    }
}

/// Seconds as whole days, or as hours where days would say 0.
fn span(seconds: i64) -> String {
    let (amount, unit) = match seconds {
        ..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{amount} {unit}{}", if amount == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use catamaran_check::read;

    use super::*;

    fn session(expires_in_seconds: i64, verified: bool) -> TlsSession {
        TlsSession {
            version: "TLSv1.3".into(),
            alpn: None,
            subject: "CN=kube-apiserver".into(),
            expires_in_seconds,
            certificate: Vec::new(),
            verified,
        }
    }

    #[test]
    fn lasting_certificate_is_healthy() {
        let verdict = judge(&TlsHandshake::default(), &session(300 * 86_400, true));
        let Verdict::Healthy(text) = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!(text, "TLSv1.3, certificate CN=kube-apiserver expires in 300 days");
    }

    #[test]
    fn certificate_near_its_end_is_degraded() {
        let verdict = judge(&TlsHandshake::default(), &session(14 * 86_400 - 1, false));
        let Verdict::Degraded(text) = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!(
            text,
            "TLSv1.3, certificate CN=kube-apiserver expires in 13 days, not verified"
        );
        assert!(matches!(
            judge(&TlsHandshake::default(), &session(14 * 86_400, true)),
            Verdict::Healthy(_)
        ));
    }

    #[test]
    fn expired_certificate_is_unhealthy_even_unverified() {
        let verdict = judge(&TlsHandshake::default(), &session(-3 * 86_400, false));
        let Verdict::Unhealthy(text) = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!(text, "certificate CN=kube-apiserver expired 3 days ago");
        assert!(matches!(
            judge(&TlsHandshake::default(), &session(i64::MIN, false)),
            Verdict::Unhealthy(_)
        ));
    }

    #[test]
    fn critical_days_end_it_earlier() {
        let config = read::<TlsHandshake>(r#"{"critical-days": 7}"#).unwrap();
        assert!(matches!(
            judge(&config, &session(6 * 86_400, true)),
            Verdict::Unhealthy(_)
        ));
        assert!(matches!(
            judge(&config, &session(8 * 86_400, true)),
            Verdict::Degraded(_)
        ));
    }

    #[test]
    fn spans_read_well() {
        assert_eq!(span(86_400), "1 day");
        assert_eq!(span(7_300), "2 hours");
        assert_eq!(span(60), "1 minute");
    }

    #[test]
    fn config_refuses_what_cannot_be_meant() {
        assert!(read::<TlsHandshake>(r#"{"warn-days": 3, "critical-days": 7}"#).is_err());
        assert!(read::<TlsHandshake>(r#"{"warn-days": 0, "critical-days": 7}"#).is_ok());
        assert_eq!(
            read::<TlsHandshake>(r#"{"warn_days": 3}"#).unwrap_err(),
            "config: unknown key `warn_days`, expected `warn-days` or `critical-days`"
        );
    }

    #[test]
    fn schema_is_that_of_the_settings() {
        catamaran_check::schema::compare::<TlsHandshake>(env!("CARGO_MANIFEST_DIR"));
    }
}
