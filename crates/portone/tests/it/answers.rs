//! Servers that answer exactly once, byte for byte, and not always well.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// What a server does after it has written its bytes.
pub(crate) enum Then {
    Close,
    /// Waits until the client gives up.
    Hang,
}

/// Serves one connection and returns the base URL.
pub(crate) fn server(answer: Vec<u8>, then: Then) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_head(&mut stream);
        // The client may hang up in the middle: that is what some tests are about.
        let _ = stream.write_all(&answer);
        if matches!(then, Then::Hang) {
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    url
}

/// Reads to the end of the head; the tests that use this send GETs.
fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
}

/// Where nobody listens.
pub(crate) fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
