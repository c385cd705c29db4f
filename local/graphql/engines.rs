//! A JavaScript engine for each thread that resolves fields: an engine never leaves its thread, and a handler is too
//! short to be worth a change of thread.
use std::{cell::OnceCell, time::Duration};

use crate::{
    resolver::{Engine, Handler, Run},
    stack::Code,
};

thread_local! {
    static ENGINE: OnceCell<Engine> = const { OnceCell::new() };
}

/// Runs a handler with `ctx` given as JSON text. Fails when this thread's engine cannot start.
pub fn run(code: &Code, handler: Handler, context: &str, time_left: Duration) -> Result<Run, String> {
    ENGINE.with(|cell| {
        if let Some(engine) = cell.get() {
            return Ok(engine.run_within(time_left, code, handler, context));
        }
        let engine = Engine::new().map_err(|fault| fault.to_string())?;
        Ok(cell.get_or_init(|| engine).run_within(time_left, code, handler, context))
    })
}
