use jiff::Timestamp;

use super::{
    listing::Listing,
    times::{coming, past, time},
};
use crate::{
    local::{
        length,
        v1::{Image, ListImagesResponse},
    },
    table::{Look, Rows},
};

impl Listing for ListImagesResponse {
    type Row = Image;

    fn items(&self) -> &[Image] {
        &self.images
    }

    fn name(image: &Image) -> String {
        image.image.clone()
    }

    fn table(&self, wide: bool) -> Rows {
        let now = Timestamp::now();
        let mut head = vec![
            "IMAGE",
            "FAILURES",
            "LAST SUCCESS",
            "LAST FAILURE",
            "CLASS",
            "HOST",
            "WAITING",
            "NEXT ATTEMPT",
        ];
        if wide {
            head.extend(["LAST PULL TOOK", "PODS", "ADVICE", "ERROR"]);
        }
        let mut rows = Rows::new(&head);
        for image in &self.images {
            let next = time(image.next_attempt.as_ref()).map(|at| coming(at, now));
            let mut row = vec![
                image.image.clone(),
                image.failures.to_string(),
                past(image.last_success.as_ref(), now),
                past(image.last_failure.as_ref(), now),
                image.class.clone(),
                image.host.clone(),
                pods(image.pods_waiting),
                next.unwrap_or_default(),
            ];
            if wide {
                row.extend([
                    took(image.last_pull.as_ref()),
                    image.pods.join(" "),
                    image.advice.clone(),
                    image.message.clone(),
                ]);
            }
            rows.add(look(image), row);
        }
        rows
    }

    fn nothing(&self) -> String {
        match time(self.since.as_ref()) {
            Some(since) => format!("no pull was seen since {since:.0}"),
            None => "no pull was seen yet".into(),
        }
    }
}

fn look(image: &Image) -> Look {
    match (image.failures, image.disposition.as_str()) {
        (0, _) => Look::Plain,
        (_, "permanent") => Look::Bad,
        _ => Look::Warning,
    }
}

fn pods(number: u32) -> String {
    match number {
        0 => String::new(),
        1 => "1 pod".into(),
        more => format!("{more} pods"),
    }
}

/// With tenths: most pulls are short.
pub(super) fn took(of: Option<&pbjson_types::Duration>) -> String {
    let Some(of) = of else { return String::new() };
    format!("{:.1}s", length(of).as_secs_f64())
}
