//! Nothing yet: files and directories will come here, under std's names. Until then they are read
//! and written in `sedge::blocking`.
#![forbid(unsafe_code)]
