mod client;
mod fuzz;
mod limits;
mod requests;
mod stopping;
