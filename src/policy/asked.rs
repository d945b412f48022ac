use crate::{
    config::{Action, Annotations},
    pods::{Asked, MAX_ATTEMPTS_ANNOTATION, MODE_ANNOTATION},
};

/// What a pod asks for, as far as it is understood and allowed.
#[derive(Debug, Default)]
pub(super) struct Asking {
    pub(super) max_attempts: Option<u32>,
    /// Never [`Action::Fail`].
    pub(super) action: Option<Action>,
    /// A sentence about each annotation that is not followed.
    pub(super) bad: Vec<String>,
}

impl Asking {
    pub(super) fn read(asked: &Asked, allowed: &Annotations) -> Self {
        let mut asking = Self::default();
        match asked.max_attempts.as_deref().map(|text| attempts(text, allowed)) {
            Some(Ok(number)) => asking.max_attempts = Some(number),
            Some(Err(sentence)) => asking.bad.push(sentence),
            None => {}
        }
        match asked.mode.as_deref().map(|text| mode(text, allowed)) {
            Some(Ok(action)) => asking.action = Some(action),
            Some(Err(sentence)) => asking.bad.push(sentence),
            None => {}
        }
        asking
    }
}

fn attempts(text: &str, allowed: &Annotations) -> Result<u32, String> {
    let Some(bounds) = allowed.max_attempts else {
        return Err(format!(
            "annotation {MAX_ATTEMPTS_ANNOTATION} is not allowed on this node; its own limits hold"
        ));
    };
    match text.trim().parse::<u32>() {
        Ok(number) if (bounds.min..=bounds.max).contains(&number) => Ok(number),
        _ => Err(format!(
            "annotation {MAX_ATTEMPTS_ANNOTATION}: \"{text}\" is not a number from {} to {}; the \
             node's own limits hold",
            bounds.min, bounds.max
        )),
    }
}

fn mode(text: &str, allowed: &Annotations) -> Result<Action, String> {
    match text.trim() {
        _ if !allowed.mode => Err(format!(
            "annotation {MODE_ANNOTATION} is not allowed on this node; its own configuration holds"
        )),
        "ignore" => Ok(Action::Ignore),
        "report" => Ok(Action::Report),
        _ => Err(format!(
            "annotation {MODE_ANNOTATION}: \"{text}\" is neither \"ignore\" nor \"report\"; the \
             node's own configuration holds"
        )),
    }
}
