use jiff::Timestamp;

use super::times::{ago, time};
use crate::{local::v1::LogLevel, pods::clean};

pub(super) fn sentence(in_force: &LogLevel) -> String {
    let LogLevel { level, configured, until } = in_force;
    let level = clean(level);
    match time(until.as_ref()) {
        None => format!("the agent logs {level}, as configured"),
        Some(until) => format!(
            "the agent logs {level} for {:#}, then {} as configured",
            ago(Timestamp::now(), until),
            clean(configured)
        ),
    }
}
