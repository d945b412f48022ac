//! Proves that the kernel side hears: two messages over a socket of our own must come back.

use std::{
    io::{self, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::timeout;

use super::{Capture, Direction, Heard};

/// The bytes pass in microseconds; a node under load may need much longer to run us.
const LIMIT: Duration = Duration::from_secs(5);
const QUESTION: &[u8] = b"pullfuse self-test: does the kernel hear this?";
const ANSWER: &[u8] = b"pullfuse self-test: it does";

/// Sends both ways over a private socket, with the filter set to it alone.
pub(super) async fn run(capture: &mut Capture, scratch: &[PathBuf]) -> Result<(), String> {
    let (_folder, path, listener) = bind(scratch)?;
    capture.filter.set(std::slice::from_ref(&path)).map_err(|error| crate::say(&error))?;
    talk(&path, &listener).map_err(|error| format!("the self-test's socket broke: {error}"))?;
    let hearing = async {
        let mut heard = Vec::new();
        while heard.len() < 2 {
            if let Heard::Sent(record) = capture.heard().await.map_err(|error| error.to_string())? {
                heard.push((record.direction, record.offset, record.data));
            }
        }
        Ok::<_, String>(heard)
    };
    let mut heard = timeout(LIMIT, hearing).await.map_err(|_| {
        "the program is attached, but a test message over a unix socket was not heard".to_owned()
    })??;
    // The order is that of the sends' ends, which two processors may report either way round.
    heard.sort_by_key(|(direction, ..)| *direction != Direction::ToServer);
    let sent =
        [(Direction::ToServer, 0, QUESTION.to_vec()), (Direction::ToClient, 0, ANSWER.to_vec())];
    if heard != sent {
        return Err("a test message over a unix socket was not heard as it was sent".into());
    }
    Ok(())
}

/// Binds in the first folder that can be written: the container's root may be read-only.
fn bind(scratch: &[PathBuf]) -> Result<(TempDir, PathBuf, UnixListener), String> {
    let mut failures = Vec::new();
    for parent in scratch {
        let bound =
            tempfile::Builder::new().prefix("pullfuse-").tempdir_in(parent).and_then(|folder| {
                let path = folder.path().join("self-test.sock");
                let listener = UnixListener::bind(&path)?;
                Ok((folder, path, listener))
            });
        match bound {
            Ok(bound) => return Ok(bound),
            Err(error) => failures.push(format!("{}: {error}", parent.display())),
        }
    }
    Err(format!("no folder for the self-test's socket: {}", failures.join("; ")))
}

fn talk(path: &Path, listener: &UnixListener) -> io::Result<()> {
    let mut client = UnixStream::connect(path)?;
    let (mut server, _) = listener.accept()?;
    // Both fit the sockets' buffers, so one thread can play both ends.
    client.write_all(QUESTION)?;
    server.read_exact(&mut [0; QUESTION.len()])?;
    server.write_all(ANSWER)?;
    client.read_exact(&mut [0; ANSWER.len()])
}
