//! The whole backend on a free port: real sockets, real JavaScript, a real table, the handler in processes of its own.
mod access;
mod backend;
mod conversations;
mod failures;
mod fidelity;
mod history;
mod input;
mod owners;
mod program;
mod publishing;
mod quotas;
mod runs;
mod secrets;
mod sharing;
mod storage;
mod tokens;
mod turns;
