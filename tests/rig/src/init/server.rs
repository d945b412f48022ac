//! The control socket: one request per connection, each connection on a thread of its own.

use std::io::{IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::Signal;

use super::forward::forward;
use super::programs::Programs;
use crate::CONTAINERD_SOCKET;
use crate::protocol::{Answer, Endpoint, Request};

/// Far more than any request needs; a peer that sends more is not ours.
const LONGEST_REQUEST: usize = 1 << 20;

/// Serves requests for ever.
pub(crate) fn serve(listener: &UnixListener, programs: &Programs) {
    for connection in listener.incoming() {
        let Ok(connection) = connection else { continue };
        let programs = programs.clone();
        thread::spawn(move || {
            let answer = handle(&connection, &programs)
                .unwrap_or_else(|error| Answer::Failed(format!("{error:#}")));
            // A client that went away needs no answer.
            if let Ok(mut line) = serde_json::to_vec(&answer) {
                line.push(b'\n');
                let _ = (&connection).write_all(&line);
            }
        });
    }
}

fn handle(connection: &UnixStream, programs: &Programs) -> anyhow::Result<Answer> {
    let (request, sent) = receive(connection)?;
    match request {
        Request::Start { program } => programs.start(program)?,
        Request::Signal { name, signal } => {
            let signal = Signal::from_named_raw(signal).context("no such signal")?;
            programs.signal(&name, signal)?;
        }
        Request::Wait { name } => {
            let exit = programs.wait(&name, None)?;
            return Ok(exit.map_or(Answer::Done, Answer::Exited));
        }
        Request::Restart { name } => programs.restart(&name)?,
        Request::List => return Ok(Answer::Programs(programs.list())),
        Request::Listening { at, within_ms } => {
            listening(at, Duration::from_millis(within_ms))?;
        }
        Request::Forward { port } => {
            let listener = sent.into_iter().next().context("no listener came along")?;
            forward(TcpListener::from(listener), port);
        }
    }
    Ok(Answer::Done)
}

/// Reads one line and the file descriptors that came with it.
fn receive(connection: &UnixStream) -> anyhow::Result<(Request, Vec<OwnedFd>)> {
    let mut line = Vec::new();
    let mut sent = Vec::new();
    let mut chunk = [0; 4096];
    while line.last() != Some(&b'\n') {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let message = recvmsg(
            connection,
            &mut [IoSliceMut::new(&mut chunk)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        for part in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = part {
                sent.extend(descriptors);
            }
        }
        if message.bytes == 0 || line.len() > LONGEST_REQUEST {
            bail!("the request is not one line");
        }
        line.extend_from_slice(&chunk[..message.bytes]);
    }
    Ok((serde_json::from_slice(&line).context("the request is not understood")?, sent))
}

fn listening(at: Endpoint, within: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + within;
    let answers = || match at {
        Endpoint::Port(port) => TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok(),
        Endpoint::Containerd => UnixStream::connect(CONTAINERD_SOCKET).is_ok(),
    };
    while !answers() {
        if Instant::now() > deadline {
            bail!("nothing listens at {at:?} after {within:?}");
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
