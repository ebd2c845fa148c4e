//! TLS handshakes that are looked at: which version, which certificates, and what a client with these roots thinks of them,
//! whether or not it would go on. Never here: the wall clock (the time to verify by is rustls's own), what follows.

use super::hello::{ENOUGH, accepted, hello};
use crate::net::connect_tcp;
use crate::net::tls::{config, roots};
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::look::{Offer, Shaken, Sight, TlsWay, Trust, Way};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, DigitallySignedStruct, Error, ProtocolVersion, RootCertStore, SignatureScheme};
use serde_bytes::ByteBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Certificates of a chain that are kept.
const CHAIN: usize = 12;

/// Shakes hands over the way as the offer says.
pub(super) async fn shake(way: &Way, offer: Offer) -> Result<Sight, Fault> {
    let Some(tls) = &way.tls else {
        return Err(Fault::new(FaultKind::Tls, "no TLS on this way"));
    };
    let stream = connect_tcp(way.to, way.source).await?;
    let versions: &[&'static rustls::SupportedProtocolVersion] = match offer {
        Offer::Usual => rustls::DEFAULT_VERSIONS,
        Offer::Only12 => &[&TLS12],
        Offer::Only13 => &[&TLS13],
        Offer::Old10 => return old(stream, tls, 1).await,
        Offer::Old11 => return old(stream, tls, 2).await,
    };
    let bad = |error: String| Fault::new(FaultKind::Tls, error);
    let seen = Arc::new(Recorder {
        provider: Arc::new(ring::default_provider()),
        roots: roots(&tls.settings).map_err(bad)?,
        shaken: Mutex::default(),
    });
    let verifier = Arc::clone(&seen);
    let config = config(&tls.settings, versions, |builder| {
        Ok(builder.dangerous().with_custom_certificate_verifier(verifier))
    })
    .map_err(bad)?;
    let asked = tls.settings.sni.clone().unwrap_or_else(|| tls.host.clone());
    let name = ServerName::try_from(asked.clone()).map_err(|_| bad(format!("{asked} is no server name")))?;
    let done = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let mut shaken = std::mem::take(&mut *seen.shaken.lock().unwrap_or_else(PoisonError::into_inner));
    shaken.name = asked;
    match done {
        Ok(stream) => {
            let (_, session) = stream.get_ref();
            shaken.version = session.protocol_version().map(version);
            shaken.alpn = session
                .alpn_protocol()
                .map(|name| String::from_utf8_lossy(name).into_owned());
        }
        Err(error) => shaken.failed = Some(error.to_string()),
    }
    Ok(Sight::Shaken(shaken))
}

fn version(version: ProtocolVersion) -> String {
    match version {
        ProtocolVersion::TLSv1_2 => "1.2".to_owned(),
        ProtocolVersion::TLSv1_3 => "1.3".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Says an old hello and reads the first bytes of the answer. A server that hangs up does not accept it.
async fn old(mut stream: TcpStream, tls: &TlsWay, minor: u8) -> Result<Sight, Fault> {
    let name = tls.settings.sni.as_ref().unwrap_or(&tls.host);
    let random: [u8; 32] = std::array::from_fn(|_| fastrand::u8(..));
    let io = |error: std::io::Error| crate::net::stream::fault(&error);
    stream.write_all(&hello(minor, name, random)).await.map_err(io)?;
    let mut answer = Vec::with_capacity(ENOUGH);
    loop {
        if let Some(accepted) = accepted(&answer, minor) {
            return Ok(Sight::Old { accepted });
        }
        let mut buffer = [0; 64];
        match stream.read(&mut buffer).await {
            Ok(count @ 1..) => answer.extend_from_slice(&buffer[..count]),
            Ok(0) | Err(_) => return Ok(Sight::Old { accepted: false }),
        }
    }
}

/// Takes note of the certificates, and accepts them; signatures are still checked, as they prove that the peer holds its key.
#[derive(Debug)]
struct Recorder {
    provider: Arc<CryptoProvider>,
    roots: RootCertStore,
    shaken: Mutex<Shaken>,
}

impl Recorder {
    fn trust(&self, certificate: &ParsedCertificate<'_>, others: &[CertificateDer<'_>], now: UnixTime) -> Trust {
        let at = |now: UnixTime| {
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(certificate, &self.roots, others, now, algorithms)
        };
        let Err(error) = at(now) else {
            return Trust::Trusted;
        };
        match error {
            Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => Trust::Expired {
                otherwise: at(not_after).is_ok(),
            },
            Error::InvalidCertificate(CertificateError::Expired) => Trust::Expired { otherwise: false },
            Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
                Trust::NotYet
            }
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => Trust::UnknownIssuer,
            other => Trust::Bad(other.to_string()),
        }
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(end_entity).chain(intermediates).take(CHAIN);
        let (trust, name_fits) = match ParsedCertificate::try_from(end_entity) {
            Ok(parsed) => (
                self.trust(&parsed, intermediates, now),
                verify_server_name(&parsed, name).is_ok(),
            ),
            Err(error) => (Trust::Bad(error.to_string()), false),
        };
        *self.shaken.lock().unwrap_or_else(PoisonError::into_inner) = Shaken {
            chain: chain.map(|one| ByteBuf::from(one.to_vec())).collect(),
            trust: Some(trust),
            name_fits,
            ..Shaken::default()
        };
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
