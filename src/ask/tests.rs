use proptest::prelude::*;

use super::*;
use crate::{
    fixtures::{hostile, is_fit},
    local::v1::{
        Breaker, FailingImage, ListPodsResponse, Part, Pull, StatusResponse, what_if_response,
    },
    text::Harmless,
};

/// What a command shows, as a table and as JSON.
fn shown<T: Serialize>(
    answer: &T,
    table: impl Fn(&T, &mut Harmless<Vec<u8>>) -> io::Result<()>,
) -> Vec<String> {
    let show = |format| {
        let mut out = Harmless::new(Vec::new());
        super::show(format, answer, &mut out, &table).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    };
    vec![show(Format::Table), show(Format::Json)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// An agent of another version may not have taken the same care.
    #[test]
    fn whatever_an_agent_answers_a_terminal_takes_no_harm(text in hostile()) {
        let image = FailingImage {
            namespace: text.clone(),
            pod: text.clone(),
            pod_uid: text.clone(),
            image: text.clone(),
            attempts_by_class: [(text.clone(), 1)].into(),
            source: text.clone(),
            class: text.clone(),
            disposition: text.clone(),
            rule: text.clone(),
            host: text.clone(),
            reason: text.clone(),
            message: text.clone(),
            advice: text.clone(),
            scope: text.clone(),
            outlook: text.clone(),
            verdict: text.clone(),
            ..FailingImage::default()
        };
        let pods = ListPodsResponse { images: vec![image] };
        let (namespace, pod) = (text.clone(), text.clone());
        let status = StatusResponse {
            version: text.clone(),
            node: text.clone(),
            parts: vec![Part { name: text.clone(), text: text.clone(), ..Part::default() }],
            pulls: vec![Pull { namespace, pod, image: text.clone(), ..Pull::default() }],
            breakers: vec![Breaker { registry: text.clone(), ..Breaker::default() }],
            ..StatusResponse::default()
        };
        let class = what_if_response::Class { class: text.clone(), ..Default::default() };
        let regret = what_if_response::Regret {
            namespace: text.clone(),
            pod: text.clone(),
            image: text.clone(),
            at: None,
        };
        let what_if = v1::WhatIfResponse {
            since: Some(pbjson_types::Timestamp::default()),
            classes: vec![class],
            regrets: vec![regret],
            ..Default::default()
        };
        let all = [
            shown(&pods, pods::table),
            shown(&pods, pods::detail),
            shown(&status, status::table),
            shown(&what_if, what_if::table),
        ];
        for out in all.concat() {
            prop_assert!(out.split('\n').all(is_fit), "{out:?}");
        }
        // A head, then one line: nothing in it makes another.
        prop_assert_eq!(shown(&pods, pods::table)[0].lines().count(), 2);
    }
}
