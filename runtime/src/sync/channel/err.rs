//! E
#![allow(missing_docs)]
#[derive(Debug)]
pub enum TrySendError<T> {
    Full(T),
    Disconnected(T),
}
#[derive(Debug)]
pub enum SendTimeoutError<T> {
    Timeout(T),
    Disconnected(T),
}
#[derive(Debug)]
pub enum TryRecvError {
    Empty,
    Disconnected,
}
#[derive(Debug)]
pub enum RecvTimeoutError {
    Timeout,
    Disconnected,
}
