//! Sedge.
#![forbid(unsafe_code)]
pub use sedge_runtime::*;
