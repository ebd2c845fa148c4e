//! Which balancer stands in the way: told by the user, or seen in answers. Pure.

use swarm_agent::wire::look::Answered;

/// A kind of balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// HAProxy.
    Haproxy,
    /// nginx.
    Nginx,
    /// AWS Application Load Balancer.
    Alb,
    /// AWS Network Load Balancer.
    Nlb,
    /// AWS Classic Load Balancer.
    Elb,
}

impl Kind {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Alb => "alb",
            Self::Nlb => "nlb",
            Self::Elb => "elb",
        }
    }

    /// Reads its word; a rule of `swarm spread` names its balancer too: `haproxy-source`.
    pub fn read(text: &str) -> Result<Self, String> {
        let all = [Self::Haproxy, Self::Nginx, Self::Alb, Self::Nlb, Self::Elb];
        let first = text.split('-').next().unwrap_or_default();
        let found = all.into_iter().find(|kind| kind.word() == first);
        found.ok_or_else(|| "no such balancer; haproxy, nginx, alb, nlb or elb".to_owned())
    }

    /// Whether what is said of it comes from documentation alone.
    pub fn is_only_read_about(self) -> bool {
        matches!(self, Self::Alb | Self::Nlb | Self::Elb)
    }
}

/// What an answer says of the balancer it came through, and by what: how sure it is, the kind, the sign. `None`: nothing.
pub fn sign(answered: &Answered) -> Option<(u8, Kind, String)> {
    let mut best: Option<(u8, Kind, String)> = None;
    for (name, value) in &answered.headers {
        let found = match name.as_str() {
            "set-cookie" => cookie(value.split('=').next().unwrap_or_default().trim()),
            "server" => server(value),
            "via" if value.to_ascii_lowercase().contains("haproxy") => {
                Some((3, Kind::Haproxy, format!("Via: {value}")))
            }
            _ => None,
        };
        if let Some(found) = found
            && best.as_ref().is_none_or(|(sure, ..)| found.0 > *sure)
        {
            best = Some(found);
        }
    }
    best
}

fn cookie(name: &str) -> Option<(u8, Kind, String)> {
    let by = |sure, kind| Some((sure, kind, format!("cookie {name}")));
    match name {
        "AWSALB" | "AWSALBCORS" | "AWSALBTG" | "AWSALBTGCORS" | "AWSALBAPP-0" => by(5, Kind::Alb),
        "AWSELB" | "AWSELBCORS" => by(5, Kind::Elb),
        // the name that HAProxy's documentation uses in its examples
        "SERVERID" | "SRVID" => by(2, Kind::Haproxy),
        _ => None,
    }
}

fn server(value: &str) -> Option<(u8, Kind, String)> {
    let lower = value.to_ascii_lowercase();
    let kind = match lower.split('/').next().unwrap_or_default().trim() {
        "awselb" => (4, Kind::Alb),
        "haproxy" => (3, Kind::Haproxy),
        // it may be a backend's own server behind another balancer
        "nginx" | "openresty" => (1, Kind::Nginx),
        _ => return None,
    };
    Some((kind.0, kind.1, format!("Server: {value}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&str, &str)]) -> Option<(Kind, String)> {
        let answered = Answered {
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Answered::default()
        };
        sign(&answered).map(|(_, kind, how)| (kind, how))
    }

    /// Headers, and what they give away.
    type Sign<'a> = (&'a [(&'a str, &'a str)], Option<(Kind, &'a str)>);

    #[test]
    fn balancers_are_known_by_their_signs() {
        let table: &[Sign<'_>] = &[
            (
                &[("server", "nginx/1.22.1")],
                Some((Kind::Nginx, "Server: nginx/1.22.1")),
            ),
            (&[("server", "awselb/2.0")], Some((Kind::Alb, "Server: awselb/2.0"))),
            (
                &[("server", "nginx"), ("set-cookie", "AWSALB=x; Path=/")],
                Some((Kind::Alb, "cookie AWSALB")),
            ),
            (&[("set-cookie", "AWSELB=x")], Some((Kind::Elb, "cookie AWSELB"))),
            (
                &[("set-cookie", "SERVERID=s1; path=/")],
                Some((Kind::Haproxy, "cookie SERVERID")),
            ),
            (&[("server", "Apache"), ("set-cookie", "sid=1")], None),
        ];
        for (headers, expected) in table {
            let expected = expected.map(|(kind, how)| (kind, how.to_owned()));
            assert_eq!(of(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn words_of_spread_name_their_balancer() {
        assert_eq!(Kind::read("haproxy-source-avalanche"), Ok(Kind::Haproxy));
        assert_eq!(Kind::read("nginx-ip-hash"), Ok(Kind::Nginx));
        assert_eq!(Kind::read("alb"), Ok(Kind::Alb));
        assert!(Kind::read("traefik").unwrap_err().contains("haproxy, nginx"));
    }
}
