use std::io::{self, Write};

use jiff::Timestamp;

use super::times::{ago, duration, past, time};
use crate::{
    local::v1::{WhatIfResponse, what_if_response},
    table::{Look, Rows},
};

pub(super) fn table(answer: &WhatIfResponse, out: &mut impl Write) -> io::Result<()> {
    let now = Timestamp::now();
    let WhatIfResponse { max_attempts, episodes, would_fail, recovered, .. } = answer;
    let Some(since) = time(answer.since.as_ref()) else {
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
        duration(answer.min_elapsed.as_ref()),
        ago(since, now),
        answer.deleted,
        answer.failed,
        answer.still_stuck,
        duration(answer.waiting_saved.as_ref()),
    )?;
    if !answer.classes.is_empty() {
        let mut table = Rows::new(&["CLASS", "WOULD FAIL", "RECOVERED"]);
        for what_if_response::Class { class, would_fail, recovered } in &answer.classes {
            let look = if *recovered > 0 { Look::Warning } else { Look::Plain };
            table.add(look, [class.clone(), would_fail.to_string(), recovered.to_string()]);
        }
        writeln!(out)?;
        table.write(out)?;
    }
    if !answer.regrets.is_empty() {
        let mut table = Rows::new(&["BY MISTAKE", "IMAGE", "WHEN"]);
        for regret in &answer.regrets {
            let pod = format!("{}/{}", regret.namespace, regret.pod);
            let when = past(regret.at.as_ref(), now);
            table.add(Look::Warning, [pod, regret.image.clone(), when]);
        }
        writeln!(out)?;
        table.write(out)?;
    }
    Ok(())
}
