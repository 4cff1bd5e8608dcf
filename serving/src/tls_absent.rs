//! Stands for [`tls`](crate::tls) in a build without the feature `tls`.
use crate::NO_TLS;
use std::net::TcpStream;

/// # Errors
/// Always: [`NO_TLS`].
pub fn connect(_: &str, at: &str, _: TcpStream) -> Result<TcpStream, String> {
    Err(format!("{at}: {NO_TLS}"))
}
