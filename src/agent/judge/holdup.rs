//! Tells when one pull holds up the node: by default a kubelet pulls one image at a time, so a pull
//! that hangs keeps every other pod from even asking for its image.

use super::Judge;
use crate::{
    events::{Note, Subject, digest},
    journal::{Change, Kind},
    pulls::Pull,
    serve::Condition,
};

impl Judge {
    pub(super) fn look_for_holdup(&mut self) {
        let pull = self.parts.pulls.holding_up(self.settings.config.runtime.holdup_after);
        let waiting = pull.as_ref().map_or(0, |pull| {
            self.parts.pods.count(|pod| pod.waits && pod.uid != pull.key.pod_uid)
        });
        self.parts.metrics.held_up(waiting);
        let Some(pull) = pull.filter(|_| waiting > 0) else {
            self.told_of = None;
            self.holdup = None;
            let text = "no pull holds up others".to_owned();
            return self.parts.health.set("pulls", Condition::Good(text));
        };
        let text = format!(
            "the pull of \"{}\" for {}/{} goes on since {:.0} and holds up {waiting} other {}",
            pull.key.image,
            pull.namespace,
            pull.pod,
            pull.since,
            if waiting == 1 { "pod" } else { "pods" },
        );
        self.holdup = Some(text.clone());
        self.parts.health.set("pulls", Condition::Degraded(text.clone()));
        let this = (pull.key.pod_uid.clone(), pull.start_us);
        if self.told_of.as_ref() == Some(&this) {
            return;
        }
        self.told_of = Some(this);
        let pod = (pull.namespace.clone(), pull.pod.clone(), pull.key.pod_uid.clone());
        let image = pull.key.image.clone();
        let change = Change::of_node(self.now(), Kind::Holdup, &text);
        self.note(Change { pod, image, ..change });
        self.tell(note(&pull, waiting));
    }
}

fn note(pull: &Pull, waiting: usize) -> Note {
    Note {
        subject: Subject::Pod {
            namespace: pull.namespace.clone(),
            name: pull.pod.clone(),
            uid: pull.key.pod_uid.clone(),
        },
        warning: true,
        reason: "PullHoldsUpNode",
        action: "Report",
        text: format!(
            "The pull of image \"{}\" goes on since {:.0} and holds up {waiting} other pods of this \
             node, which pulls one image at a time. If its registry hangs, delete this pod; a kubelet \
             with serializeImagePulls: false does not wait.",
            pull.key.image, pull.since
        ),
        key: format!("holdup-{}-{}", pull.key.pod_uid, digest(&pull.key.image)),
        // A pull has one start, so each is told of once.
        since: Some(pull.since),
    }
}
