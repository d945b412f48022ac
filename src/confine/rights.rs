//! Capabilities, which are each thread's own.

use rustix::{
    io,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
        remove_capability_from_bounding_set, set_capabilities,
    },
};

use super::Rights;

/// Those that a capture is attached with; the last only before Linux 5.11, for locked memory.
const OF_THE_CAPTURE: CapabilitySet =
    CapabilitySet::BPF.union(CapabilitySet::PERFMON).union(CapabilitySet::SYS_RESOURCE);

/// Drops all others; nothing that is executed gets any back.
pub(super) fn keep_those_of_the_capture() {
    // The bounding set takes a right that a container's root does not have. Without it, the
    // no-new-privileges flag keeps programs from what the bounding set would allow.
    for capability in CapabilitySet::all().iter() {
        let _ = remove_capability_from_bounding_set(capability);
    }
    let _ = keep(OF_THE_CAPTURE);
}

/// Drops all, if the capture works without.
pub(super) fn drop_after(mut works: impl FnMut() -> bool) -> Rights {
    let Ok(held) = capabilities(None) else { return Rights::Kept };
    // What is still permitted can be taken up again.
    let lowered = CapabilitySets { effective: CapabilitySet::empty(), ..held };
    let works = set_capabilities(None, lowered).is_ok() && works();
    let (kept, rights) = match works {
        true => (CapabilitySet::empty(), Rights::Dropped),
        false => (CapabilitySet::BPF, Rights::OnlyBpf),
    };
    let effective = held.permitted & kept;
    let sets =
        CapabilitySets { effective, permitted: effective, inheritable: CapabilitySet::empty() };
    match set_capabilities(None, sets) {
        Ok(()) => rights,
        Err(_) => Rights::Kept,
    }
}

/// Drops this thread's capabilities, if `works` still does without them.
///
/// For a program that only listens; whether all are gone.
pub fn give_up(works: impl FnMut() -> bool) -> bool {
    drop_after(works) == Rights::Dropped
}

/// Drops this thread's capabilities: a thread that helps needs none.
pub fn drop_rights() {
    let _ = keep(CapabilitySet::empty());
}

/// Whether this thread has the right to attach anything.
pub(super) fn any() -> bool {
    capabilities(None).is_ok_and(|held| held.permitted.contains(CapabilitySet::BPF))
}

fn keep(these: CapabilitySet) -> io::Result<()> {
    let _ = clear_ambient_capability_set();
    let held = capabilities(None)?;
    let permitted = held.permitted & these;
    let effective = held.effective & these;
    set_capabilities(
        None,
        CapabilitySets { effective, permitted, inheritable: CapabilitySet::empty() },
    )
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// In a thread of its own, since it cannot be taken back.
    fn apart<T: Send>(run: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| scope.spawn(run).join().unwrap())
    }

    fn held() -> CapabilitySets {
        capabilities(None).unwrap()
    }

    #[test]
    fn all_go_when_the_capture_works_without_and_one_stays_when_it_does_not() {
        let before = held().permitted;
        let mut seen = None;
        let (rights, after) = apart(|| {
            let tried = || {
                seen = Some(held());
                true
            };
            (drop_after(tried), held())
        });
        assert_eq!(rights, Rights::Dropped);
        assert_eq!(seen.unwrap().effective, CapabilitySet::empty(), "tried with rights");
        let none = CapabilitySet::empty();
        assert_eq!((after.effective, after.permitted), (none, none));

        let (rights, after) = apart(|| (drop_after(|| false), held()));
        assert_eq!(rights, Rights::OnlyBpf);
        let bpf = before & CapabilitySet::BPF;
        assert_eq!((after.effective, after.permitted), (bpf, bpf));
        assert_eq!(held().permitted, before, "another thread's are its own");
    }
}
