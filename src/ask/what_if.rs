use std::io::{self, Write};

use jiff::Timestamp;

use super::table;
use crate::{
    local::v1::{WhatIfResponse, what_if_response},
    text::shown,
};

pub(super) fn table(answer: &WhatIfResponse, out: &mut impl Write) -> io::Result<()> {
    let now = Timestamp::now();
    let WhatIfResponse { max_attempts, episodes, would_fail, recovered, .. } = answer;
    let Some(since) = table::time(answer.since.as_ref()) else {
        return writeln!(
            out,
            "no image has failed on this node yet: there is nothing to learn from"
        );
    };
    writeln!(
        out,
        "With {max_attempts} attempts in at least {:#}, of {episodes} failing images in {:#}:\n  \
         {would_fail} pods would have been ended,\n  {recovered} of them had their image later: \
         ended by mistake,\n  {} were deleted later, {} were ended by pullfuse, {} are still \
         stuck,\n  {:#} of waiting would have been saved.",
        table::duration(answer.min_elapsed.as_ref()),
        table::ago(since, now),
        answer.deleted,
        answer.failed,
        answer.still_stuck,
        table::duration(answer.waiting_saved.as_ref()),
    )?;
    if !answer.classes.is_empty() {
        let mut table = table::new(&["CLASS", "WOULD FAIL", "RECOVERED"]);
        for what_if_response::Class { class, would_fail, recovered } in &answer.classes {
            table.add_row([shown(Some(class)), would_fail.to_string(), recovered.to_string()]);
        }
        writeln!(out, "\n{}", table.trim_fmt())?;
    }
    if !answer.regrets.is_empty() {
        let mut table = table::new(&["BY MISTAKE", "IMAGE", "WHEN"]);
        for regret in &answer.regrets {
            let at = table::time(regret.at.as_ref()).map(|at| table::ago(at, now));
            table.add_row([
                format!("{}/{}", shown(Some(&regret.namespace)), shown(Some(&regret.pod))),
                shown(Some(&regret.image)),
                at.map_or_else(String::new, |ago| format!("{ago:#} ago")),
            ]);
        }
        writeln!(out, "\n{}", table.trim_fmt())?;
    }
    Ok(())
}
