//! A rig's network, as a test reaches it from outside.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::{io, thread};

use anyhow::{Context, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::AsFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::port;
use crate::rig::Rig;

impl Rig {
    /// Runs a closure on a thread that is in the rig's network. Sockets it makes stay there.
    pub fn in_network<T: Send>(&self, f: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        thread::scope(|scope| {
            // A thread of its own: one cannot be sure of coming back.
            let joined = scope.spawn(|| {
                let network = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(self.network.as_fd(), network)?;
                Ok::<_, io::Error>(f())
            });
            let result = joined.join().map_err(|_| anyhow!("the closure panicked"))?;
            result.context("cannot join the rig's network")
        })
    }

    /// Listens on a port of the rig's loopback; 0 takes any free one.
    pub fn listen(&self, port: u16) -> anyhow::Result<TcpListener> {
        self.in_network(|| TcpListener::bind((Ipv4Addr::LOCALHOST, port)))?
            .with_context(|| format!("cannot listen on the rig's port {port}"))
    }

    /// Connects to a port of the rig's loopback.
    pub fn connect(&self, port: u16) -> anyhow::Result<TcpStream> {
        self.in_network(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)))?
            .with_context(|| format!("cannot connect to the rig's port {port}"))
    }

    /// An address on the host that leads to a port of the rig's loopback.
    pub async fn host_address(&self, port: u16) -> anyhow::Result<SocketAddr> {
        let mut forwards = self.forwards.lock().await;
        if let Some(&address) = forwards.get(&port) {
            return Ok(address);
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        self.control.forward(&listener, port).await?;
        forwards.insert(port, address);
        Ok(address)
    }

    /// GETs `http://127.0.0.1:<port><path>` inside the rig; returns the status and the body.
    pub async fn http_get(&self, port: u16, path: &str) -> anyhow::Result<(u16, String)> {
        let stream = self.connect(port)?;
        stream.set_nonblocking(true)?;
        let mut stream = tokio::net::TcpStream::from_std(stream)?;
        // Version 1.0: the server closes after the answer and sends it in one piece.
        let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.context("no HTTP status")?, body.to_owned()))
    }

    /// The metrics served on a port of the rig's loopback.
    pub async fn metrics(&self, port: u16) -> anyhow::Result<String> {
        match self.http_get(port, "/metrics").await? {
            (200, body) => Ok(body),
            (status, body) => bail!("port {port} answered {status} to /metrics: {body}"),
        }
    }

    /// The kubelet's metrics.
    pub async fn kubelet_metrics(&self) -> anyhow::Result<String> {
        self.metrics(port::KUBELET_METRICS).await
    }
}
