//! The configuration in effect, made ready for use.

use crate::{classify::Classifier, config::Config, policy::Policy};

/// A configuration, its rules and its policy; replaced as a whole when the file changes.
#[derive(Debug)]
pub struct Settings {
    /// The configuration.
    pub config: Config,
    /// Its rules, and pullfuse's own.
    pub classifier: Classifier,
    /// Its limits and scopes.
    pub policy: Policy,
}

impl Settings {
    /// Makes a configuration ready.
    pub fn new(config: Config) -> Self {
        let (classifier, policy) = (Classifier::new(&config.rules), Policy::new(&config));
        Self { config, classifier, policy }
    }
}
