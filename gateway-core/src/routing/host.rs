//! Whether a host name matches a listener's pattern (reference section 2, `hostNames`).
//!
//! `*` stands for any characters, dots included; `?` for exactly one. Letters compare without
//! regard to ASCII case. Knows nothing of ports: the caller has taken them off.

use crate::config::{HostNames, HostPattern};

impl HostNames {
    /// Whether one of these hosts is `host`: a name without port, in any case, with or without the
    /// final dot of an absolute name.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Patterns(patterns) => patterns.iter().any(|pattern| pattern.matches(host)),
        }
    }
}

impl HostPattern {
    /// Whether `host` (as for [`HostNames::matches`]) matches this pattern.
    pub fn matches(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        matches_glob(self.as_str().as_bytes(), host.as_bytes())
    }
}

/// Compares greedily; after a mismatch, lets the last `*` take one byte more. A pattern has few
/// stars and is short, so the worst case is bounded by the two lengths' product.
fn matches_glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at_pattern, mut at_text) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                last_star = Some((at_pattern, at_text));
                at_pattern += 1;
            }
            Some(&byte) if byte == b'?' || byte.eq_ignore_ascii_case(&text[at_text]) => {
                at_pattern += 1;
                at_text += 1;
            }
            _ => {
                let Some((star, taken)) = last_star else {
                    return false;
                };
                last_star = Some((star, taken + 1));
                at_pattern = star + 1;
                at_text = taken + 1;
            }
        }
    }
    pattern[at_pattern..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_as_the_reference_says() {
        let rows = [
            // (clause, pattern, host, matches)
            ("exact", "contoso.com", "contoso.com", true),
            ("ASCII case", "Contoso.com", "cONTOSO.COM", true),
            ("final dot", "contoso.com", "contoso.com.", true),
            ("one final dot only", "contoso.com", "contoso.com..", false),
            ("no prefix", "contoso.com", "contoso.co", false),
            ("no suffix", "contoso.com", "contoso.com.evil", false),
            ("* over one label", "*.contoso.com", "a.contoso.com", true),
            ("* across dots", "*.contoso.com", "a.b.contoso.com", true),
            ("* keeps the dot", "*.contoso.com", "contoso.com", false),
            ("* inside", "api*.contoso.com", "api-7.contoso.com", true),
            (
                "* may be empty",
                "api*.contoso.com",
                "api.contoso.com",
                true,
            ),
            ("two *", "*.a.*.com", "x.a.b.a.c.com", true),
            ("two *, second try", "*ab*c", "abxabyc", true),
            ("? is one", "www?.contoso.com", "www1.contoso.com", true),
            (
                "? is not none",
                "www?.contoso.com",
                "www.contoso.com",
                false,
            ),
            (
                "? is not two",
                "www?.contoso.com",
                "www12.contoso.com",
                false,
            ),
            ("empty host", "contoso.com", "", false),
            ("lone * takes all", "*", "anything.at.all", true),
        ];
        for (clause, pattern, host, expected) in rows {
            let names = HostNames::Patterns(vec![HostPattern::new(pattern)]);
            assert_eq!(names.matches(host), expected, "{clause}: {pattern} {host}");
        }
        assert!(HostNames::Any.matches(""));
    }

    /// The definition, without regard to cost.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => (0..=text.len()).any(|taken| naive(rest, &text[taken..])),
            (Some((want, pattern)), Some((got, text))) => {
                (*want == b'?' || want.eq_ignore_ascii_case(got)) && naive(pattern, text)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab.*?]{0,8}", text in "[abAB.]{0,10}") {
            prop_assert_eq!(
                matches_glob(pattern.as_bytes(), text.as_bytes()),
                naive(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
