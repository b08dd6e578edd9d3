//! The schema engine and the codecs on every built-in type.

mod bodies;
mod generate;
mod round_trips;
mod samples;
