//! Every controller together on a whole API server in memory, with upstream's
//! identities and rights, paused time and a node that is pretended.

mod bad_input;
mod claims;
mod cluster;
mod convergence;
mod counts;
mod garbage;
mod limits;
mod migration;
mod rates;
mod services;
mod simulation;
mod stateful;
mod tokens;
