//! The address that this machine has towards EC2: the one a security group must let in. Never here: security groups.

use super::fault::{Ec2Error, chain};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Amazon's own service that tells a caller its address.
const ASKED: &str = "https://checkip.amazonaws.com/";
const LIMIT: Duration = Duration::from_secs(10);
/// An address and a line break.
const LONGEST: usize = 64;

/// The address that hosts see this machine under. With an endpoint of one's own on a private network it is the local
/// one towards that; else Amazon is asked.
pub async fn own_address(endpoint: Option<&str>) -> Result<IpAddr, Ec2Error> {
    if let Some(local) = towards(endpoint).await {
        return Ok(local);
    }
    ask(ASKED).await.map_err(|said| {
        Ec2Error::Unfit(format!(
            "this machine's public address could not be found ({said}): name who may reach the hosts, as --ssh-from 203.0.113.7/32"
        ))
    })
}

/// The local address towards an endpoint that is not on the public network.
async fn towards(endpoint: Option<&str>) -> Option<IpAddr> {
    let url = url::Url::parse(endpoint?).ok()?;
    let port = url.port_or_known_default()?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    let found = tokio::net::lookup_host((host.as_str(), port)).await.ok()?;
    let near = found.map(|address| address.ip()).find(|ip| is_near(*ip))?;
    let unspecified: SocketAddr = if near.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    // nothing is sent: connecting a datagram socket only chooses the route
    let socket = std::net::UdpSocket::bind(unspecified).ok()?;
    socket.connect((near, port)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

async fn ask(url: &str) -> Result<IpAddr, String> {
    let connector = Connector::builder()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build();
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_uri(url).map_err(|error| chain(&error))?;
    let answered = tokio::time::timeout(LIMIT, async {
        let answer = connector.call(request).await.map_err(|error| chain(&error))?;
        if !answer.status().is_success() {
            return Err(format!("{url} answered {}", answer.status().as_u16()));
        }
        let body = aws_smithy_types::byte_stream::ByteStream::new(answer.into_body());
        let bytes = body.collect().await.map_err(|error| chain(&error))?.into_bytes();
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)])
            .trim()
            .to_owned();
        text.parse::<IpAddr>().map_err(|_| format!("{url} gave no address"))
    });
    answered
        .await
        .unwrap_or_else(|_| Err(format!("{url} gave no answer within {} s", LIMIT.as_secs())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[tokio::test]
    async fn an_endpoint_nearby_gives_the_local_address() {
        let local = own_address(Some("http://127.0.0.1:4566")).await.unwrap();
        assert!(local.is_loopback());
    }

    #[tokio::test]
    async fn an_answer_is_an_address_or_an_error() {
        for (answer, expected) in [
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n203.0.113.7\n",
                Some("203.0.113.7"),
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n<p>", None),
            ("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", None),
        ] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/", listener.local_addr().unwrap());
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0u8; 1024];
                let _ = stream.read(&mut asked).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            });
            let said = ask(&url).await;
            server.join().unwrap();
            match expected {
                Some(address) => assert_eq!(said.unwrap().to_string(), address),
                None => assert!(said.unwrap_err().contains(&url)),
            }
        }
    }
}
