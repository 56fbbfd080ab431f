//! The sequences of protocol §11.
