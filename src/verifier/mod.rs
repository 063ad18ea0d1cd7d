//! The verifier: produce, read back, and prove.

mod acks;
pub mod anomaly;
pub mod budget;
mod checker;
mod crew;
mod group_pass;
mod group_reader;
mod lane;
mod last_values;
mod order;
mod phases;
mod producer;
mod random_reader;
mod recovery;
pub mod run;
mod seq_pass;
mod seq_reader;
mod shard;
mod skip;
mod summary;
mod timestamps;
mod track;
pub mod validator;
mod values;
pub mod violations;
mod window;
