//! Citation markers in the text of a model that has no citations of its own: `[2]` or `[1, 3]`.

/// The largest length of a marker, in bytes. Longer text in brackets is no marker.
const MAX_MARKER_BYTES: usize = 32;

/// Finds markers in text that arrives in pieces. A marker may be cut anywhere.
#[derive(Debug, Default)]
pub struct MarkerParser {
    /// The begun marker, from its opening bracket. Empty outside of a marker.
    begun: String,
}

/// A complete marker. It is ASCII, so its length is the same in bytes and in characters of any encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Where the marker ends in the piece of text that completed it, in bytes.
    pub end: usize,
    /// From the opening to the closing bracket.
    pub length: usize,
    /// In their order, each once.
    pub numbers: Vec<usize>,
}

impl MarkerParser {
    /// The markers that a piece of text completes.
    pub fn push(&mut self, text: &str) -> Vec<Marker> {
        let mut markers = Vec::new();
        for (index, character) in text.char_indices() {
            match character {
                '[' => {
                    self.begun.clear();
                    self.begun.push(character);
                }
                ']' if !self.begun.is_empty() => {
                    let numbers = parse_numbers(&self.begun[1..]);
                    let length = self.begun.len() + 1;
                    self.begun.clear();
                    if let Some(numbers) = numbers {
                        markers.push(Marker { end: index + 1, length, numbers });
                    }
                }
                '0'..='9' | ',' | ' ' if !self.begun.is_empty() && self.begun.len() < MAX_MARKER_BYTES => {
                    self.begun.push(character);
                }
                _ => self.begun.clear(),
            }
        }
        markers
    }
}

/// `None` if the text is not a list of numbers.
fn parse_numbers(text: &str) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    for number in text.split(',') {
        let number = number.trim_matches(' ').parse().ok()?;
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Vec<Vec<usize>> {
        MarkerParser::default().push(text).into_iter().map(|marker| marker.numbers).collect()
    }

    #[test]
    fn markers_are_lists_of_numbers_in_brackets() {
        for (text, expected) in [
            ("One [1]. Two[2][3]; [1, 4]", vec![vec![1], vec![2], vec![3], vec![1, 4]]),
            ("[ 7 ] [1,1,2]", vec![vec![7], vec![1, 2]]),
            ("[[5]]", vec![vec![5]]),
            ("[] [a] [1a] [1;2] [1.5] [-1] [1-3] 1] [1", vec![]),
            ("[1\n]", vec![]),
            ("[Zoë] é[1]", vec![vec![1]]),
            ("[99999999999999999999999999]", vec![]),
            ("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]", vec![]),
        ] {
            assert_eq!(numbers(text), expected, "{text}");
        }
    }

    #[test]
    fn marker_may_be_cut_anywhere() {
        let text = "Früh [12], dann [3, 4].";
        let whole = MarkerParser::default().push(text);
        assert_eq!(whole.len(), 2);
        for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
            let (head, tail) = text.split_at(cut);
            let mut parser = MarkerParser::default();
            let mut found = parser.push(head);
            found.extend(parser.push(tail).into_iter().map(|marker| Marker { end: marker.end + cut, ..marker }));
            assert_eq!(found, whole, "cut at {cut}");
        }
    }
}
