//! Whole-system tests: the examples, started and talked to as their users would.

mod chat;
mod crawler;
mod echo;
mod http;
mod million;
mod pipeline;
mod pipeline_scope;
mod process;
mod supervised;
