//! From the OpenMetrics text format to Prometheus' own, for who asks for that. Pure.

use std::fmt::Write as _;

/// The media type of Prometheus' text format.
pub(super) const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// They differ in what is said of a family: there its name is that of its series, there are fewer
/// types, and no units and no end.
pub(super) fn prometheus(openmetrics: &str) -> String {
    let mut plain = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines() {
        // Writing to a String cannot fail.
        let _ = match line.strip_prefix("# ") {
            None => writeln!(plain, "{line}"),
            Some(about) => match about.splitn(3, ' ').collect::<Vec<_>>()[..] {
                ["HELP", name, text] => {
                    help = Some((name, text));
                    continue;
                }
                ["TYPE", name, kind] => {
                    let (ending, kind) = match kind {
                        "counter" => ("_total", "counter"),
                        "info" => ("_info", "gauge"),
                        "unknown" => ("", "untyped"),
                        kind => ("", kind),
                    };
                    if let Some((_, text)) = help.take().filter(|(of, _)| *of == name) {
                        let _ = writeln!(plain, "# HELP {name}{ending} {text}");
                    }
                    writeln!(plain, "# TYPE {name}{ending} {kind}")
                }
                _ => continue,
            },
        };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_called_as_their_series_are() {
        let openmetrics = "\
# HELP p_attempts Failed attempts.
# TYPE p_attempts counter
p_attempts_total{class=\"# TYPE x\"} 3
# HELP p_build The build.
# TYPE p_build info
p_build_info{version=\"1\"} 1
# HELP p_took_seconds How long.
# TYPE p_took_seconds histogram
# UNIT p_took_seconds seconds
p_took_seconds_sum 1.5
# EOF
";
        let plain = "\
# HELP p_attempts_total Failed attempts.
# TYPE p_attempts_total counter
p_attempts_total{class=\"# TYPE x\"} 3
# HELP p_build_info The build.
# TYPE p_build_info gauge
p_build_info{version=\"1\"} 1
# HELP p_took_seconds How long.
# TYPE p_took_seconds histogram
p_took_seconds_sum 1.5
";
        assert_eq!(prometheus(openmetrics), plain);
    }
}
