use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::fixtures::start;

fn at(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn caps(per_node: u32, per_namespace: u32) -> config::Caps {
    config::Caps { per_node, per_namespace, window: SignedDuration::from_secs(60) }
}

/// Asks, and counts when allowed.
fn end(kept: &mut Caps, caps: &config::Caps, namespace: &str, second: i64) -> Result<(), HeldBack> {
    kept.allow(caps, namespace, at(second))?;
    kept.record(caps, namespace, at(second));
    Ok(())
}

#[test]
fn a_namespace_and_the_node_are_capped_and_room_comes_back() {
    let (mut kept, caps) = (Caps::default(), caps(3, 2));
    assert_eq!(end(&mut kept, &caps, "a", 0), Ok(()));
    assert_eq!(end(&mut kept, &caps, "a", 10), Ok(()));
    let held = |which, until| Err(HeldBack { which, until: at(until) });
    assert_eq!(end(&mut kept, &caps, "a", 20), held(Cap::PerNamespace, 60));
    assert_eq!(end(&mut kept, &caps, "b", 20), Ok(()));
    assert_eq!(end(&mut kept, &caps, "c", 30), held(Cap::PerNode, 60));
    assert_eq!(end(&mut kept, &caps, "c", 59), held(Cap::PerNode, 60));
    assert_eq!(end(&mut kept, &caps, "c", 60), Ok(()));
    assert_eq!(end(&mut kept, &caps, "a", 61), held(Cap::PerNode, 70));
    assert_eq!(kept.on_node(&caps, at(61)), 3);
}

#[test]
fn a_verdict_that_ended_no_pod_makes_room() {
    let (mut kept, caps) = (Caps::default(), caps(2, 1));
    assert_eq!(end(&mut kept, &caps, "a", 0), Ok(()));
    assert_eq!(end(&mut kept, &caps, "b", 0), Ok(()));
    kept.forget("a", at(7));
    assert_eq!(kept.on_node(&caps, at(8)), 2, "there was none of that time");
    kept.forget("a", at(0));
    assert_eq!(end(&mut kept, &caps, "b", 9).unwrap_err().which, Cap::PerNamespace);
    assert_eq!(end(&mut kept, &caps, "a", 9), Ok(()));
}

#[test]
fn a_clock_that_goes_back_holds_for_no_longer_than_a_window() {
    let (mut kept, caps) = (Caps::default(), caps(1, 1));
    end(&mut kept, &caps, "a", 1_000_000).unwrap();
    assert_eq!(end(&mut kept, &caps, "a", 0).unwrap_err().until, at(60));
    assert_eq!(end(&mut kept, &caps, "a", 60), Ok(()));
}

proptest! {
    /// Whatever is asked for when, with restarts in between: no window holds more than the caps.
    #[test]
    fn no_window_holds_more_than_the_caps(
        asked in prop::collection::vec((0..40i64, 0..3usize, any::<bool>()), 0..80),
        per_node in 1..6u32, per_namespace in 1..6u32,
    ) {
        let (mut kept, caps) = (Caps::default(), caps(per_node, per_namespace));
        let (mut second, mut ended) = (0, Vec::new());
        for (pause, namespace, restart) in asked {
            second += pause;
            if restart {
                kept = serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap();
            }
            let name = ["a", "b", "c"][namespace];
            match end(&mut kept, &caps, name, second) {
                Ok(()) => ended.push((second, name)),
                Err(held) => prop_assert!(held.until > at(second) && held.until <= at(second + 60)),
            }
        }
        for &(from, name) in &ended {
            let window = || ended.iter().filter(|(s, _)| (from..from + 60).contains(s));
            prop_assert!(window().count() <= per_node as usize);
            prop_assert!(window().filter(|(_, n)| *n == name).count() <= per_namespace as usize);
        }
    }
}
