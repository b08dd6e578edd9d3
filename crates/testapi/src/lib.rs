//! An API server for tests of rooms: in memory, on pretended time, with every
//! kind, authorizer and plugin; and requests in short. Reached in process, it
//! opens no socket.

mod client;
mod server;

pub use client::Client;
pub use server::{Disk, client};
