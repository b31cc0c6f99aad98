//! The panic message names the task.

use std::panic;
use std::sync::Once;

use super::Frames;
use crate::context;

/// Chains a process-wide panic hook, once, that says which task panics before the hook that was
/// there says the rest.
pub(crate) fn install() {
    static INSTALL: Once = Once::new();
    if std::thread::panicking() {
        // `take_hook` would panic, in a destructor: the next runtime installs it.
        return;
    }
    INSTALL.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            context::with_frames(Frames::begin_panic);
            if let Some(task) = context::current_task() {
                match task.name() {
                    Some(name) => eprintln!("\nin task '{name}' (id {}):", task.id()),
                    None => eprintln!("\nin task {}:", task.id()),
                }
            }
            previous(info);
        }));
    });
}
