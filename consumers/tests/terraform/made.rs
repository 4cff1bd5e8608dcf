//! The tables that the code makes, as it asks a DynamoDB for them that only takes notes.
use super::hcl::Json;
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use serde_json::json;
use sinks::{View, dynamodb};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// By name: what was asked for with CreateTable, and the attribute of UpdateTimeToLive.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    pub tables: BTreeMap<String, Json>,
    pub expiry: BTreeMap<String, String>,
}

pub fn tables(views: Vec<View>) -> Notes {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let notes = Arc::new(Mutex::new(Notes::default()));
    let taking = notes.clone();
    // Ends with the test.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let notes = taking.clone();
            thread::spawn(move || answer_all(stream, &notes));
        }
    });
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .endpoint_url(url)
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .build();
    let io = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let making = async {
        let client = Client::from_conf(config);
        dynamodb::create_tables(&client, &dynamodb::Config::new(1, views)).await
    };
    io.block_on(making).expect("all are made");
    notes.lock().expect("nobody failed").clone()
}

/// Until the client hangs up.
fn answer_all(stream: TcpStream, notes: &Mutex<Notes>) {
    let mut writer = stream.try_clone().expect("a socket");
    let mut reader = BufReader::new(stream);
    loop {
        let (mut target, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                if line.trim_end().is_empty() {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "x-amz-target" => target = value.to_owned(),
                "content-length" => length = value.parse().expect("a number"),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("the whole body");
        let asked: Json = serde_json::from_slice(&body).expect("JSON");
        let (status, answer) = notes.lock().expect("nobody failed").answer(&target, &asked);
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        let sent =
            writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(answer.as_bytes()));
        if sent.is_err() {
            return;
        }
    }
}

impl Notes {
    fn answer(&mut self, target: &str, asked: &Json) -> (&'static str, Json) {
        let table = asked["TableName"].as_str().expect("a table").to_owned();
        match target.rsplit('.').next().unwrap_or_default() {
            "DescribeTable" => match self.tables.get(&table) {
                Some(made) => ("200 OK", json!({ "Table": active(made.clone()) })),
                None => ("400 Bad Request", json!({ "__type": "ResourceNotFoundException" })),
            },
            "CreateTable" => {
                self.tables.insert(table, asked.clone());
                ("200 OK", json!({}))
            }
            "DescribeTimeToLive" => ("200 OK", json!({})),
            "UpdateTimeToLive" => {
                let specification = &asked["TimeToLiveSpecification"];
                assert_eq!(specification["Enabled"], true);
                let attribute = specification["AttributeName"].as_str().expect("an attribute");
                self.expiry.insert(table, attribute.to_owned());
                ("200 OK", json!({ "TimeToLiveSpecification": specification }))
            }
            other => panic!("{other} is not a request that makes a table"),
        }
    }
}

fn active(mut table: Json) -> Json {
    table["TableStatus"] = "ACTIVE".into();
    for index in table["GlobalSecondaryIndexes"].as_array_mut().into_iter().flatten() {
        index["IndexStatus"] = "ACTIVE".into();
    }
    table
}
