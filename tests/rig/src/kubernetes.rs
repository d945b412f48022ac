//! Kubernetes, as a test handles it.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher;
use kube::{Api, Client, Config, Resource, ResourceExt, discovery};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::rig::Rig;

/// How long controllers may take to fill a new namespace.
const NAMESPACE_DEADLINE: Duration = Duration::from_secs(240);

impl Rig {
    /// A client with an administrator's rights.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A client that shows this token, for example a service account's.
    pub async fn client_with_token(&self, token: &str) -> anyhow::Result<Client> {
        let mut config = config(&self.kubeconfig()).await?;
        config.auth_info.token = Some(token.to_owned().into());
        Ok(Client::try_from(config)?)
    }

    /// An administrator's kubeconfig for use on the host.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path("config/admin.kubeconfig")
    }

    /// An administrator's kubeconfig for programs inside the rig.
    #[must_use]
    pub fn inner_kubeconfig(&self) -> PathBuf {
        self.folder.path("config/inner.kubeconfig")
    }

    /// Applies every document of a YAML or JSON text, as `kubectl apply --server-side` would.
    /// Namespaced objects that name no namespace go to `default`.
    pub async fn apply(&self, text: &str) -> anyhow::Result<()> {
        for document in serde_yaml_ng::Deserializer::from_str(text) {
            let value = serde_json::Value::deserialize(document)?;
            if value.is_null() {
                continue;
            }
            let object: DynamicObject =
                serde_json::from_value(value).context("this is no Kubernetes object")?;
            self.apply_object(&object).await?;
        }
        Ok(())
    }

    async fn apply_object(&self, object: &DynamicObject) -> anyhow::Result<()> {
        let types = object.types.as_ref().context("an object without apiVersion and kind")?;
        let kind = types.try_into().context("an object with a strange apiVersion")?;
        let (resource, capabilities) = discovery::pinned_kind(&self.client, &kind).await?;
        let api: Api<DynamicObject> = match capabilities.scope {
            discovery::Scope::Cluster => Api::all_with(self.client(), &resource),
            discovery::Scope::Namespaced => {
                let namespace = object.namespace().unwrap_or_else(|| "default".to_owned());
                Api::namespaced_with(self.client(), &namespace, &resource)
            }
        };
        let name = object.name_any();
        let how = PatchParams::apply("pullfuse-rig").force();
        api.patch(&name, &how, &Patch::Apply(object))
            .await
            .with_context(|| format!("cannot apply {} {name}", types.kind))?;
        Ok(())
    }

    /// Makes a namespace and waits until pods can be created in it.
    pub async fn namespace(&self, name: &str) -> anyhow::Result<()> {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        let api = Api::<Namespace>::all(self.client());
        match api.create(&PostParams::default(), &namespace).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error.into()),
        }
        self.namespace_ready(name).await
    }

    /// Waits for what controllers put into every namespace and pods need.
    pub(crate) async fn namespace_ready(&self, name: &str) -> anyhow::Result<()> {
        tokio::try_join!(
            self.wait_for::<ServiceAccount>(
                name,
                "default",
                NAMESPACE_DEADLINE,
                "it exists",
                |account| account.is_some()
            ),
            self.wait_for::<ConfigMap>(
                name,
                "kube-root-ca.crt",
                NAMESPACE_DEADLINE,
                "it exists",
                |map| map.is_some()
            ),
        )?;
        Ok(())
    }

    /// Watches a namespaced object until `condition` holds (`None`: it does not exist) and returns it.
    /// The error after `within` says what was waited for and shows the object's last state.
    pub async fn wait_for<K>(
        &self,
        namespace: &str,
        name: &str,
        within: Duration,
        what: &str,
        condition: impl Fn(Option<&K>) -> bool,
    ) -> anyhow::Result<Option<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
        K: Clone + Debug + DeserializeOwned + serde::Serialize + Send + 'static,
    {
        let api = Api::namespaced(self.client(), namespace);
        self.wait_for_in(api, name, within, what, condition).await
    }

    /// Like [`Rig::wait_for`], for any kind of object.
    pub async fn wait_for_in<K>(
        &self,
        api: Api<K>,
        name: &str,
        within: Duration,
        what: &str,
        condition: impl Fn(Option<&K>) -> bool,
    ) -> anyhow::Result<Option<K>>
    where
        K: Resource<DynamicType = ()>,
        K: Clone + Debug + DeserializeOwned + serde::Serialize + Send + 'static,
    {
        use futures_util::StreamExt;
        let mut states = std::pin::pin!(watcher::watch_object(api, name));
        let mut last = None;
        let found = tokio::time::timeout(within, async {
            while let Some(state) = states.next().await {
                match state {
                    Ok(state) if condition(state.as_ref()) => return Some(state),
                    Ok(state) => last = Some(Ok(state)),
                    // The API server may be restarting; the watch goes on when it is back.
                    Err(error) => {
                        last = Some(Err(anyhow!(error)));
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
            None
        })
        .await;
        if let Ok(Some(state)) = found {
            return Ok(state);
        }
        let kind = K::kind(&());
        let state = match last {
            Some(Ok(state)) => crate::summary::of(state.as_ref()),
            Some(Err(error)) => format!("the watch failed: {error:#}"),
            None => "never seen".to_owned(),
        };
        bail!("{kind} {name}: after {within:?} not true that {what}; last state: {state}")
    }

    /// A token of a service account as a pod would hold it. Bound to a pod on the node, it carries
    /// the node's name.
    pub async fn service_account_token(
        &self,
        namespace: &str,
        name: &str,
        pod: Option<&Pod>,
    ) -> anyhow::Result<String> {
        let bound_object_ref = pod.map(|pod| BoundObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
        });
        let request = TokenRequest {
            spec: Some(TokenRequestSpec { bound_object_ref, ..Default::default() }),
            ..Default::default()
        };
        let api = Api::<ServiceAccount>::namespaced(self.client(), namespace);
        let request = api.create_token_request(name, &PostParams::default(), &request).await?;
        request.status.and_then(|status| status.token).context("the API server made no token")
    }
}

/// A client for what a kubeconfig names.
pub(crate) async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    Ok(Client::try_from(config(kubeconfig).await?)?)
}

async fn config(kubeconfig: &Path) -> anyhow::Result<Config> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}
