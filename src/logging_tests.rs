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

fn level() -> (Level, Arc<Mutex<Vec<String>>>) {
    let applied = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&applied);
    let level = Level::new("info", move |filter| {
        seen.lock().unwrap().push(filter.to_string());
        true
    });
    (level, applied)
}

#[tokio::test(start_paused = true)]
async fn another_level_holds_for_a_while_and_the_last_word_counts() {
    let (level, applied) = level();
    level.set("debug", Duration::from_secs(60)).unwrap();
    tokio::time::sleep(Duration::from_secs(50)).await;
    let second = level.set("pullfuse=trace,warn", Duration::from_secs(60)).unwrap();
    assert!(second.until.is_some());
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(level.in_force().level, "pullfuse=trace,warn", "the first one's time is over");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(level.in_force(), InForce { level: "info".into(), until: None });
    assert_eq!(*applied.lock().unwrap(), ["debug", "pullfuse=trace,warn", "info"]);
}

#[tokio::test]
async fn what_is_no_level_is_refused_and_changes_nothing() {
    let (level, applied) = level();
    for (bad, why) in [("debgu", "`debgu`"), ("a=b", "a=b"), ("", "``"), ("info,,", "``")] {
        let error = level.set(bad, Duration::from_secs(60)).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("pullfuse=debug,info"), "{error}");
    }
    for lasting in [Duration::ZERO, Duration::from_secs(24 * 3600 + 1)] {
        assert_eq!(level.set("debug", lasting), Err(LevelError::Lasting(lasting)));
    }
    assert!(applied.lock().unwrap().is_empty());
}
