//! The user's rules on errors: what they say, and which of them can never be reached.

use serde::Serialize;

use crate::{
    classify::Disposition,
    config::{Config, Rule},
};

/// One of `[[rules]]`.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// Its name, or its place.
    pub(super) name: String,
    /// When it holds.
    pub(super) when: String,
    /// What it says then.
    pub(super) result: String,
}

pub(super) fn rows(config: &Config) -> Vec<Row> {
    config.rules.iter().enumerate().map(|(at, rule)| row(at, rule)).collect()
}

fn row(at: usize, rule: &Rule) -> Row {
    let conditions = [
        rule.pattern.as_ref().map(|pattern| format!("match {}", pattern.as_str())),
        rule.registry.as_ref().map(|registry| format!("registry {registry}")),
        rule.code.map(|code| format!("code {}", code.as_str())),
    ];
    let results = [
        rule.class.map(|class| class.as_str().to_owned()),
        rule.disposition.map(|disposition| disposition.as_str().to_owned()),
    ];
    let join = |parts: [Option<String>; 3], with| {
        parts.into_iter().flatten().collect::<Vec<_>>().join(with)
    };
    let [class, disposition] = results;
    Row {
        name: name(at, rule),
        when: join(conditions, " and "),
        result: join([class, disposition, None], ", "),
    }
}

fn name(at: usize, rule: &Rule) -> String {
    rule.name.clone().unwrap_or_else(|| format!("rules[{at}]"))
}

/// Whether `earlier` holds wherever `later` does, as far as their texts can tell.
fn covers(earlier: &Rule, later: &Rule) -> bool {
    let same_or_open = |earlier: Option<String>, later: Option<String>| {
        earlier.is_none_or(|earlier| later == Some(earlier))
    };
    let pattern = |rule: &Rule| rule.pattern.as_ref().map(|pattern| pattern.as_str().to_owned());
    let registry = |rule: &Rule| rule.registry.as_ref().map(ToString::to_string);
    same_or_open(pattern(earlier), pattern(later))
        && same_or_open(registry(earlier), registry(later))
        && earlier.code.is_none_or(|code| later.code == Some(code))
}

/// Sentences that say what to do.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    for (at, rule) in config.rules.iter().enumerate() {
        let name = name(at, rule);
        let earlier = config.rules.iter().enumerate().take(at);
        if let Some((before, earlier)) =
            earlier.into_iter().find(|(_, earlier)| covers(earlier, rule))
        {
            let before = self::name(before, earlier);
            warnings.push(format!(
                "rule `{name}` can never match: rule `{before}` before it holds wherever it would; \
                 move `{name}` up, or remove it"
            ));
        }
        let by_class = rule.class.map(crate::classify::Class::disposition);
        let passes =
            |of: Disposition| matches!(of, Disposition::Transient | Disposition::NodeFault);
        if let (Some(class), Some(of_class), Some(own)) = (rule.class, by_class, rule.disposition)
            && passes(of_class)
            && !passes(own)
        {
            warnings.push(format!(
                "rule `{name}`: what is {} passes by itself, yet as {} it ends pods; leave out \
                 disposition unless you mean it",
                class.as_str(),
                own.as_str()
            ));
        }
    }
    warnings
}
