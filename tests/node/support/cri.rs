use hyper_util::rt::TokioIo;
use k8s_cri::v1::{
    ListPodSandboxRequest, PodSandboxFilter, PodSandboxState, PodSandboxStateValue,
    runtime_service_client::RuntimeServiceClient,
};
use pullfuse_rig::{CONTAINERD_SOCKET, Rig};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Uri};

/// Sandboxes of a pod that the runtime says are ready.
pub async fn ready_sandboxes(rig: &Rig, pod_uid: &str) -> anyhow::Result<usize> {
    let socket = rig.host_path(CONTAINERD_SOCKET);
    let channel = Channel::builder(Uri::from_static("http://cri"))
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
        .await?;
    let filter = PodSandboxFilter {
        state: Some(PodSandboxStateValue { state: PodSandboxState::SandboxReady.into() }),
        label_selector: [("io.kubernetes.pod.uid".to_owned(), pod_uid.to_owned())].into(),
        ..PodSandboxFilter::default()
    };
    let request = ListPodSandboxRequest { filter: Some(filter) };
    let answer = RuntimeServiceClient::new(channel).list_pod_sandbox(request).await?;
    Ok(answer.into_inner().items.len())
}
