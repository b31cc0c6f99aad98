//! What the sockets do, on threads and on tasks, and that it is what std's do.

mod accept_limit;
mod environment;
mod parity;
mod surface;
mod tasks;
mod waits;
