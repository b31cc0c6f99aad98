//! Ending the process where going on would be unsound.

use std::process;

/// Ends the process if it is dropped in place of being disarmed.
pub(crate) struct AbortOnUnwind(pub(crate) &'static str);

impl AbortOnUnwind {
    pub(crate) fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        eprintln!("fatal error in sedge: {}", self.0);
        process::abort();
    }
}
