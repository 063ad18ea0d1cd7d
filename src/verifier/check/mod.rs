//! What is held against a record, and against a log: pure, without a client.

pub(crate) mod broken;
pub(crate) mod doubt;
pub(crate) mod last_values;
pub(crate) mod loss;
pub(crate) mod markers;
pub(crate) mod order;
pub(crate) mod validator;
