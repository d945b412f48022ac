use jiff::{SignedDuration, Timestamp};

use super::{Call, PullKey};
use crate::{
    pods::{LONGEST_NAME, MESSAGE_LIMIT},
    text::{self, plain},
    wire::{Exchange, Outcome, Pull},
};

impl PullKey {
    /// What a call is for; `None` if it is for no pod, as those of `crictl` are.
    pub fn of(pull: &Pull) -> Option<Self> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Some(Self { pod_uid: given(&pull.pod_uid)?, image: text::image(&given(&pull.image)?) })
    }
}

impl Call {
    /// An exchange as an attempt sees it; `None` for one that is no attempt: it broke off, or it is
    /// not for a pod, as those of `crictl` are.
    pub fn of(exchange: Exchange, ended: Timestamp) -> Option<Self> {
        let error = match exchange.outcome {
            Outcome::Succeeded => None,
            Outcome::Failed => Some(error(exchange.code, exchange.message)),
            Outcome::Transport => return None,
        };
        let took = exchange.end_us.saturating_sub(exchange.start_us);
        let pull = exchange.pull;
        let name = |name: Option<String>| plain(&name.unwrap_or_default(), LONGEST_NAME);
        Some(Self {
            key: PullKey::of(&pull)?,
            namespace: name(pull.namespace),
            pod: name(pull.pod),
            started: before(ended, took),
            ended,
            error,
        })
    }
}

/// The kubelet's own wording, so that an error reads alike from either source.
fn error(code: Option<u32>, message: Option<String>) -> String {
    let Some(message) = message else { return String::new() };
    let message = plain(&message, MESSAGE_LIMIT);
    match code.and_then(|code| i32::try_from(code).ok()).map(tonic::Code::from_i32) {
        Some(code) => format!("rpc error: code = {code:?} desc = {message}"),
        None => message,
    }
}

fn before(now: Timestamp, micros: u64) -> Timestamp {
    let micros = i64::try_from(micros).unwrap_or(i64::MAX);
    now.checked_sub(SignedDuration::from_micros(micros)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::start;

    fn exchange(outcome: Outcome, code: Option<u32>, message: Option<&str>) -> Exchange {
        Exchange {
            connection: 2,
            stream: 7,
            pull: Pull {
                image: Some("img".into()),
                pod_uid: Some("uid-1".into()),
                namespace: Some("batch".into()),
                pod: Some("p".into()),
            },
            start_us: 1_000_000,
            end_us: 3_000_000,
            outcome,
            code,
            message: message.map(str::to_owned),
        }
    }

    #[test]
    fn an_answer_is_a_call_in_the_kubelets_words() {
        for (code, message, error) in [
            (Some(5), Some("img: not found"), "rpc error: code = NotFound desc = img: not found"),
            (None, Some("two\nlines"), "two lines"),
            (Some(2), None, ""),
        ] {
            let call = Call::of(exchange(Outcome::Failed, code, message), start()).unwrap();
            assert_eq!(call.error.as_deref(), Some(error));
            assert_eq!(call.ended.duration_since(call.started), SignedDuration::from_secs(2));
        }
        let call = Call::of(exchange(Outcome::Succeeded, Some(0), Some("")), start()).unwrap();
        assert_eq!((call.error, call.key.image.as_str()), (None, "img"));
    }

    #[test]
    fn a_call_without_an_answer_or_a_pod_is_none() {
        let broken = exchange(Outcome::Transport, None, None);
        assert_eq!(Call::of(broken, start()), None);
        for uid in [None, Some(String::new())] {
            let mut by_hand = exchange(Outcome::Failed, Some(5), Some("no"));
            by_hand.pull.pod_uid = uid;
            assert_eq!(Call::of(by_hand, start()), None);
        }
    }
}
