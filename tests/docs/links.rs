use crate::pages::{all, root};

/// Folders at the top of the tree; a word that begins so is meant as a path.
const FOLDERS: [&str; 8] =
    ["src/", "tests/", "daemonset/", "docs/", "proto/", "benches/", "examples/", "components/"];

#[test]
fn every_link_leads_somewhere() {
    let pages = all();
    let mut broken = Vec::new();
    for page in &pages {
        for link in page.links() {
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.path.clone(),
                file => page.path.parent().unwrap().join(file),
            };
            let full = root().join(&target);
            let well = match full.canonicalize() {
                Ok(full) if anchor.is_empty() => full.starts_with(root()),
                Ok(full) => (pages.iter())
                    .find(|page| root().join(&page.path) == full)
                    .is_some_and(|page| page.anchors().iter().any(|known| known == anchor)),
                Err(_) => false,
            };
            if !well {
                broken.push(format!("{}: {link}", page.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

#[test]
fn every_path_that_is_named_exists() {
    let mut absent = Vec::new();
    for page in all() {
        for word in page.words() {
            let word = word.split_whitespace().next().unwrap_or_default();
            let path = word.split(['*', '{', ':']).next().unwrap_or_default().trim_end_matches('/');
            if !FOLDERS.iter().any(|folder| word.starts_with(folder)) {
                continue;
            }
            let places = ["", "daemonset", "tests"].map(|place| root().join(place).join(path));
            let module = root().join(format!("{path}.rs"));
            if !places.iter().chain([&module]).any(|place| place.exists()) {
                absent.push(format!("{}: {word}", page.path.display()));
            }
        }
    }
    assert!(absent.is_empty(), "named, but not there:\n{}", absent.join("\n"));
}
