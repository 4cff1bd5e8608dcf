//! What a service does when it is told to stop.
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// Kafka is away all the time: waiting for it must not keep the service from stopping.
#[test]
fn sigterm_and_sigint_stop_a_service_cleanly() {
    for signal in ["-TERM", "-INT"] {
        let dir = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_inventory-service"));
        command.env_clear().current_dir(dir.path()).stdout(Stdio::piped());
        command.args(["--sink", "sqlite:x.db", "--dlq", "dir:dlq"]);
        command.args(["--kafka-bootstrap-servers", "127.0.0.1:9"]);
        let mut child = command.spawn().expect("it runs");
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().expect("piped");
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|l| sender.send(l))
        });
        let wait_for = |what: &str| loop {
            let line = lines.recv_timeout(Duration::from_secs(60)).expect("another line");
            if line.contains(what) {
                return;
            }
        };
        wait_for("started");
        let pid = child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("kill");
        assert!(sent.success());
        wait_for("stopped: everything begun is durable");
        assert_eq!(child.wait().expect("it ended").code(), Some(0), "{signal}");
    }
}
