//! The server, and a schema of a test's own in it.
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// One connection, to a schema that is dropped with it.
pub struct Server {
    io: tokio::runtime::Runtime,
    client: Client,
}
impl Server {
    /// `None`: there is none, and the test is left out.
    pub fn connect() -> Option<Self> {
        let Ok(dsn) = std::env::var("TEST_POSTGRES_DSN") else {
            eprintln!("left out: no TEST_POSTGRES_DSN");
            return None;
        };
        let io = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let io = io.expect("threads");
        let (client, connection) =
            io.block_on(tokio_postgres::connect(&dsn, NoTls)).expect("PostgreSQL");
        io.spawn(connection);
        let server = Self { io, client };
        server.run("set timezone = 'Asia/Kathmandu'");
        Some(server)
    }
    pub fn run(&self, sql: &str) {
        if let Err(error) = self.io.block_on(self.client.batch_execute(sql)) {
            panic!("{error}: {}\n{sql}", error.as_db_error().map_or("", |error| error.message()));
        }
    }
    /// The first column of each row, as text; or the error's code and message.
    pub fn column(&self, sql: &str) -> Result<Vec<Option<String>>, (String, String)> {
        let rows = self.rows(sql)?;
        Ok(rows.into_iter().map(|mut row| row.remove(0)).collect())
    }
    /// All rows, as texts.
    pub fn rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, (String, String)> {
        let answer = self.io.block_on(self.client.simple_query(sql)).map_err(|error| {
            let error = error.as_db_error().expect("an error of the server");
            (error.code().code().to_owned(), error.message().to_owned())
        })?;
        let cells = |message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
            }
            _ => None,
        };
        Ok(answer.into_iter().filter_map(cells).collect())
    }
}
