//! One JavaScript engine for each thread that resolves fields.
//!
//! An engine cannot leave its thread, and handlers are too short to be worth a change of thread.
use std::{cell::RefCell, time::Duration};

use crate::{
    resolver::{Engine, EngineEnvironment, EngineError, Handler, HandlerReport},
    stack::Code,
};

thread_local! {
    static ENGINE: RefCell<Option<Engine>> = const { RefCell::new(None) };
}

/// Replaces the current thread's engine by one with the given clock and random numbers.
pub fn set_engine_environment(environment: EngineEnvironment) -> Result<(), EngineError> {
    let engine = Engine::with_environment(environment)?;
    ENGINE.with(|cell| cell.replace(Some(engine)));
    Ok(())
}

/// Runs a handler with `ctx` given as JSON text. Fails if the current thread's engine cannot start.
pub fn run_handler(code: &Code, handler: Handler, context: &str, time_left: Duration) -> Result<HandlerReport, String> {
    ENGINE.with(|cell| {
        let mut cell = cell.borrow_mut();
        let engine = match cell.take() {
            Some(engine) => engine,
            None => Engine::new().map_err(|error| error.to_string())?,
        };
        Ok(cell.insert(engine).run_within(time_left, code, handler, context))
    })
}
