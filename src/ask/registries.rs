use jiff::Timestamp;

use super::{
    images::took,
    listing::Listing,
    times::{ago, past, time},
};
use crate::{
    local::v1::{Breaker, ListRegistriesResponse, Registry, breaker, registry::State},
    table::{Look, Rows},
};

impl Listing for ListRegistriesResponse {
    type Row = Registry;

    fn items(&self) -> &[Registry] {
        &self.registries
    }

    fn name(registry: &Registry) -> String {
        registry.name.clone()
    }

    fn table(&self, wide: bool) -> Rows {
        let now = Timestamp::now();
        let mut head = vec![
            "REGISTRY",
            "STATE",
            "PULLS",
            "SUCCESS",
            "MEDIAN",
            "FAILING IMAGES",
            "LAST SUCCESS",
            "LAST FAILURE",
            "BREAKER",
        ];
        if wide {
            head.extend(["LAST CLASS", "MIRROR OF"]);
        }
        let mut rows = Rows::new(&head);
        for registry in &self.registries {
            let Registry { succeeded, failed, .. } = registry;
            let mut row = vec![
                registry.name.clone(),
                state(registry),
                succeeded.saturating_add(*failed).to_string(),
                success(registry),
                took(registry.median.as_ref()),
                registry.failing_images.to_string(),
                past(registry.last_success.as_ref(), now),
                past(registry.last_failure.as_ref(), now),
                breaker(registry.breaker.as_ref(), now),
            ];
            if wide {
                row.extend([registry.class.clone(), registry.mirror_of.join(" ")]);
            }
            rows.add(look(registry), row);
        }
        rows
    }

    fn nothing(&self) -> String {
        match time(self.since.as_ref()) {
            Some(since) => format!("no registry was asked for an image since {since:.0}"),
            None => "no registry was asked for an image yet".into(),
        }
    }
}

fn look(registry: &Registry) -> Look {
    match (&registry.breaker, registry.state()) {
        (None, State::Up | State::Unspecified) => Look::Plain,
        (None, State::Down) => Look::Warning,
        (Some(_), _) => Look::Bad,
    }
}

fn state(registry: &Registry) -> String {
    match registry.state() {
        State::Up => "up".into(),
        State::Down => format!("down: {}", registry.class),
        State::Unspecified => String::new(),
    }
}

/// Of a mirror only failures are seen.
fn success(registry: &Registry) -> String {
    let all = registry.succeeded.saturating_add(registry.failed);
    if all == 0 || (registry.succeeded == 0 && !registry.mirror_of.is_empty()) {
        return String::new();
    }
    format!("{}%", u64::from(registry.succeeded) * 100 / u64::from(all))
}

/// `closed` without one.
pub(super) fn breaker(breaker: Option<&Breaker>, now: Timestamp) -> String {
    let Some(breaker) = breaker else { return "closed".into() };
    let state = match breaker.state() {
        breaker::State::Open => "open",
        breaker::State::HalfOpen => "half open",
        breaker::State::Unspecified => "unknown",
    };
    match time(breaker.until.as_ref()) {
        Some(until) => format!("{state}, {:#} at most", ago(now, until)),
        None => state.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_has_no_rate_of_success() {
        let registry = |succeeded, failed| Registry { succeeded, failed, ..Registry::default() };
        assert_eq!(success(&registry(0, 0)), "");
        assert_eq!(success(&registry(0, 3)), "0%");
        assert_eq!(success(&registry(2, 1)), "66%");
        let mirror = Registry { mirror_of: vec!["docker.io".into()], ..registry(0, 3) };
        assert_eq!(success(&mirror), "");
    }
}
