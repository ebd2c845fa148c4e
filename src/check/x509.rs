//! What a certificate says of itself, from its DER. Pure. Whether it is to be trusted is the TLS client's word, on the host
//! that looked.

use std::net::IpAddr;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// From this second since 1970 on.
    pub not_before: i64,
    /// Until this one.
    pub not_after: i64,
    /// Names and addresses that it is for.
    pub names: Vec<String>,
}

impl Facts {
    /// Signed by itself, as roots are.
    pub fn is_own_issuer(&self) -> bool {
        self.subject == self.issuer
    }
}

/// Reads one; `None`: that is no certificate.
pub fn read(der: &[u8]) -> Option<Facts> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.iter().flat_map(|extension| &extension.value.general_names);
    Some(Facts {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
        names: names.filter_map(name).collect(),
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|v4| IpAddr::from(v4).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|v6| IpAddr::from(v6).to_string()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use proptest::prelude::*;

    /// Made by OpenSSL for this test: chat.lab.test, 127.0.0.1 and ::1, signed by "lab root", the year 2026.
    const CERTIFICATE: &str = concat!(
        "MIIBjzCCATWgAwIBAgICEAAwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIbGFiIHJvb3QwHhcNMjYwMTAxMDAwMDAwWhcNMjcwMTAx",
        "MDAwMDAwWjAYMRYwFAYDVQQDDA1jaGF0LmxhYi50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE4LZ/XVLVfBOQC2sbyccP",
        "Vgmq8z2jGV4jRCK65TGN3bD6lXC0On7e8fcRm3nAkIDTOMUqVt9OM4Mt9GxN1AUJhKN0MHIwMAYDVR0RBCkwJ4INY2hhdC5sYWIu",
        "dGVzdIcEfwAAAYcQAAAAAAAAAAAAAAAAAAAAATAdBgNVHQ4EFgQUdLFy6sRjMBOYMRVIF9A4wAIWDIowHwYDVR0jBBgwFoAUT3cT",
        "T5jrGwthgy6qauWRua1Rb4MwCgYIKoZIzj0EAwIDSAAwRQIgNSimIY8VTRhB4rem9UyyiMeVP9SWilgMhPioLKo4jLwCIQCSgjur",
        "jFGHFVCHAYLmveDEyuRa45KuNfmBrAtUJ3BTIg==",
    );

    fn der() -> Vec<u8> {
        base64::engine::general_purpose::STANDARD.decode(CERTIFICATE).unwrap()
    }

    #[test]
    fn a_certificate_says_whose_it_is() {
        let facts = read(&der()).unwrap();
        assert_eq!(
            (facts.subject.as_str(), facts.issuer.as_str()),
            ("CN=chat.lab.test", "CN=lab root")
        );
        assert_eq!((facts.not_before, facts.not_after), (1_767_225_600, 1_798_761_600));
        assert_eq!(facts.names, ["chat.lab.test", "127.0.0.1", "::1"]);
        assert!(!facts.is_own_issuer());
    }

    proptest! {
        #[test]
        fn what_a_stranger_sends_never_panics(place in 0usize..400, byte in any::<u8>(), cut in 0usize..400) {
            let mut bytes = der();
            let place = place % bytes.len();
            bytes[place] = byte;
            let _ = read(&bytes);
            let _ = read(&bytes[..cut.min(bytes.len())]);
        }
    }
}
