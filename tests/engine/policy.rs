//! The policy file: how it is read, and what it does.

mod effect;
mod reading;
mod schema;
