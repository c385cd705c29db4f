//! Words that say nothing about what a question is about.

/// English function words, lower case, in order. Documents and questions in other languages are searched
/// with all their words, whose frequency gives most function words a low weight.
const STOP_WORDS: &[&str] = &[
    "a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "been", "before", "being",
    "but", "by", "can", "could", "did", "do", "does", "each", "for", "from", "get", "got", "had", "has", "have", "he",
    "her", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "may", "me", "more", "most", "must", "my",
    "no", "not", "of", "on", "one", "only", "or", "other", "our", "out", "over", "own", "same", "shall", "she",
    "should", "so", "some", "such", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this",
    "those", "through", "to", "too", "under", "until", "up", "us", "very", "was", "we", "were", "what", "when",
    "where", "which", "while", "who", "whom", "why", "will", "with", "would", "you", "your",
];

/// The terms of a question that say what it is about. A question of stop words alone stays as it is.
pub fn content_words(question: &str) -> String {
    let terms = question.split(|character: char| !character.is_alphanumeric());
    let content: Vec<&str> = terms.filter(|term| !term.is_empty() && !is_stop_word(term)).collect();
    if content.is_empty() { question.to_owned() } else { content.join(" ") }
}

fn is_stop_word(term: &str) -> bool {
    STOP_WORDS.binary_search(&term.to_lowercase().as_str()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_is_in_order() {
        assert!(STOP_WORDS.is_sorted());
    }

    #[test]
    fn content_of_a_question_remains() {
        assert_eq!(content_words("How do I reset the W8-meter?"), "reset W8 meter");
        assert_eq!(content_words("Who are you?"), "Who are you?");
        assert_eq!(content_words("Wer ist das?"), "Wer ist das");
        assert_eq!(content_words("?!"), "?!");
    }
}
