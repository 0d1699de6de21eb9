//! Stands between an adapter and its HTTP server, and meddles with what goes by.

use crate::radicale::exchange;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// A request that goes by.
pub(crate) struct Passing {
    /// The first line and the headers.
    pub(crate) head: String,
    request: Vec<u8>,
    port: u16,
}

impl Passing {
    /// Whether the request begins so, as in `PUT /`.
    pub(crate) fn is(&self, start: &str) -> bool {
        self.head.starts_with(start)
    }

    /// What the body is.
    pub(crate) fn body(&self) -> String {
        String::from_utf8_lossy(&self.request[self.head.len()..]).into_owned()
    }

    /// Lets it go on, and returns the reply.
    pub(crate) fn pass(&self) -> Vec<u8> {
        exchange(self.port, &self.request)
    }

    /// Lets it go on with another body, and returns the reply.
    pub(crate) fn pass_with(&self, body: &str) -> Vec<u8> {
        let lines = self.head.trim_end().lines();
        let lines = lines.filter(|line| !line.to_lowercase().starts_with("content-length"));
        let head: Vec<&str> = lines.collect();
        let request =
            format!("{}\r\nContent-Length: {}\r\n\r\n{body}", head.join("\r\n"), body.len());
        exchange(self.port, request.as_bytes())
    }
}

/// Listens, hands what comes for `port` to `meddle`, and returns where it listens. Where `meddle` returns nothing, the
/// connection breaks off. It ends with the test.
pub(crate) fn between(
    port: u16,
    meddle: impl Fn(&Passing) -> Option<Vec<u8>> + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let passing = receive(&stream, port);
            if let Some(reply) = passing.and_then(|passing| meddle(&passing)) {
                let mut stream = stream;
                stream.write_all(&reply).unwrap_or_default();
            }
        }
    });
    own
}

/// The reply without the card's version, as of a server that rewrites what it is sent.
pub(crate) fn without_etag(reply: Vec<u8>) -> Option<Vec<u8>> {
    let text = String::from_utf8(reply).ok()?;
    let lines = text.split_inclusive("\r\n").filter(|line| !line.starts_with("ETag"));
    Some(lines.collect::<String>().into_bytes())
}

/// A reply without a body.
pub(crate) fn reply(status: &str, headers: &str) -> Option<Vec<u8>> {
    Some(
        format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n{headers}\r\n")
            .into(),
    )
}

fn receive(stream: &TcpStream, port: u16) -> Option<Passing> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    loop {
        let start = head.len();
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if head[start..].trim().is_empty() {
            break;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    // The server ends the connection after each reply.
    let head = head.replacen(" HTTP/1.1\r\n", " HTTP/1.0\r\n", 1);
    let request = [head.as_bytes(), &body].concat();
    Some(Passing { head, request, port })
}
