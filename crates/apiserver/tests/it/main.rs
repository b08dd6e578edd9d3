//! The engine as its users see it: over HTTP messages and in process, on a
//! store in memory.

mod bad_input;
mod connect;
mod discovery;
mod forms;
mod lists;
mod local;
mod server;
mod watches;
mod writes;
