use proptest::prelude::*;

use super::*;
use crate::{
    fixtures::{cause, hostile, is_fit, key, start, tally},
    pods::Trouble,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Also those that an older pullfuse kept in the ledger as they came.
    #[test]
    fn a_verdict_is_fit_for_status_and_annotation(
        image in hostile(), reason in hostile(), message in hostile(), advice in hostile(),
        host in hostile(),
    ) {
        let key = PullKey { image, ..key() };
        let tally = Tally { trouble: Trouble { reason, message }, ..tally(3) };
        let cause = Cause { advice, host: Some(host), ..cause() };
        let record = VerdictRecord::new(key, tally, cause, start(), Method::Status);
        let text = record.text();
        prop_assert!(text.len() <= TEXT_LIMIT && is_fit(&text), "{text:?}");
        prop_assert!(text.contains("3 failed attempts") || text.contains(" ... "), "{}", text);
        let annotation = record.annotation();
        // A pod has 256 KiB for all its annotations.
        prop_assert!(annotation.len() <= 4096 && is_fit(&annotation), "{annotation:?}");
        let value: serde_json::Value = serde_json::from_str(&annotation).unwrap();
        prop_assert_eq!(&value["attempts"], 3);
    }
}
