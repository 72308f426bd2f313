//! What hyper hands over in slices, written in the way that costs the kernel least.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// A message up to this long is put together before it is written.
const SMALL: usize = 1024;

/// Writes `slices`, or the first of them. A head alone, or one with a short body, goes out by `send`,
/// which costs less than `writev` does, the copy included.
pub(crate) fn poll_write_gathered<S: AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let stream = Pin::new(stream);
    if let [only] = slices {
        return stream.poll_write(cx, only);
    }
    let mut whole = [0; SMALL];
    let mut length = 0;
    for slice in slices {
        let Some(place) = whole.get_mut(length..length + slice.len()) else {
            return stream.poll_write_vectored(cx, slices);
        };
        place.copy_from_slice(slice);
        length += slice.len();
    }
    stream.poll_write(cx, &whole[..length])
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::task::{Context, Poll, Waker};

    use super::{SMALL, poll_write_gathered};

    #[test]
    fn slices_are_written_in_their_order() {
        let long = vec![b'x'; SMALL];
        let rows: [&[&[u8]]; 5] = [
            &[],
            &[b"head"],
            &[b"head", b"", b"body"],
            &[b"h", &long[1..]],
            &[b"head", &long],
        ];
        for slices in rows {
            let expected = slices.concat();
            let slices: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
            let mut written = Vec::new();
            let mut cx = Context::from_waker(Waker::noop());
            let result = poll_write_gathered(&mut written, &mut cx, &slices);
            assert!(matches!(result, Poll::Ready(Ok(length)) if length == expected.len()));
            assert_eq!(written, expected);
        }
    }
}
