//! The whole backend on a free port: real sockets, real JavaScript, a real table, the handler in processes of its own.
mod backend;
mod conversations;
mod failures;
mod fidelity;
mod history;
mod input;
mod owners;
mod program;
mod publishing;
mod runs;
mod secrets;
mod sharing;
mod turns;
