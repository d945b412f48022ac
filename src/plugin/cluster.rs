use std::{fmt::Debug, future::Future, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Config, Resource,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::de::DeserializeOwned;

use super::{PluginError, cli::Cli, found, group::Groups};
use crate::{classify::Classifier, kubeconfig};

/// Objects in one answer.
const PAGE: u32 = 500;
/// No call may take longer.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// Most pods run or are done, and can be neither ended by pullfuse nor wait to be.
const MAYBE_STUCK: &str = "status.phase!=Running,status.phase!=Succeeded";

/// The API server, asked as the user.
pub(super) struct Cluster {
    pub(super) client: Client,
    /// The context's.
    namespace: String,
}

/// A namespace, or all of them.
#[derive(Debug, Clone)]
pub(super) enum Place {
    All,
    Namespace(String),
}

impl Place {
    /// As part of a sentence.
    pub(super) fn text(&self) -> String {
        match self {
            Self::All => "in all namespaces".into(),
            Self::Namespace(name) => format!("in namespace {name}"),
        }
    }

    pub(super) fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        match self {
            Self::All => Api::all(client.clone()),
            Self::Namespace(name) => Api::namespaced(client.clone(), name),
        }
    }
}

/// A call, for what is said when it fails.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) verb: &'static str,
    pub(super) resource: &'static str,
    pub(super) place: &'a str,
    pub(super) hint: &'static str,
}

impl Cluster {
    /// Reads the kubeconfig; nothing is asked yet.
    pub(super) async fn connect(cli: &Cli) -> Result<Self, PluginError> {
        let no_cluster =
            |error: &dyn std::error::Error| PluginError::NoCluster(kubeconfig::told(error));
        let kubeconfig = match &cli.kubeconfig {
            Some(file) => Kubeconfig::read_from(file),
            None => Kubeconfig::read(),
        };
        let kubeconfig = kubeconfig.map_err(|error| no_cluster(&error))?;
        let options =
            KubeConfigOptions { context: cli.context.clone(), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|error| no_cluster(&error))?;
        let namespace = config.default_namespace.clone();
        let client =
            kubeconfig::client(config, Client::try_from).map_err(PluginError::NoCluster)?;
        Ok(Self { client, namespace })
    }

    /// What the user asked for; without a word `or`, or else the context's namespace.
    pub(super) fn place(&self, cli: &Cli, or: Option<&str>) -> Place {
        match (&cli.namespace, cli.all_namespaces) {
            (_, true) => Place::All,
            (Some(name), false) => Place::Namespace(name.clone()),
            (None, false) => Place::Namespace(or.unwrap_or(&self.namespace).into()),
        }
    }

    /// Pods that were ended or wait, by image and cause.
    pub(super) async fn groups(&self, place: &Place) -> Result<Groups, PluginError> {
        let classifier = Classifier::new(&[]);
        let mut groups = Groups::default();
        let text = place.text();
        let hint = match place {
            Place::All => "; or name a namespace with -n",
            Place::Namespace(_) => "",
        };
        let call = Call { verb: "list", resource: "pods", place: &text, hint };
        let params = ListParams::default().fields(MAYBE_STUCK);
        let each =
            |pod: Pod| found::read(&pod, &classifier).into_iter().for_each(|f| groups.add(f));
        list(&place.api(&self.client), call, params, each).await?;
        Ok(groups)
    }
}

/// Lists page by page, so that only one page is in memory.
pub(super) async fn list<K>(
    api: &Api<K>,
    call: Call<'_>,
    mut params: ListParams,
    mut each: impl FnMut(K),
) -> Result<(), PluginError>
where
    K: Clone + Debug + DeserializeOwned,
{
    params = params.limit(PAGE);
    loop {
        let page = asked(call, api.list(&params)).await?;
        let next = page.metadata.continue_.filter(|token| !token.is_empty());
        page.items.into_iter().for_each(&mut each);
        match next {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}

/// Makes one call.
async fn asked<T>(
    call: Call<'_>,
    asking: impl Future<Output = kube::Result<T>>,
) -> Result<T, PluginError> {
    let Call { verb, resource, place, hint } = call;
    let failed = |why| PluginError::Call { verb, resource, place: place.into(), why };
    match tokio::time::timeout(CALL_LIMIT, asking).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
            Err(PluginError::Forbidden { verb, resource, place: place.into(), hint })
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 401 => {
            Err(failed("the API server does not accept the kubeconfig's credentials".into()))
        }
        Ok(Err(kube::Error::Api(status))) => {
            Err(failed(format!("the API server answered {}: {}", status.code, status.message)))
        }
        Ok(Err(error)) => {
            Err(failed(format!("the API server cannot be reached: {}", crate::say(&error))))
        }
        Err(_) => Err(failed(format!("no answer within {} s", CALL_LIMIT.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use kube::client::Body;
    use serde_json::json;
    use tower_test::mock;

    use super::*;

    #[tokio::test]
    async fn a_long_list_is_read_page_by_page_to_its_end() {
        let (service, mut server) = mock::pair::<http::Request<Body>, http::Response<Body>>();
        let api: Api<Pod> = Api::all(Client::new(service, "default"));
        let serving = async move {
            let mut asked = Vec::new();
            for next in ["page-2", "page-3", ""] {
                let (request, answer) = server.next_request().await.unwrap();
                asked.push(request.uri().query().unwrap_or_default().to_owned());
                let page = json!({ "apiVersion": "v1", "kind": "PodList",
                    "metadata": { "continue": next },
                    "items": [{ "metadata": { "name": "p" } }] });
                let body = Body::from(serde_json::to_vec(&page).unwrap());
                answer.send_response(http::Response::new(body));
            }
            asked
        };
        let mut pods = 0;
        let call = Call { verb: "list", resource: "pods", place: "", hint: "" };
        let params = ListParams::default().fields(MAYBE_STUCK);
        let (asked, listed) = tokio::join!(serving, list(&api, call, params, |_: Pod| pods += 1));
        listed.unwrap();
        assert_eq!(pods, 3);
        assert!(
            asked.iter().all(|query| query.contains("limit=500")
                && query.contains("fieldSelector=status.phase%21%3DRunning")),
            "{asked:?}"
        );
        assert!(asked[1].contains("continue=page-2") && asked[2].contains("continue=page-3"));
    }
}
