//! AppSync's limit on the tokens of a document, counted by a lexer that accepts any text.
use crate::graphql::graphql_error::GraphqlError;

/// AppSync's limit on a document. White space, commas and comments do not count.
const MAX_TOKENS: usize = 15_000;
/// The limit of AppSync's GraphQL library on white space, commas and comments.
const MAX_IGNORED_TOKENS: usize = 200_000;

/// The limit of apollo-compiler's parser, which also counts white space, commas and comments.
pub const PARSER_TOKENS: usize = MAX_TOKENS + MAX_IGNORED_TOKENS;

/// Rejects a document that has too many tokens.
pub fn check(document: &str) -> Result<(), Vec<GraphqlError>> {
    let count = Tokens(document).take(MAX_TOKENS + 1).count();
    if count <= MAX_TOKENS {
        return Ok(());
    }
    let message = format!("A document has at most {MAX_TOKENS} tokens; this one has more.");
    Err(vec![GraphqlError::request_error(message, None)])
}

/// Iterates over the tokens of a document, which need not be valid GraphQL.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = skip_ignored(self.0);
        let (token, rest) = text.split_at_checked(token_length(text)?)?;
        self.0 = rest;
        Some(token)
    }
}

const WHITE_SPACE: [char; 6] = [' ', '\t', '\n', '\r', ',', '\u{feff}'];

fn skip_ignored(text: &str) -> &str {
    let mut rest = text.trim_start_matches(WHITE_SPACE);
    while let Some(comment) = rest.strip_prefix('#') {
        let line_end = comment.find(['\n', '\r']).unwrap_or(comment.len());
        rest = comment[line_end..].trim_start_matches(WHITE_SPACE);
    }
    rest
}

/// The length of the first token; `None` at the end of the document.
fn token_length(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    Some(match first {
        '"' => string_length(text),
        '.' if text.starts_with("...") => 3,
        '_' | 'a'..='z' | 'A'..='Z' => prefix_length(text, |byte| byte == b'_' || byte.is_ascii_alphanumeric()),
        '-' | '0'..='9' => number_length(text),
        other => other.len_utf8(),
    })
}

fn prefix_length(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| belongs(*byte)).count()
}

fn digits_length(text: &str) -> usize {
    prefix_length(text, |byte| byte.is_ascii_digit())
}

/// The length of a number such as `-1.5e+3`. A sign without digits counts as one token.
fn number_length(text: &str) -> usize {
    let sign = usize::from(text.starts_with('-'));
    let mut end = sign + digits_length(&text[sign..]);
    if let Some(fraction) = text[end..].strip_prefix('.') {
        let digits = digits_length(fraction);
        if digits > 0 {
            end += 1 + digits;
        }
    }
    if let Some(exponent) = text[end..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        let digits = digits_length(&exponent[sign..]);
        if digits > 0 {
            end += 1 + sign + digits;
        }
    }
    end
}

/// The length of a string with its quotes. An unterminated string extends to the end of its line, an
/// unterminated block string to the end of the document.
fn string_length(text: &str) -> usize {
    let quotes = if text.starts_with("\"\"\"") { "\"\"\"" } else { "\"" };
    let is_block = quotes.len() == 3;
    let mut end = quotes.len();
    while let Some(next) = text[end..].chars().next() {
        match next {
            '"' if text[end..].starts_with(quotes) => return end + quotes.len(),
            '\n' | '\r' if !is_block => return end,
            '\\' if !is_block => end += 1 + text[end + 1..].chars().next().map_or(0, char::len_utf8),
            '\\' if text[end + 1..].starts_with(quotes) => end += 1 + quotes.len(),
            other => end += other.len_utf8(),
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_counted_by_the_grammar() {
        let cases = [
            ("", 0),
            (" ,\u{feff}\n# comment, with words\r\n", 0),
            ("{ a }", 3),
            ("query Q($x: Int! = -1.5e+3) @d { a: b(c: [$x, 2.5, \"t e\\\"x\\\\\", true]) ...F }", 31),
            ("{ a(b: \"\"\"block, \\\"\"\" \"quoted\" \n it\"\"\") }", 8),
            ("\"open\n a", 2),
            ("\"\"\"open\n a", 1),
            ("- 1. 1e 1... é?", 9),
        ];
        for (document, tokens) in cases {
            assert_eq!(Tokens(document).count(), tokens, "{document}: {:?}", Tokens(document).collect::<Vec<_>>());
        }
    }

    #[test]
    fn document_with_too_many_tokens_is_rejected() {
        assert_eq!(check(&"a ".repeat(MAX_TOKENS)), Ok(()));
        let errors = check(&"a ".repeat(MAX_TOKENS + 1)).unwrap_err();
        assert_eq!(errors[0].message, "A document has at most 15000 tokens; this one has more.");
    }
}
