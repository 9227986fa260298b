//! Text that must fit.

/// The longest start of `text` that is at most `max` bytes and ends between characters.
pub fn cut_to_bytes(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::cut_to_bytes;
    use proptest::prelude::*;

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut_to_bytes("12월 구독료", 5), "12월");
        assert_eq!(cut_to_bytes("12월 구독료", 4), "12");
        assert_eq!(cut_to_bytes("abc", 10), "abc");
    }

    proptest! {
        #[test]
        fn a_cut_is_a_start_that_fits(text in ".{0,40}", max in 0usize..60) {
            let cut = cut_to_bytes(&text, max);
            prop_assert!(text.starts_with(cut) && cut.len() <= max);
        }
    }
}
