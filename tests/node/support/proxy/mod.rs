//! An API server in trouble: passes an agent's requests on to the rig's, or does what a fault says.
//! Counts requests, by kind.

mod authority;
mod fault;

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use axum::body::{Body, to_bytes};
use http::{Request, Response, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::{
    Client, Config,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

pub use self::fault::{Fault, Kind};
use self::{authority::Authority, fault::Way};
use super::Node;

/// An agent's way to the API server. It ends when it is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
    port: u16,
    authority_file: PathBuf,
}

struct Shared {
    upstream: Client,
    authority: Mutex<Authority>,
    faults: Mutex<BTreeMap<Kind, Fault>>,
    counted: Mutex<(Instant, BTreeMap<Kind, usize>)>,
    /// Changes when every connection is to be cut.
    cut: watch::Sender<()>,
}

impl Proxy {
    /// Listens on any free port of the node's loopback.
    pub async fn start(node: &Node, name: &str) -> anyhow::Result<Self> {
        let kubeconfig = Kubeconfig::read_from(node.rig.kubeconfig())?;
        let mut config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        // Agents show tokens of their own.
        config.auth_info = AuthInfo::default();
        config.default_retry = false;
        let authority = Authority::new()?;
        let authority_file = node.rig.folder().join("config").join(format!("{name}.ca.pem"));
        fs::write(&authority_file, &authority.pem)?;
        let shared = Arc::new(Shared {
            upstream: Client::try_from(config)?,
            authority: Mutex::new(authority),
            faults: Mutex::default(),
            counted: Mutex::new((Instant::now(), BTreeMap::new())),
            cut: watch::Sender::default(),
        });
        let listener = node.rig.listen(0)?;
        let port = listener.local_addr()?.port();
        listener.set_nonblocking(true)?;
        let accepting = tokio::spawn(accept(TcpListener::from_std(listener)?, shared.clone()));
        Ok(Self { shared, accepting, port, authority_file })
    }

    /// Where agents on the node find it.
    pub fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The file by which they know it.
    pub fn authority_file(&self) -> PathBuf {
        self.authority_file.clone()
    }

    /// From now on this is done to these requests; what was open is cut.
    pub fn fault(&self, kinds: &[Kind], fault: &Fault) {
        let faults = kinds.iter().map(|kind| (*kind, fault.clone()));
        self.shared.faults().extend(faults);
        self.cut();
    }

    /// All is well again. What hangs or is open is cut.
    pub fn heal(&self) {
        self.shared.faults().clear();
        self.cut();
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        self.shared.cut.send_replace(());
    }

    /// Another authority stands behind the server's certificate from now on; its own is returned.
    pub fn change_authority(&self) -> anyhow::Result<String> {
        let authority = Authority::new()?;
        let pem = authority.pem.clone();
        *self.shared.authority.lock().unwrap() = authority;
        self.cut();
        Ok(pem)
    }

    /// Begins to count.
    pub fn count(&self) {
        *self.shared.counted.lock().unwrap() = (Instant::now(), BTreeMap::new());
    }

    /// Requests of each kind per minute since the count began.
    pub fn per_minute(&self) -> BTreeMap<Kind, f64> {
        let counted = self.shared.counted.lock().unwrap();
        let minutes = counted.0.elapsed().as_secs_f64() / 60.0;
        counted.1.iter().map(|(kind, number)| (*kind, *number as f64 / minutes)).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl Shared {
    fn counted(&self, kind: Kind) {
        *self.counted.lock().unwrap().1.entry(kind).or_default() += 1;
    }

    fn faults(&self) -> MutexGuard<'_, BTreeMap<Kind, Fault>> {
        self.faults.lock().unwrap()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut cut = shared.cut.subscribe();
            tokio::select! {
                _ = cut.changed() => {}
                // A client that goes away is no news.
                _ = serve(stream, &shared) => {}
            }
        });
    }
}

async fn serve(stream: TcpStream, shared: &Arc<Shared>) -> anyhow::Result<()> {
    let config = Arc::clone(&shared.authority.lock().unwrap().server);
    let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else {
        // The client does not know the authority.
        shared.counted(Kind::Other);
        return Ok(());
    };
    let answer = service_fn(move |request| answer(request, Arc::clone(shared)));
    Ok(http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await?)
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> anyhow::Result<Response<Body>> {
    let kind = Kind::of(&request);
    shared.counted(kind);
    let fault = shared.faults().get(&kind).cloned();
    let way = match fault {
        Some(fault) => fault.meet(&request).await,
        None => Way::On,
    };
    match way {
        Way::Close => anyhow::bail!("the test wants it closed"),
        Way::Back(response) => Ok(response),
        Way::On => pass_on(request, &shared).await,
        Way::OnAndTruncate => truncated(pass_on(request, &shared).await?).await,
    }
}

async fn pass_on(request: Request<Incoming>, shared: &Shared) -> anyhow::Result<Response<Body>> {
    let (mut head, body) = request.into_parts();
    head.headers.remove(header::HOST);
    let body = to_bytes(Body::new(body), usize::MAX).await?.to_vec();
    let response = shared.upstream.send(Request::from_parts(head, body.into())).await?;
    Ok(response.map(Body::new))
}

/// The first bytes of an answer that says it is longer.
async fn truncated(response: Response<Body>) -> anyhow::Result<Response<Body>> {
    use futures_util::{StreamExt, stream};
    let (mut head, body) = response.into_parts();
    let first = body.into_data_stream().next().await.transpose()?.unwrap_or_default();
    head.headers.remove(header::CONTENT_LENGTH);
    let half = first.slice(..first.len() / 2);
    let broken = stream::iter([Ok(half), Err(io::Error::other("the test wants it cut"))]);
    Ok(Response::from_parts(head, Body::from_stream(broken)))
}
