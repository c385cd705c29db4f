//! Writes random schedules of the simulation, one JSON text a line in the format of tests/client-rule, so
//! that another implementation of the rule can be run against them.
//!
//! `rule_schedules FIRST LAST` writes those of the seeds FIRST to LAST.
use std::{
    env,
    error::Error,
    io::{BufWriter, Write, stdout},
};

use serde_json::json;

#[path = "../tests/rule/case_json.rs"]
mod case_json;
#[path = "../tests/rule/simulation/mod.rs"]
mod simulation;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [first, last] = arguments.as_slice() else { return Err("usage: rule_schedules FIRST LAST".into()) };
    let mut output = BufWriter::new(stdout().lock());
    for seed in first.parse()?..=last.parse()? {
        let mut steps = Vec::new();
        simulation::run(seed, Some(&mut steps));
        let case = json!({ "behavior": format!("Schedule of the seed {seed}."), "of": "conversation", "steps": steps });
        serde_json::to_writer(&mut output, &case)?;
        output.write_all(b"\n")?;
    }
    Ok(output.flush()?)
}
