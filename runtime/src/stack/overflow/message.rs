//! The text of the overflow message, built without allocation.
use std::fmt::{self, Write};

use crate::stack::STACK_BYTES_MAX;

const MESSAGE_BYTES: usize = 1024;

/// Longest part of a task's name that is printed, in bytes: the help must fit as well.
const NAME_BYTES: usize = 256;

/// A text of bounded length: what is too much is left out.
pub(super) struct Message {
    bytes: [u8; MESSAGE_BYTES],
    len: usize,
}

impl Message {
    pub(super) fn overflow(name: Option<&str>, id: u64, stack_bytes: usize) -> Self {
        let mut message = Self { bytes: [0; MESSAGE_BYTES], len: 0 };
        // Never an error: what does not fit is left out.
        let _ = message.write_overflow(name, id, stack_bytes);
        message
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn write_overflow(&mut self, name: Option<&str>, id: u64, bytes: usize) -> fmt::Result {
        match name {
            Some(name) => write!(self, "\nsedge: task '{}' (id {id})", shorten(name))?,
            None => write!(self, "\nsedge: task {id}")?,
        }
        writeln!(self, " has overflowed its stack of {bytes} bytes")?;
        if bytes < STACK_BYTES_MAX {
            writeln!(
                self,
                "help: give it more with task::Builder::stack_size, or all tasks with \
                 SEDGE_STACK={}",
                Bytes(2 * bytes)
            )?;
        } else {
            writeln!(self, "help: no stack is larger: look for a recursion that does not end")?;
        }
        writeln!(self, "fatal runtime error: stack overflow, aborting")
    }
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let len = text.len().min(MESSAGE_BYTES - self.len);
        self.bytes[self.len..self.len + len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}

/// A size as `SEDGE_STACK` takes it: 512K, 1M.
struct Bytes(usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 20 => write!(f, "{}M", bytes >> 20),
            bytes => write!(f, "{}K", bytes >> 10),
        }
    }
}

fn shorten(name: &str) -> &str {
    let mut end = name.len().min(NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: Option<&str>, id: u64, stack_bytes: usize) -> String {
        String::from_utf8(Message::overflow(name, id, stack_bytes).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn names_the_task_and_the_remedy() {
        assert_eq!(
            text(Some("parser"), 7, 256 << 10),
            "\nsedge: task 'parser' (id 7) has overflowed its stack of 262144 bytes\n\
             help: give it more with task::Builder::stack_size, or all tasks with \
             SEDGE_STACK=512K\n\
             fatal runtime error: stack overflow, aborting\n"
        );
        assert!(text(None, 8, 512 << 10).contains("task 8 has overflowed"));
        assert!(text(None, 8, 512 << 10).contains("SEDGE_STACK=1M\n"));
    }

    #[test]
    fn the_largest_stack_gets_another_remedy() {
        assert!(text(None, 1, STACK_BYTES_MAX).contains("no stack is larger"));
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let text = text(Some(&"ä".repeat(4096)), u64::MAX, 32 << 10);
        assert!(text.contains("ä' (id 18446744073709551615)"));
        assert!(text.ends_with("stack overflow, aborting\n"));
    }
}
