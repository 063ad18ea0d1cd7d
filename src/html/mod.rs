//! Pages that stand alone: one file that fetches nothing and runs nothing, to be kept, sent around and printed.
//!
//! Pure: values in, text out.

mod chart;
mod figure;
mod forest;
mod markup;
mod page;
mod scale;
mod table;
mod thin;

pub(crate) use chart::{Chart, Line};
pub(crate) use figure::{latency, rate, share, short};
pub(crate) use forest::{Change, Mood, forest};
pub(crate) use markup::Html;
pub(crate) use page::page;
pub(crate) use scale::Quantity;
pub(crate) use table::Table;
