//! The default runtime: for `spawn` on a plain thread.

use std::io;

use parking_lot::Mutex;

use super::{Builder, Runtime};
use crate::scheduler::Shared;

static DEFAULT: Mutex<Option<&'static Runtime>> = Mutex::new(None);

/// The default runtime, started now if it has not been. It is never stopped: its tasks die with the
/// process.
pub(crate) fn default() -> io::Result<&'static Shared> {
    let mut default = DEFAULT.lock();
    if default.is_none() {
        *default = Some(Box::leak(Box::new(Builder::new().build()?)));
    }
    Ok(&default.as_ref().expect("set above").shared)
}
