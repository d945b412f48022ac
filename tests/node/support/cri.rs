use hyper_util::rt::TokioIo;
use k8s_cri::v1::{
    AuthConfig, ImageSpec, ListPodSandboxRequest, PodSandboxFilter, PodSandboxState,
    PodSandboxStateValue, PullImageRequest, image_service_client::ImageServiceClient,
    runtime_service_client::RuntimeServiceClient,
};
use pullfuse_rig::{CONTAINERD_SOCKET, Rig};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Uri};

async fn connect(rig: &Rig) -> anyhow::Result<Channel> {
    let socket = rig.host_path(CONTAINERD_SOCKET);
    let channel = Channel::builder(Uri::from_static("http://cri"));
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    Ok(channel.connect_with_connector(connector).await?)
}

/// Pulls an image as someone else than the kubelet.
pub async fn pull(rig: &Rig, image: &str) -> anyhow::Result<()> {
    let image = Some(ImageSpec { image: image.into(), ..ImageSpec::default() });
    let request = PullImageRequest { image, ..PullImageRequest::default() };
    ImageServiceClient::new(connect(rig).await?).pull_image(request).await?;
    Ok(())
}

/// Pulls with credentials of all kinds at once, each of them `secret`; the pull fails.
pub async fn pull_with(rig: &Rig, image: &str, secret: &str) -> anyhow::Result<()> {
    let auth = AuthConfig {
        username: secret.into(),
        password: secret.into(),
        auth: secret.into(),
        identity_token: secret.into(),
        registry_token: secret.into(),
        ..AuthConfig::default()
    };
    let image = Some(ImageSpec { image: image.into(), ..ImageSpec::default() });
    let request = PullImageRequest { image, auth: Some(auth), ..PullImageRequest::default() };
    let pulled = ImageServiceClient::new(connect(rig).await?).pull_image(request).await;
    anyhow::ensure!(pulled.is_err(), "an image that does not exist was pulled");
    Ok(())
}

/// Sandboxes of a pod that the runtime says are ready.
pub async fn ready_sandboxes(rig: &Rig, pod_uid: &str) -> anyhow::Result<usize> {
    let filter = PodSandboxFilter {
        state: Some(PodSandboxStateValue { state: PodSandboxState::SandboxReady.into() }),
        label_selector: [("io.kubernetes.pod.uid".to_owned(), pod_uid.to_owned())].into(),
        ..PodSandboxFilter::default()
    };
    let request = ListPodSandboxRequest { filter: Some(filter) };
    let mut client = RuntimeServiceClient::new(connect(rig).await?);
    let answer = client.list_pod_sandbox(request).await?;
    Ok(answer.into_inner().items.len())
}
