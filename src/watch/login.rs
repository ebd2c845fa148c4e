//! A name and a password for a page. It is sent to that page alone and shown nowhere, not by `Debug` either.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// Name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login(String);

impl Login {
    /// Of `NAME:PASS`; what is wrong never shows it.
    pub fn of(pair: &str) -> Result<Self, String> {
        match pair.split_once(':') {
            _ if pair.chars().any(char::is_control) => Err("it holds a control character".to_owned()),
            Some((name, _)) if !name.is_empty() => Ok(Self(pair.to_owned())),
            _ => Err("it must be USER:PASS".to_owned()),
        }
    }

    /// Of a URL's user-info, percent-encoded.
    pub fn unescaped(name: &str, password: &str) -> Self {
        Self(format!("{}:{}", decoded(name), decoded(password)))
    }

    /// The value of `Authorization`.
    pub fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(&self.0))
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(***)")
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = match (first, after) {
            (b'%', [high, low, ..]) => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|hex| u8::from_str_radix(hex, 16).ok()),
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = &after[if code.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_is_never_shown() {
        let login = Login::of("swarm:s3cret").unwrap();
        assert_eq!(format!("{login:?}"), "Login(***)");
        assert_eq!(login.basic(), "Basic c3dhcm06czNjcmV0");
        for wrong in ["s3cret", ":s3cret", "a:s3cret\r\nX: y"] {
            let error = Login::of(wrong).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
        assert_eq!(Login::unescaped("a%40b", "%zz%"), Login("a@b:%zz%".into()));
    }
}
