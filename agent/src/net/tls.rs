//! TLS by rustls with ring: trust roots built in, more of them, a client certificate, or no check at all.

use super::Stream;
use crate::wire::fault::{Fault, FaultKind};
use crate::wire::share::Tls;
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion,
    WantsVerifier,
};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What all TLS connections of a host share.
pub struct TlsSetup {
    connector: TlsConnector,
    sni: Option<ServerName<'static>>,
}

impl TlsSetup {
    /// The setup that the share asks for, or what is wrong with its files.
    pub fn new(tls: &Tls) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let config = config(tls, rustls::DEFAULT_VERSIONS, |builder| {
            Ok(if tls.insecure {
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(AnyCertificate(Arc::clone(&provider))))
            } else {
                builder.with_root_certificates(roots(tls)?)
            })
        })?;
        let sni = match &tls.sni {
            Some(name) => {
                Some(ServerName::try_from(name.clone()).map_err(|_| format!("--sni {name} is no server name"))?)
            }
            None => None,
        };
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            sni,
        })
    }

    /// Shakes hands as a client of `host`.
    pub async fn handshake(&self, host: &str, stream: TcpStream) -> Result<Stream, Fault> {
        let name = match &self.sni {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned())
                .map_err(|_| Fault::new(FaultKind::Tls, format!("{host} is no server name")))?,
        };
        match self.connector.connect(name, stream).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(error) => Err(Fault::new(FaultKind::Tls, error.to_string())),
        }
    }
}

/// A builder that wants to know how certificates are verified, and one that knows.
pub type Unverified = ConfigBuilder<ClientConfig, WantsVerifier>;
/// The same.
pub type Verified = ConfigBuilder<ClientConfig, WantsClientCert>;

/// The configuration for these versions, with the client's certificate, verified as `verify` says.
pub fn config(
    tls: &Tls,
    versions: &[&'static SupportedProtocolVersion],
    verify: impl FnOnce(Unverified) -> Result<Verified, String>,
) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let builder = verify(builder)?;
    let mut config = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
            let chain = chain.map_err(|error| format!("--cert holds no PEM certificate: {error}"))?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("--key holds no PEM key: {error}"))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("--cert and --key do not fit: {error}"))?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The roots that are trusted: those built in and those of `--cacert`.
pub fn roots(tls: &Tls) -> Result<RootCertStore, String> {
    let mut store = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(pem) = &tls.roots {
        let mut added = 0;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| format!("--cacert cannot be read: {error}"))?;
            store
                .add(certificate)
                .map_err(|error| format!("--cacert holds a bad certificate: {error}"))?;
            added += 1;
        }
        if added == 0 {
            return Err("--cacert holds no PEM certificate".to_owned());
        }
    }
    Ok(store)
}

/// `--insecure`: any certificate will do; signatures are still checked, as they prove that the peer holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
