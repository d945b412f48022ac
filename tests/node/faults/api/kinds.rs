//! The faults, and how each begins and ends.

use std::{fs, time::Duration};

use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::{Api, api::DeleteParams};

use super::{Spec, Trouble};
use crate::support::{Fault, Kind};

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Slow,
    Answers(u16),
    /// Every write of a verdict meets a newer version.
    Conflicts,
    Reset,
    Hang,
    Garbage,
    Truncated,
    WatchesEnd,
    WatchesExpire,
    /// The token is no longer taken; a new one comes late.
    Token,
    /// The server shows a certificate of an authority that the agent hears of late.
    Certificate,
    /// RBAC allows nothing any more.
    Rights,
}

const fn spec(name: &'static str, text: &'static str, what: What) -> Spec {
    Spec { name, text, what, due: 1, says: &[] }
}

/// Those of `make test`; each listens, and on a machine that refuses `fentry` a listener costs every
/// program of it some time. `make chaos` tries them all.
pub(super) const FEW: &[&str] =
    &["busy", "conflicts", "garbage", "expires", "token", "certificate", "rights"];

pub(super) const ALL: &[Spec] = &[
    spec("slow", "3 s for each request", What::Slow),
    Spec { says: &["pods: degraded", "429"], ..spec("busy", "429", What::Answers(429)) },
    Spec {
        due: 30,
        says: &["pods: degraded", "500"],
        ..spec("broken", "500, 30 pods due", What::Answers(500))
    },
    spec("unavailable", "503", What::Answers(503)),
    spec("conflicts", "409 to every verdict", What::Conflicts),
    spec("resets", "connections reset", What::Reset),
    spec("hangs", "no answers", What::Hang),
    spec("garbage", "answers that make no sense", What::Garbage),
    spec("truncated", "half answers", What::Truncated),
    spec("ends", "watches end at once", What::WatchesEnd),
    spec("expires", "watches expired (410)", What::WatchesExpire),
    Spec { says: &["pods: degraded", "401"], ..spec("token", "token rotated", What::Token) },
    Spec {
        says: &["pods: degraded", "certificate"],
        ..spec("certificate", "certificate rotated", What::Certificate)
    },
    Spec {
        says: &["pods: degraded", "forbidden", "cannot watch resource \"pods\""],
        ..spec("rights", "RBAC taken away", What::Rights)
    },
];

/// What ends a fault.
pub(super) enum Begun {
    Proxy,
    Authority(String),
}

impl Trouble {
    pub(super) async fn begin(&self) -> anyhow::Result<Begun> {
        let (kinds, fault): (&[Kind], Fault) = match self.spec.what {
            What::Slow => (&Kind::ALL, Fault::Slow(Duration::from_secs(3))),
            What::Answers(code) => (&Kind::ALL, Fault::Answer(code)),
            What::Conflicts => (&[Kind::Verdict], Fault::Answer(409)),
            What::Reset => (&Kind::ALL, Fault::Reset),
            What::Hang => (&Kind::ALL, Fault::Hang),
            What::Garbage => (&Kind::ALL, Fault::Garbage),
            What::Truncated => (&Kind::ALL, Fault::Truncated),
            What::WatchesEnd => (&[Kind::Watch], Fault::Ended),
            What::WatchesExpire => (&[Kind::Watch], Fault::Expired),
            What::Token => {
                let token = fs::read_to_string(self.node.token_file(&self.agent))?;
                (&Kind::ALL, Fault::Refuse(token))
            }
            What::Certificate => return Ok(Begun::Authority(self.proxy.change_authority()?)),
            What::Rights => {
                let bindings = Api::<ClusterRoleBinding>::all(self.node.rig.client());
                bindings.delete(self.spec.name, &DeleteParams::default()).await?;
                let account = self.agent.account.as_str();
                self.node.until_may(account, ("watch", "pods"), false).await?;
                // Nobody takes back what is open.
                self.proxy.cut();
                return Ok(Begun::Proxy);
            }
        };
        self.proxy.fault(kinds, &fault);
        Ok(Begun::Proxy)
    }

    pub(super) async fn end(&self, begun: Begun) -> anyhow::Result<()> {
        match (begun, self.spec.what) {
            (Begun::Authority(pem), _) => fs::write(self.proxy.authority_file(), pem)?,
            // The old one stays refused.
            (Begun::Proxy, What::Token) => {
                let rig = &self.node.rig;
                let token =
                    rig.service_account_token("pullfuse", &self.agent.account, None).await?;
                fs::write(self.node.token_file(&self.agent), token)?;
            }
            (Begun::Proxy, What::Rights) => self.bind_rights().await?,
            (Begun::Proxy, _) => self.proxy.heal(),
        }
        Ok(())
    }
}
