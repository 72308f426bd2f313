//! Standard output whose reader may leave: `--list | head` is no failure.

use std::io::{self, ErrorKind, Write};

/// Writes it all, or as much as somebody wants to read.
pub(crate) fn say(text: &str) -> io::Result<()> {
    write(&mut io::stdout().lock(), text)
}

fn write(out: &mut impl Write, text: &str) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_left_is_no_failure() {
        assert!(write(&mut Broken(ErrorKind::BrokenPipe), "list").is_ok());
        assert!(write(&mut Broken(ErrorKind::StorageFull), "list").is_err());
    }
}
