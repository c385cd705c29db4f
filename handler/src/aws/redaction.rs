//! Removes a credential from the response of a tool, which may repeat the request: participants of the
//! conversation read the results of tools.

const REPLACEMENT: &[u8] = b"[credential removed]";
const SCHEME: &[u8] = b"bearer ";

/// Removes every occurrence of the credential, whichever of its characters are escaped as in JSON, once or
/// several times, and the word Bearer before it. A body of valid JSON stays valid unless the credential has
/// quotation marks.
pub fn remove_credential(body: Vec<u8>, credential: &[u8]) -> Vec<u8> {
    let mut redacted: Option<Vec<u8>> = None;
    let mut copied_to = 0;
    let mut index = 0;
    while index < body.len() {
        let is_within_escape = index > copied_to && body[index - 1] == b'\\';
        let end = if is_within_escape { None } else { match_end(&body, index, credential) };
        let Some(end) = end else {
            index += 1;
            continue;
        };
        let output = redacted.get_or_insert_default();
        output.extend_from_slice(&body[copied_to..index]);
        remove_scheme(output);
        output.extend_from_slice(REPLACEMENT);
        (copied_to, index) = (end, end);
    }
    match redacted {
        None => body,
        Some(mut output) => {
            output.extend_from_slice(&body[copied_to..]);
            output
        }
    }
}

/// The end of an occurrence that begins at an index. `None` for an empty credential.
fn match_end(body: &[u8], start: usize, credential: &[u8]) -> Option<usize> {
    let mut index = start;
    for expected in credential {
        index = character_end(body, index, *expected)?;
    }
    (index > start).then_some(index)
}

/// The end of one character, which may be escaped. All backslashes before a character count as its escape, so
/// one that belongs to the credential may be missing.
fn character_end(body: &[u8], start: usize, expected: u8) -> Option<usize> {
    let index = start + body[start..].iter().take_while(|byte| **byte == b'\\').count();
    if index > start && escaped_code(&body[index..]) == Some(expected.into()) {
        return Some(index + 5);
    }
    if expected == b'\\' {
        return Some(index);
    }
    (body.get(index) == Some(&expected)).then_some(index + 1)
}

/// The code of an escape like `u0041`.
fn escaped_code(escape: &[u8]) -> Option<u32> {
    let digits = escape.strip_prefix(b"u")?.get(..4)?;
    digits.iter().try_fold(0, |code, digit| Some(code * 16 + char::from(*digit).to_digit(16)?))
}

fn remove_scheme(output: &mut Vec<u8>) {
    let Some(start) = output.len().checked_sub(SCHEME.len()) else { return };
    if output[start..].eq_ignore_ascii_case(SCHEME) {
        output.truncate(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "eyJh.e-30/x_\\\"=";

    fn redact(body: &str, credential: &str) -> String {
        String::from_utf8(remove_credential(body.into(), credential.as_bytes())).unwrap()
    }

    #[test]
    fn every_occurrence_is_removed_with_the_scheme() {
        for (body, expected) in [
            ("", ""),
            ("ab abc", "ab [credential removed]"),
            ("abcabc, xabcx", "[credential removed][credential removed], x[credential removed]x"),
            (
                "Bearer abc bearer abc BEARER  abc",
                "[credential removed] [credential removed] BEARER  [credential removed]",
            ),
            ("Bearer abd", "Bearer abd"),
            ("aababc", "aab[credential removed]"),
        ] {
            assert_eq!(redact(body, "abc"), expected, "{body}");
        }
        assert_eq!(redact("anything", ""), "anything");
    }

    #[test]
    fn escaped_credential_is_removed_and_the_body_stays_json() {
        let in_json = serde_json::to_string(TOKEN).unwrap();
        let twice = serde_json::to_string(&in_json).unwrap();
        let thrice = serde_json::to_string(&twice).unwrap();
        let codes: String = TOKEN.chars().map(|character| format!("\\u{:04X}", u32::from(character))).collect();
        let slash = in_json.replace('/', "\\/").replace('_', "\\u005f");
        for text in [in_json, twice, thrice, format!("\"{codes}\""), slash] {
            let body = format!(r#"{{"a":[{text}, "\\x",{text}]}}"#);
            let redacted = redact(&body, TOKEN);
            let json: serde_json::Value = serde_json::from_str(&redacted).unwrap();
            assert!(!json.to_string().contains("eyJh") && !redacted.contains("u0065"), "{redacted}");
            assert_eq!(redacted.matches("[credential removed]").count(), 2, "{redacted}");
            assert_eq!(json["a"][1], "\\x");
        }
    }

    #[test]
    fn incomplete_escapes_at_the_end_are_kept() {
        for body in ["\\", "\\u", "\\u006", "a\\u006", "ab\\\\", "\\u00"] {
            assert_eq!(redact(body, "abc"), body);
        }
    }

    #[test]
    fn long_runs_of_escapes_take_little_time() {
        let body = "\\".repeat(1024 * 1024);
        let started_at = std::time::Instant::now();
        assert_eq!(redact(&body, "abc").len(), body.len());
        assert!(started_at.elapsed().as_secs() < 10);
    }
}
