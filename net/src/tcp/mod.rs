//! TCP: std's sockets in a [`Source`](sedge_runtime::io::Source) each.

mod backoff;
mod builder;
mod connect;
mod convert;
mod incoming;
mod interrupt;
mod listener;
mod options;
mod settings;
mod stream;
mod transfer;

pub use builder::TcpListenerBuilder;
pub use incoming::{Incoming, IntoIncoming};
pub use listener::TcpListener;
pub use stream::TcpStream;
