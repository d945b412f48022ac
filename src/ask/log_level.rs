use jiff::Timestamp;

use super::times::{ago, time};
use crate::{local::v1::LogLevel, text::shown};

pub(super) fn sentence(in_force: &LogLevel) -> String {
    let LogLevel { level, configured, until } = in_force;
    let (level, configured) = (shown(Some(level)), shown(Some(configured)));
    match time(until.as_ref()) {
        None => format!("the agent logs {level}, as configured"),
        Some(until) => format!(
            "the agent logs {level} for {:#}, then {} as configured",
            ago(Timestamp::now(), until),
            configured
        ),
    }
}
