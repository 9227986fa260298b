//! Text bodies, wrapped so that they read well in a monospaced window.

const COLUMNS: usize = 72;

/// Wraps each line at spaces; a word is never broken, so links stay whole. The lines of a list item hang under its first word, and of
/// several empty lines one is kept.
pub(super) fn wrapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(64));
    for line in text.trim().lines() {
        if line.is_empty() && out.ends_with("\n\n") {
            continue;
        }
        let indent = if line.starts_with("- ") { "  " } else { "" };
        let mut column = 0usize;
        for word in line.split(' ') {
            let width = columns(word);
            if column > 0 && column.saturating_add(1).saturating_add(width) > COLUMNS {
                out.push('\n');
                out.push_str(indent);
                column = indent.len();
            } else if column > 0 {
                out.push(' ');
                column = column.saturating_add(1);
            }
            out.push_str(word);
            column = column.saturating_add(width);
        }
        out.push('\n');
    }
    out
}

/// How wide a word is: Hangul and the other East Asian scripts take two columns a character.
fn columns(word: &str) -> usize {
    word.chars().map(|c| if ('\u{1100}'..='\u{ffdc}').contains(&c) && !is_narrow(c) { 2usize } else { 1 }).sum()
}

/// General punctuation and symbols between the Hangul Jamo and the East Asian blocks.
fn is_narrow(c: char) -> bool {
    ('\u{1200}'..='\u{2e7f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hangul_is_two_columns_wide() {
        assert_eq!(columns("구독 abc…"), 9);
    }

    #[test]
    fn no_line_is_wider_than_the_window_but_a_word_that_is() {
        let url = format!("https://example.com/{}", "x".repeat(90));
        let text = wrapped(&format!("{}\n\n- {}\n{url}\n", "결제 수단 ".repeat(20), "payment method ".repeat(12)));
        assert!(text.lines().all(|line| columns(line) <= COLUMNS || line == url), "{text}");
        assert!(
            text.lines()
                .filter(|line| line.contains("payment"))
                .all(|line| line.starts_with("- ") || line.starts_with("  "))
        );
    }

    #[test]
    fn short_lines_stay_and_empty_ones_do_not_pile_up() {
        assert_eq!(wrapped("\na b\n\n\n\n- c\n\n"), "a b\n\n- c\n");
    }
}
