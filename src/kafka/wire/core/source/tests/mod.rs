//! A source between scripted brokers and a reader that writes down what it is shown.

mod any;
mod broken;
mod flights;
pub(in crate::kafka::wire::core) mod kit;
mod leaders;
mod progress;
mod seats;
mod transactions;
