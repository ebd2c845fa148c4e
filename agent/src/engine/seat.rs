//! Where an Engine.IO session sits, as the answer that opened it says, and whether a later answer comes from elsewhere.
//! Never here: counting, sockets.

use std::net::IpAddr;
use std::time::Instant;

/// Characters of a sid that are told: enough to tell sessions apart, too few to take one over.
const TOLD: usize = 6;

/// The seat of one session.
#[derive(Debug)]
pub struct Seat {
    by: String,
    name: Vec<u8>,
    strayed: bool,
}

/// A session that was answered by another backend than the one that opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strayed {
    /// When.
    pub at: Instant,
    /// Our end.
    pub local: IpAddr,
    /// The beginning of its sid.
    pub session: String,
    /// Where it sits.
    pub from: Vec<u8>,
    /// Who answered.
    pub to: Vec<u8>,
    /// Where both names were found.
    pub by: String,
}

impl Seat {
    /// Of a session that was opened by the backend of this name, found so.
    pub fn new(by: &str, name: &[u8]) -> Self {
        Self {
            by: by.to_owned(),
            name: name.to_vec(),
            strayed: false,
        }
    }

    /// A later request of the session was answered by `name`. What is found in another place is another kind of name, and
    /// says nothing. Told once.
    pub fn answered(&mut self, by: &str, name: &[u8], path: &str, local: IpAddr) -> Option<Strayed> {
        if self.strayed || self.by != by || self.name == name {
            return None;
        }
        self.strayed = true;
        Some(Strayed {
            at: Instant::now(),
            local,
            session: session(path),
            from: self.name.clone(),
            to: name.to_vec(),
            by: by.to_owned(),
        })
    }
}

/// The sid of a request's path, cut.
fn session(path: &str) -> String {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let sid = query.split('&').find_map(|pair| pair.strip_prefix("sid="));
    let begin: String = sid.unwrap_or_default().chars().take(TOLD).collect();
    format!("sid {begin}...")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_session_strays_once_and_its_sid_is_no_secret_told() {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut seat = Seat::new("header:x-backend", b"s1");
        let path = "/socket.io/?EIO=4&transport=polling&sid=abcdefghijkl";
        assert_eq!(seat.answered("header:x-backend", b"s1", path, here), None);
        assert_eq!(seat.answered("cookie:SERVERID", b"s2", path, here), None);
        let strayed = seat.answered("header:x-backend", b"s2", path, here).unwrap();
        assert_eq!((&strayed.from[..], &strayed.to[..]), (&b"s1"[..], &b"s2"[..]));
        assert_eq!(strayed.session, "sid abcdef...");
        assert_eq!(seat.answered("header:x-backend", b"s3", path, here), None);
        assert_eq!(session("/x"), "sid ...");
    }
}
