//! Which codes a Close frame may bear.

/// The most bytes that a Close frame's reason can have: 125 of a control frame, less the code
/// (RFC 6455 section 5.5).
pub const LONGEST_REASON: usize = 123;

/// Whether a Close frame may bear `code` (RFC 6455 section 7.4.2, and the registry of its section
/// 11.7): those that are defined and may be sent, and those of libraries and applications.
pub fn may_be_sent(code: u16) -> bool {
    match code {
        // 1004 is reserved; 1005, 1006 and 1015 are what is told of a connection without a Close.
        1004..=1006 | 1015 => false,
        1000..=1014 | 3000..=4999 => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_be_on_the_wire() {
        let rows = [
            (0, false, "7.4.2: not used"),
            (999, false, "7.4.2: not used"),
            (1000, true, "7.4.1"),
            (1003, true, "7.4.1"),
            (1004, false, "7.4.1: reserved"),
            (1005, false, "7.4.1: must not be set"),
            (1006, false, "7.4.1: must not be set"),
            (1007, true, "7.4.1"),
            (1011, true, "7.4.1"),
            (1012, true, "registry: service restart"),
            (1014, true, "registry: bad gateway"),
            (1015, false, "7.4.1: must not be set"),
            (1016, false, "7.4.2: reserved"),
            (2999, false, "7.4.2: reserved"),
            (3000, true, "7.4.2: registered"),
            (4999, true, "7.4.2: private"),
            (5000, false, "7.4.2: none"),
        ];
        for (code, expected, clause) in rows {
            assert_eq!(may_be_sent(code), expected, "{code}: {clause}");
        }
    }
}
