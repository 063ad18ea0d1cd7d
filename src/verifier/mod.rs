//! The verifier: produce, read back, and prove.

mod acks;
pub mod anomaly;
pub mod budget;
mod checker;
mod phases;
mod producer;
mod random_reader;
pub mod run;
mod seq_reader;
mod shard;
mod summary;
mod track;
pub mod validator;
mod window;
