use std::collections::BTreeSet;

use pullfuse::{
    classify::{Class, Disposition},
    config::{Config, MaxAttempts, parse, reference},
};
use strum::VariantNames;

use crate::pages::{Page, all, root};

/// Writes generated parts anew instead of comparing them.
const UPDATE: &str = "UPDATE_DOCS";

fn page(path: &str) -> Page {
    all().into_iter().find(|page| page.path.to_str() == Some(path)).unwrap()
}

#[test]
fn the_table_of_keys_is_up_to_date() {
    let (begin, end) = ("<!-- keys: generated -->\n", "<!-- end -->");
    let page = page("docs/config.md");
    let (before, rest) = page.text.split_once(begin).unwrap();
    let (table, after) = rest.split_once(end).unwrap();
    let expected = format!("\n{}\n", reference::markdown());
    if std::env::var_os(UPDATE).is_some() {
        let text = format!("{before}{begin}{expected}{end}{after}");
        std::fs::write(root().join("docs/config.md"), text).unwrap();
    } else {
        assert!(table == expected, "docs/config.md is stale: {UPDATE}=1 cargo test --test docs");
    }
}

/// The keys that the parser knows in a table; it lists them when it meets another.
fn known(table: &str) -> Vec<String> {
    let head = match table.strip_suffix("[]") {
        Some(list) => format!("[[{list}]]\n"),
        None if table.is_empty() => String::new(),
        None => format!("[{}]\n", table.replace("CLASS", "not_found")),
    };
    let error = parse(&format!("{head}nosuch = 1\n")).unwrap_err();
    let (_, list) = error.split_once("unknown field `nosuch`, expected ").unwrap();
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_key_of_the_code_is_documented_and_no_other() {
    let documented: BTreeSet<_> = reference::KEYS.iter().map(|key| key.path.to_owned()).collect();
    let mut found = BTreeSet::new();
    let mut tables = vec![String::new()];
    while let Some(table) = tables.pop() {
        for name in known(&table) {
            let path = if table.is_empty() { name } else { format!("{table}.{name}") };
            let deeper = |way: &str| {
                let start = format!("{path}{way}.");
                documented.iter().any(|key| key.starts_with(&start)).then(|| format!("{path}{way}"))
            };
            match deeper("").or_else(|| deeper("[]")) {
                Some(_) if path == "limits.class" => tables.push("limits.class.CLASS".into()),
                Some(table) => tables.push(table),
                None => drop(found.insert(path)),
            }
        }
    }
    assert_eq!(found, documented, "left: in the code; right: in src/config/reference.rs");
}

/// What `[limits]` come to: their defaults are filled in where they are used.
fn limits(config: &Config) -> Vec<(MaxAttempts, jiff::SignedDuration)> {
    use Disposition::{Ambiguous, NodeFault, Permanent, Transient};
    [Permanent, Ambiguous, Transient, NodeFault]
        .map(|disposition| config.limits.of_disposition(disposition))
        .map(|limit| (limit.max_attempts, limit.min_elapsed))
        .into()
}

#[test]
fn every_default_is_the_code_s() {
    let defaults = Config::default();
    for key in reference::KEYS.iter().filter(|key| !key.default.is_empty()) {
        let text = match key.path.split_once("[].") {
            Some((list, name)) => format!("[[{list}]]\nname = \"x\"\n{name} = {}\n", key.default),
            None => format!("{} = {}\n", key.path, key.default),
        };
        let mut config = parse(&text).unwrap_or_else(|error| panic!("{}: {error}", key.path));
        if key.path.starts_with("scopes[]") {
            assert_eq!(config, parse("[[scopes]]\nname = \"x\"").unwrap(), "{}", key.path);
            continue;
        }
        assert_eq!(limits(&config), limits(&defaults), "{}", key.path);
        config.limits = defaults.limits.clone();
        assert_eq!(config, defaults, "{}", key.path);
    }
}

#[test]
fn every_class_of_causes_is_documented() {
    let words: BTreeSet<_> = page("docs/causes.md").words().into_iter().collect();
    for class in Class::VARIANTS {
        assert!(words.contains(*class), "docs/causes.md lacks {class}");
    }
}

#[test]
fn the_table_of_the_chart_s_values_is_whole() {
    let values = std::fs::read_to_string(root().join("daemonset/helm/values.yaml")).unwrap();
    let values: serde_json::Value = serde_yaml_ng::from_str(&values).unwrap();
    let mut expected = BTreeSet::new();
    for (name, value) in values.as_object().unwrap() {
        match value.as_object() {
            Some(inner) if !inner.is_empty() => {
                expected.extend(inner.keys().map(|key| format!("{name}.{key}")));
            }
            _ => drop(expected.insert(name.clone())),
        }
    }
    let text = page("docs/install.md").text;
    let (_, table) = text.split_once("| value | default | meaning |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with("| `"));
    let named: BTreeSet<_> = rows.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect();
    assert_eq!(named, expected, "left: docs/install.md; right: values.yaml");
}

#[test]
fn every_component_is_documented() {
    let words: BTreeSet<_> = page("docs/install.md").words().into_iter().collect();
    for component in root().join("daemonset/components").read_dir().unwrap() {
        let name = component.unwrap().file_name().into_string().unwrap();
        assert!(words.contains(&format!("components/{name}")), "docs/install.md lacks {name}");
    }
}

/// What Events say, as the code writes it: words in CamelCase where a note is made.
#[test]
fn every_reason_of_an_event_is_documented() {
    let named: BTreeSet<_> = page("docs/signals.md").words().into_iter().collect();
    let word = regex::Regex::new(r#""([A-Z][a-z]+(?:[A-Z][a-z]+)+)""#).unwrap();
    let mut found = 0;
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            if !code.contains("Note {") || path.ends_with("events.rs") {
                continue;
            }
            for word in word.captures_iter(code).map(|found| found[1].to_owned()) {
                found += 1;
                assert!(named.contains(&word), "docs/signals.md lacks {word}");
            }
        }
    }
    assert!(found > 8, "only {found} words");
}
