//! The broker of the tests that need a real one.

/// Where it is: `TEST_KAFKA=127.0.0.1:9092`. `None`: it is not set, and the test says that it is left out.
pub fn broker() -> Option<String> {
    let named = std::env::var("TEST_KAFKA").ok().filter(|text| !text.is_empty());
    if named.is_none() {
        std::io::Write::write_all(&mut std::io::stderr(), b"left out: no TEST_KAFKA\n")
            .expect("stderr");
    }
    named
}
