//! The client of a rig's control socket.

use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::protocol::{Answer, Request};

/// Talks to a rig's init; every request has its own connection, so any number of users may.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    socket: PathBuf,
}

impl Control {
    /// A client of the socket at this path.
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// The process id of the rig's init as seen from here. The kernel translates it.
    pub(crate) fn init(&self) -> anyhow::Result<Pid> {
        let peer = rustix::net::sockopt::socket_peercred(self.connect()?)?;
        Ok(peer.pid)
    }

    /// Sends a request and waits for the answer.
    pub(crate) async fn call(&self, request: &Request) -> anyhow::Result<Answer> {
        let connection = self.connect()?;
        (&connection).write_all(&line(request)?).context("the rig went away")?;
        answer(connection).await
    }

    /// Sends a request whose answer is only whether it worked.
    pub(crate) async fn order(&self, request: &Request) -> anyhow::Result<()> {
        match self.call(request).await? {
            Answer::Done => Ok(()),
            other => Err(anyhow!("the rig answered {other:?}")),
        }
    }

    /// Hands a listener over whose connections go to a port inside the rig from now on.
    pub(crate) async fn forward(&self, listener: &TcpListener, port: u16) -> anyhow::Result<()> {
        let connection = self.connect()?;
        let line = line(&Request::Forward { port })?;
        let descriptors = [listener.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        let sent =
            sendmsg(&connection, &[IoSlice::new(&line)], &mut ancillary, SendFlags::NOSIGNAL)?;
        if sent != line.len() {
            bail!("the rig's control socket takes no more requests");
        }
        answer(connection).await.map(drop)
    }

    fn connect(&self) -> anyhow::Result<UnixStream> {
        UnixStream::connect(&self.socket)
            .with_context(|| format!("no rig answers at {}", self.socket.display()))
    }
}

fn line(request: &Request) -> anyhow::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    Ok(line)
}

async fn answer(connection: UnixStream) -> anyhow::Result<Answer> {
    connection.set_nonblocking(true)?;
    let mut reader = BufReader::new(tokio::net::UnixStream::from_std(connection)?);
    let mut line = String::new();
    reader.read_line(&mut line).await.context("the rig went away")?;
    if line.is_empty() {
        bail!("the rig went away");
    }
    match serde_json::from_str(&line).context("the rig's answer is not understood")? {
        Answer::Failed(message) => Err(anyhow!(message)),
        answer => Ok(answer),
    }
}
