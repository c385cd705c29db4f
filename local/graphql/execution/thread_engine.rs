//! A JavaScript engine for each thread that resolves fields: an engine never leaves its thread, and a handler is too
//! short to be worth a change of thread.
use std::{cell::RefCell, time::Duration};

use crate::{
    resolver::{Ambient, Engine, EngineFault, Handler, Run},
    stack::Code,
};

thread_local! {
    static ENGINE: RefCell<Option<Engine>> = const { RefCell::new(None) };
}

/// Gives the handlers that this thread runs from now on another world: its time and its chance.
pub fn surround(ambient: Ambient) -> Result<(), EngineFault> {
    let engine = Engine::with_ambient(ambient)?;
    ENGINE.with(|cell| cell.replace(Some(engine)));
    Ok(())
}

/// Runs a handler with `ctx` given as JSON text. Fails when this thread's engine cannot start.
pub fn run(code: &Code, handler: Handler, context: &str, time_left: Duration) -> Result<Run, String> {
    ENGINE.with(|cell| {
        let mut cell = cell.borrow_mut();
        let engine = match cell.take() {
            Some(engine) => engine,
            None => Engine::new().map_err(|fault| fault.to_string())?,
        };
        Ok(cell.insert(engine).run_within(time_left, code, handler, context))
    })
}
