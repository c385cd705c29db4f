//! Patterns of IAM statements.
use std::str::Chars;

/// Matches an IAM pattern: `*` stands for any characters, `?` for any one character.
pub fn matches_pattern(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // The pattern after the last `*`, and the text that this `*` has not consumed yet.
    let mut backtrack: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let (mut next_pattern, mut next_text) = (pattern.clone(), text.clone());
        match (next_pattern.next(), next_text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                backtrack = Some((next_pattern.clone(), text.clone()));
                pattern = next_pattern;
            }
            (Some(expected), Some(actual)) if expected == '?' || expected == actual => {
                pattern = next_pattern;
                text = next_text;
            }
            _ => {
                let Some((after_star, unconsumed)) = backtrack.as_mut() else { return false };
                if unconsumed.next().is_none() {
                    return false;
                }
                pattern = after_star.clone();
                text = unconsumed.clone();
            }
        }
    }
}
