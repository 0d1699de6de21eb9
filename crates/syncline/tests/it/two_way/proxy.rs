//! Stands between the program and a server, and breaks off where it is told to.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A TCP proxy on the loopback interface.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    target: u16,
    /// What is looked out for in what the program sends, and what happens then, once.
    trap: Mutex<Option<Trap>>,
    sprung: AtomicUsize,
    is_shut: AtomicBool,
}

struct Trap {
    text: &'static str,
    /// How many more of them pass first.
    skip: usize,
    fault: Fault,
}

/// What happens when the program sends what is looked out for.
pub(crate) enum Fault {
    /// It arrives at the server; the reply does not come back, and the connection is reset.
    LoseReply,
    /// It does not arrive, and the connection is reset.
    LoseRequest,
    /// This is done before it arrives.
    First(Box<dyn FnOnce() + Send>),
}

impl Proxy {
    pub(crate) fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State { target, ..State::default() });
        let of_thread = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = of_thread.clone();
                std::thread::spawn(move || serve(client, &state));
            }
        });
        Self { port, state }
    }

    /// Lets `fault` happen when the program sends `text` for the time after `skip` times.
    pub(crate) fn trap(&self, text: &'static str, skip: usize, fault: Fault) {
        *self.state.trap.lock().unwrap() = Some(Trap { text, skip, fault });
    }

    /// Lets no further connection through, until it is told otherwise.
    pub(crate) fn shut(&self, is_shut: bool) {
        self.state.is_shut.store(is_shut, Ordering::SeqCst);
    }

    /// How often a trap was sprung.
    pub(crate) fn sprung(&self) -> usize {
        self.state.sprung.load(Ordering::SeqCst)
    }
}

fn serve(client: TcpStream, state: &State) {
    if state.is_shut.load(Ordering::SeqCst) {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", state.target)) else {
        return;
    };
    let (mut to_client, mut from_server) =
        (client.try_clone().unwrap(), server.try_clone().unwrap());
    // While a reply is to be lost, nothing of the server's goes on.
    let is_mute = Arc::new(AtomicUsize::new(0));
    let mute = is_mute.clone();
    let back = std::thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        while let Ok(read @ 1..) = from_server.read(&mut buffer) {
            if mute.load(Ordering::SeqCst) == 1 {
                // The server has answered: what it was asked is done.
                break;
            }
            if to_client.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        to_client.shutdown(Shutdown::Both).unwrap_or_default();
    });
    forward(&client, &server, state, &is_mute);
    server.shutdown(Shutdown::Write).unwrap_or_default();
    back.join().unwrap_or_default();
    client.shutdown(Shutdown::Both).unwrap_or_default();
}

fn forward(mut client: &TcpStream, mut server: &TcpStream, state: &State, is_mute: &AtomicUsize) {
    let mut buffer = [0; 1 << 16];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        let sent = &buffer[..read];
        let fault = sprung(state, sent);
        match fault {
            Some(Fault::LoseRequest) => return,
            Some(Fault::LoseReply) => is_mute.store(1, Ordering::SeqCst),
            Some(Fault::First(act)) => act(),
            None => {}
        }
        if server.write_all(sent).is_err() {
            return;
        }
    }
}

fn sprung(state: &State, sent: &[u8]) -> Option<Fault> {
    let mut trap = state.trap.lock().unwrap();
    let text = trap.as_ref()?.text.as_bytes();
    if !sent.windows(text.len()).any(|window| window == text) {
        return None;
    }
    let known = trap.as_mut()?;
    if known.skip > 0 {
        known.skip -= 1;
        return None;
    }
    state.sprung.fetch_add(1, Ordering::SeqCst);
    Some(trap.take()?.fault)
}
