//! TLS as a client, with OpenSSL.
use openssl::ssl::{SslConnector, SslMethod};
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
};

/// Where systems keep the authorities they trust; `SSL_CERT_FILE` comes first.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Speaks TLS over `stream` with `host`, whose certificate must come from an authority that is trusted here. `at` names the
/// server in errors.
///
/// # Errors
/// A sentence: the authorities cannot be read, or no TLS came about.
pub fn connect(host: &str, at: &str, stream: TcpStream) -> Result<impl Read + Write, String> {
    let mut tls = SslConnector::builder(SslMethod::tls()).map_err(|e| e.to_string())?;
    if let Some(file) = authorities() {
        tls.set_ca_file(&file).map_err(|e| format!("{file}: {e}"))?;
    }
    tls.build().connect(host, stream).map_err(|e| format!("{at}: no TLS: {e}"))
}

fn authorities() -> Option<String> {
    let named = std::env::var("SSL_CERT_FILE").ok().filter(|file| !file.is_empty());
    named.or_else(|| {
        AUTHORITIES.iter().find(|file| Path::new(file).exists()).map(|file| (*file).to_owned())
    })
}
