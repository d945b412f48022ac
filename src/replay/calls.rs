use std::io::Write;

use serde::Serialize;

use super::{ReplayError, remarks, seconds, write_json};
use crate::{
    classify::{Class, Classifier, Code, Disposition, Failure},
    cli::Format,
    recording::Recording,
    table,
    text::shown,
    wire::{Decoder, Exchange, Outcome},
};

/// Writes each call with its cause.
pub(super) fn show(
    mut recording: Recording,
    output: Format,
    to: &mut dyn Write,
) -> Result<(), ReplayError> {
    let mut decoder = Decoder::new();
    let classifier = Classifier::new(&[]);
    let mut calls = Vec::new();
    while let Some(line) = recording.next_line()? {
        let ended = decoder.feed(&line.record());
        let ended = ended.into_iter().map(|exchange| Call::judged(exchange, &classifier));
        match output {
            Format::Json => write_json(ended, to)?,
            Format::Table => calls.extend(ended),
        }
    }
    if output == Format::Table {
        writeln!(to, "{}", rows(&calls))?;
        remarks(&decoder, to)?;
    }
    Ok(())
}

/// A call and, where it failed, why. In JSON, `null` is unknown.
#[derive(Serialize)]
struct Call {
    #[serde(flatten)]
    exchange: Exchange,
    class: Option<Class>,
    disposition: Option<Disposition>,
    host: Option<String>,
    rule: Option<String>,
}

impl Call {
    fn judged(exchange: Exchange, classifier: &Classifier) -> Self {
        let cause = (exchange.outcome == Outcome::Failed).then(|| {
            classifier.classify(&Failure {
                message: exchange.message.as_deref().unwrap_or_default(),
                code: exchange.code.and_then(Code::of),
                image: exchange.pull.image.as_deref(),
                ..Failure::default()
            })
        });
        Self {
            class: cause.as_ref().map(|cause| cause.class),
            disposition: cause.as_ref().map(|cause| cause.disposition),
            host: cause.as_ref().and_then(|cause| cause.host.clone()),
            rule: cause.map(|cause| cause.rule),
            exchange,
        }
    }
}

const COLUMNS: [&str; 10] =
    ["START", "TOOK", "NAMESPACE", "POD", "IMAGE", "OUTCOME", "CLASS", "HOST", "CODE", "MESSAGE"];

fn rows(calls: &[Call]) -> String {
    let mut table = table::plain();
    table.set_header(COLUMNS);
    for Call { exchange, class, host, .. } in calls {
        let Exchange { connection: _, stream: _, pull, start_us, end_us, outcome, code, message } =
            exchange;
        let outcome = format!("{outcome:?}").to_lowercase();
        table.add_row([
            seconds(*start_us),
            seconds(end_us.saturating_sub(*start_us)),
            shown(pull.namespace.as_deref()),
            shown(pull.pod.as_deref()),
            shown(pull.image.as_deref()),
            outcome,
            class.map_or("-", Class::as_str).to_owned(),
            host.clone().unwrap_or_else(|| "-".into()),
            code.map_or_else(|| shown(None), |code| code.to_string()),
            shown(message.as_deref()),
        ]);
    }
    table::text(table)
}
