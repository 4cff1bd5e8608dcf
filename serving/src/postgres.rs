//! Connections to PostgreSQL.
use anyhow::{Context, anyhow};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use postgres_openssl::MakeTlsConnector;
use std::{path::PathBuf, time::Duration};
use tokio_postgres::{Client, Config, config::SslMode};

/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Where a database is, as operators write it.
#[derive(Debug, Clone)]
pub struct Dsn {
    config: Config,
    ca: Option<PathBuf>,
}

impl Dsn {
    /// `text`: `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=require` or `host=... user=...`. `ca`: the
    /// authorities (PEM) that the server's certificate must come from; without it TLS only encrypts, as in libpq.
    /// `application`: how the server's views name the connections.
    pub fn parse(text: &str, ca: Option<PathBuf>, application: &str) -> anyhow::Result<Self> {
        // Not the parser's words: they may quote the password.
        let mut config: Config = text.parse().map_err(|_| {
            anyhow!("the DSN cannot be read: write postgres://USER:PASSWORD@HOST:PORT/DATABASE")
        })?;
        config.connect_timeout(CONNECT_WITHIN).application_name(application).keepalives(true);
        if ca.is_some() {
            config.ssl_mode(SslMode::Require);
        }
        Ok(Self { config, ca })
    }

    /// A new connection; its I/O runs on the current runtime until the client is dropped.
    pub async fn connect(&self) -> anyhow::Result<Client> {
        let mut tls = SslConnector::builder(SslMethod::tls())?;
        match &self.ca {
            Some(file) => tls
                .set_ca_file(file)
                .with_context(|| format!("{} holds no certificates", file.display()))?,
            None => tls.set_verify(SslVerifyMode::NONE),
        }
        let connected = self.config.connect(MakeTlsConnector::new(tls.build())).await;
        let (client, connection) = connected.with_context(|| {
            format!(
                "no connection to PostgreSQL at {}: check the DSN, the network and pg_hba.conf",
                self.place()
            )
        })?;
        tokio::spawn(async move {
            // The client's calls fail with the same error; there is nobody else to tell.
            let _ = connection.await;
        });
        Ok(client)
    }

    /// For messages: host, port and database, never user or password.
    pub fn place(&self) -> String {
        use tokio_postgres::config::Host;
        let host = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        };
        let hosts: Vec<String> = self.config.get_hosts().iter().map(host).collect();
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        format!("{}:{port}/{}", hosts.join(","), self.config.get_dbname().unwrap_or_default())
    }
}
