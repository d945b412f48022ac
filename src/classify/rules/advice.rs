//! What to do, where several rules advise the same.

pub(super) const LOGIN: &str =
    "the registry wants other credentials: check the pod's imagePullSecrets";
pub(super) const RIGHT: &str = "\
    the credentials may not read this repository: grant the right, or use others in \
    imagePullSecrets";
pub(super) const PUSH: &str =
    "the registry has no such repository, tag or layer: check the spelling, or push it";
pub(super) const RATE: &str = "\
    the registry limits how often it may be asked: log in for a higher limit, or use a \
    mirror; it passes by itself";
pub(super) const SPELLING: &str = "\
    the image's name is not valid: names are lower-case, as in \
    registry.example.com/team/app:v1";
pub(super) const LOAD: &str = "\
    imagePullPolicy is Never and the node lacks the image: load it there, or change the \
    policy";
pub(super) const WAIT: &str = "the registry itself fails: wait, or ask whoever runs it";
pub(super) const NETWORK: &str =
    "the registry did not answer in time: check the network between node and registry";
pub(super) const STALL: &str = "\
    the pull began and stood still until the runtime gave up: check how fast the \
    registry is reached";
pub(super) const REFUSED: &str = "\
    nothing listens at the registry's address: check the port, and that the registry \
    runs";
pub(super) const REQUEST: &str = "\
    the registry refuses the request: check the image's name, and the mirror if one is \
    on the way";
pub(super) const SIGN: &str = "\
    the node's policy wants a signature that this image does not have: sign it, or use a \
    signed one";
pub(super) const RUNTIME: &str = "\
    the container runtime does not answer on its socket: look at the runtime's service \
    on the node";
