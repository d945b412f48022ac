//! Forwards connections from a listener of the host to a port inside the rig.
//!
//! A socket stays in the network namespace it was made in, so a listener that the host opened and
//! handed over keeps accepting there, while connections made here begin inside the rig.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Accepts connections for as long as the rig lives and passes each on to `port`.
pub(crate) fn forward(listener: TcpListener, port: u16) {
    thread::spawn(move || {
        for outside in listener.incoming() {
            match outside {
                Ok(outside) => {
                    thread::spawn(move || pass(&outside, port));
                }
                // Out of file descriptors, most likely: the rig is too busy, not broken.
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    });
}

fn pass(outside: &TcpStream, port: u16) {
    // Nobody listens inside: dropping the connection says the same to the client.
    let Ok(inside) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return };
    for end in [outside, &inside] {
        let _ = end.set_nodelay(true);
    }
    thread::scope(|scope| {
        scope.spawn(|| copy(outside, &inside));
        copy(&inside, outside);
    });
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    if io::copy(&mut from, &mut to).is_err() {
        // A reset on one side ends both directions, or the other copy would wait for ever.
        let _ = from.shutdown(Shutdown::Both);
    }
    let _ = to.shutdown(Shutdown::Write);
}
