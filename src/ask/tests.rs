use jiff::SignedDuration;
use proptest::prelude::*;

use super::{listing::Listing, *};
use crate::{
    fixtures::{hostile, is_fit},
    local::v1::{
        Breaker, Change, FailingImage, GetPodResponse, Image, ListChangesResponse,
        ListImagesResponse, ListPodsResponse, ListRegistriesResponse, LogLevel, Part, Pull,
        Registry, StatusResponse, WatchResponse, watch_response, what_if_response,
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
    vec![show(Output::Table), show(Output::Json)]
}

/// A list, with all its columns and as JSON; colours are for terminals.
fn listed<L: Listing>(answer: &L) -> Vec<String> {
    let show = |output| {
        let mut out = Harmless::coloured(anstream::StripStream::new(Vec::new()));
        listing::all(answer, output, &mut out).unwrap();
        String::from_utf8(out.into_inner().into_inner()).unwrap()
    };
    vec![show(Output::Wide), show(Output::Json)]
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
            decision: "held".into(),
            because: text.clone(),
            held_by: text.clone(),
            ..FailingImage::default()
        };
        let change = Change {
            namespace: text.clone(),
            pod: text.clone(),
            image: text.clone(),
            registry: text.clone(),
            class: text.clone(),
            text: text.clone(),
            attempts: 1,
            ..Change::default()
        };
        let one = GetPodResponse {
            namespace: text.clone(),
            name: text.clone(),
            phase: text.clone(),
            outlook: text.clone(),
            images: vec![image.clone()],
            changes: vec![change.clone()],
            ..GetPodResponse::default()
        };
        let what = watch_response::What::Change(change.clone());
        let watched = WatchResponse { what: Some(what) };
        let changes = ListChangesResponse { changes: vec![change], since: None };
        let known = Image {
            image: text.clone(),
            class: text.clone(),
            host: text.clone(),
            pods: vec![text.clone()],
            advice: text.clone(),
            message: text.clone(),
            ..Image::default()
        };
        let images = ListImagesResponse { images: vec![known], since: None };
        let known = Registry {
            name: text.clone(),
            mirror_of: vec![text.clone()],
            class: text.clone(),
            state: v1::registry::State::Down.into(),
            ..Registry::default()
        };
        let registries = ListRegistriesResponse { registries: vec![known], since: None };
        let pods = ListPodsResponse { images: vec![image], holdup: text.clone() };
        let (namespace, pod) = (text.clone(), text.clone());
        let status = StatusResponse {
            version: text.clone(),
            node: text.clone(),
            parts: vec![Part { name: text.clone(), text: text.clone(), ..Part::default() }],
            pulls: vec![Pull { namespace, pod, image: text.clone(), ..Pull::default() }],
            breakers: vec![Breaker { registry: text.clone(), ..Breaker::default() }],
            log_level: Some(LogLevel {
                level: text.clone(),
                configured: text.clone(),
                until: Some(pbjson_types::Timestamp::default()),
            }),
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
            listed(&pods),
            listed(&images),
            listed(&registries),
            shown(&one, pod::detail),
            shown(&watched, changes::line),
            shown(&changes, |answer, out| changes::table(answer, SignedDuration::ZERO, out)),
            shown(&status, status::table),
            shown(&what_if, what_if::table),
        ];
        for out in all.concat() {
            prop_assert!(out.split('\n').all(is_fit), "{out:?}");
        }
        // A head, then one line: nothing in it makes another.
        prop_assert_eq!(listed(&images)[0].lines().count(), 2);
        prop_assert_eq!(shown(&watched, changes::line)[0].lines().count(), 1);
    }
}
