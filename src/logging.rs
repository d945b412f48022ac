//! Structured logs on standard error.

use std::io::{Write, stderr};

use tracing_subscriber::{Layer, filter::Targets, prelude::*, registry::LookupSpan};

use crate::{
    config::{Log, LogFormat},
    text::Harmless,
};

/// Starts logging; the configuration's filter has been checked before.
pub fn start(log: &Log) {
    let filter: Targets = log.level.parse().unwrap_or_default();
    tracing_subscriber::registry().with(lines(log.format, stderr).with_filter(filter)).init();
}

fn lines<S, W>(format: LogFormat, to: impl Fn() -> W + Send + Sync + 'static) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: Write + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_ansi(false);
    // Each line is one write.
    let lines = lines.with_writer(move || Harmless::whole_lines(to()));
    match format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.boxed(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::*;
    use crate::fixtures::{hostile, is_fit};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, event: impl FnOnce()) -> String {
        let kept = Kept::default();
        let to = kept.clone();
        let subscriber = tracing_subscriber::registry().with(lines(format, move || to.clone()));
        tracing::subscriber::with_default(subscriber, event);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_text_breaks_a_line(text in hostile()) {
            for format in [LogFormat::Json, LogFormat::Text] {
                let log = logged(format, || tracing::info!(text, ?text, "it was {text}"));
                prop_assert!(log.split('\n').all(is_fit), "{log:?}");
                if format == LogFormat::Json {
                    let line: serde_json::Value = serde_json::from_str(&log).unwrap();
                    prop_assert!(line["text"].is_string() && line["level"] == "INFO");
                }
            }
        }
    }

    #[test]
    fn no_credential_passes() {
        for format in [LogFormat::Json, LogFormat::Text] {
            let log = logged(format, || {
                let url = "https://me:MARKER@r/?sig=MARKER";
                tracing::trace!(password = "MARKER", url, header = "Authorization: Bearer MARKER");
            });
            assert!(log.contains("?sig=***") && !log.contains("MARKER"), "{log}");
        }
    }
}
