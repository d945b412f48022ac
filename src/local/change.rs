use super::{timestamp, v1};
use crate::journal::{Change, Kind};

/// A change in the words of the API.
pub(crate) fn of_journal(number: u64, change: &Change) -> v1::Change {
    let Change { at, kind, pod: (namespace, pod, uid), image, registry, attempts, class, text } =
        change;
    v1::Change {
        number,
        at: Some(timestamp(*at)),
        kind: name(*kind).into(),
        namespace: namespace.clone(),
        pod: pod.clone(),
        pod_uid: uid.clone(),
        image: image.clone(),
        registry: registry.clone(),
        attempts: *attempts,
        class: class.map(|class| class.as_str().to_owned()).unwrap_or_default(),
        text: text.clone(),
    }
}

fn name(kind: Kind) -> v1::change::Kind {
    use v1::change::Kind as Told;
    match kind {
        Kind::Started => Told::Started,
        Kind::Failing => Told::Failing,
        Kind::Attempt => Told::Attempt,
        Kind::Cause => Told::Cause,
        Kind::Pulled => Told::Pulled,
        Kind::Gone => Told::Gone,
        Kind::Verdict => Told::Verdict,
        Kind::DryRun => Told::DryRun,
        Kind::Held => Told::Held,
        Kind::Reported => Told::Reported,
        Kind::Ended => Told::Ended,
        Kind::Withdrawn => Told::Withdrawn,
        Kind::GivenUp => Told::GivenUp,
        Kind::Breaker => Told::Breaker,
        Kind::Holdup => Told::Holdup,
        Kind::Released => Told::Released,
        Kind::Config => Told::Config,
    }
}
