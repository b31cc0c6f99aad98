//! Files and directories.
#![forbid(unsafe_code)]
