//! Every family of metrics, in the order of `docs/metrics.md`. The comment of each is its help text.

use super::{Kind, Spec};

macro_rules! families {
    ($($(#[doc = $help:literal])+ $id:ident = $kind:ident $name:literal [$($label:literal),*];)+) => {
        $(
            $(#[doc = $help])+
            pub const $id: Spec = Spec {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: concat!($($help),+),
            };
        )+
        /// All of them.
        pub const ALL: &[Spec] = &[$($id),+];
    };
}

families! {
    /// Failed attempts to pull an image, by cause, by where they were seen first, and by the registry
    ATTEMPTS = Counter "attempts" ["class", "source", "registry", "pod_namespace"];
    /// Images that were pulled after failed attempts
    RESETS = Counter "resets" [];
    /// Pairs of pod and image with failed attempts and no success since
    FAILING_IMAGES = Gauge "failing_images" ["registry", "pod_namespace"];
    /// `PullImage` calls seen on the CRI socket that ended, whoever made them
    PULL_CALLS = Counter "pull_calls" ["result"];
    /// How long these calls took
    PULL_DURATION = Histogram "pull_duration_seconds" ["result"];
    /// Pulls that go on now, as far as the CRI socket is heard
    PULLS_IN_FLIGHT = Gauge "pulls_in_flight" [];
    /// How long the oldest of the pulls in flight has gone on; 0 without one
    OLDEST_PULL_AGE = Gauge "oldest_pull_age_seconds" [];
    /// Pods of this node that wait for one pull which goes on for long; 0 without such a pull
    HELD_UP_PODS = Gauge "held_up_pods" [];
    /// Verdicts by what was to be done and what it came to
    VERDICTS = Counter "verdicts" ["action", "outcome", "pod_namespace"];
    /// Written verdicts that the kubelet took back
    VERDICTS_REVERTED = Counter "verdicts_reverted" [];
    /// Images whose pod would be ended but for an outage, a cap, or a pull that may have begun unheard
    HELD_BACK = Gauge "held_back" ["reason"];
    /// Registries whose verdicts are held: 1 for each, and their number for those that are not named
    BREAKERS = Gauge "breakers" ["registry", "state"];
    /// Changes of a registry's breaker, by the new state
    BREAKER_CHANGES = Counter "breaker_changes" ["to"];
    /// Pods that a dry run would have ended and that still wait
    DRY_RUN_STUCK = Gauge "dry_run_stuck" [];
    /// What became of pods that a dry run would have ended; `recovered` is a regret
    DRY_RUN_ENDED = Counter "dry_run_ended" ["end"];
    /// 1 for the way in which the CRI socket is heard
    CAPTURE_MODE = Gauge "capture_mode" ["mode"];
    /// What the capture lost: records dropped, memory not read, sends hidden by the kernel
    CAPTURE_LOST = Counter "capture_lost" ["what"];
    /// What the decoder could not know: gaps, bytes missing there, header blocks, outcomes of pulls
    DECODER_UNKNOWN = Counter "decoder_unknown" ["what"];
    /// How long the writes to the API server took, by what was written and how it was answered
    API_WRITE_DURATION = Histogram "api_write_duration_seconds" ["write", "result"];
    /// Time since the watch of this node's pods last brought anything; a bookmark comes every minute
    WATCH_AGE = Gauge "watch_age_seconds" [];
    /// Failures of that watch; it is tried again
    WATCH_ERRORS = Counter "watch_errors" [];
    /// What the files in the ledger's folder take
    LEDGER_SIZE = Gauge "ledger_size_bytes" [];
    /// Failed writes to the ledger; they are tried again
    LEDGER_ERRORS = Counter "ledger_errors" [];
    /// Versions of the configuration that took effect since the start
    CONFIG_GENERATION = Gauge "config_generation" [];
    /// Versions of the configuration that were refused; the one before stays in effect
    CONFIG_RELOAD_FAILURES = Counter "config_reload_failures" [];
    /// 1 for a part of the agent that does not work now; `/readyz` says why
    DEGRADED = Gauge "degraded" ["part"];
    /// The running pullfuse
    BUILD = Info "build" ["version"];
}
