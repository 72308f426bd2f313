//! "Did you mean ...?"

/// How many candidates are looked at: a hostile document may have a hundred thousand names.
const MAX_CANDIDATES: usize = 1000;

/// The candidate most like `word`, in any case, if one is like it at all.
pub(crate) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    // Distances cost the product of the lengths; names are short, hostile ones need not be served.
    if word.len() > 128 {
        return None;
    }
    let word = word.to_ascii_lowercase();
    candidates
        .into_iter()
        .take(MAX_CANDIDATES)
        .filter(|candidate| candidate.len() <= 128)
        .map(|candidate| {
            let lowered = candidate.to_ascii_lowercase();
            (strsim::jaro_winkler(&word, &lowered), candidate)
        })
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// `text` for a message: without control characters, and no longer than a line.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 100;
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .map(|character| {
            if character.is_control() {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    shown
}
