//! Text of HTML.
//!
//! Works on tokens and builds no tree: time is linear and nesting of any depth is harmless.
use html5gum::{DefaultEmitter, HtmlString, Token, Tokenizer};

use super::blocks::BlockWriter;

/// Elements whose content nobody reads.
const HIDDEN: [&str; 6] = ["script", "style", "template", "svg", "noscript", "iframe"];
const PARAGRAPHS: [&str; 34] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "center",
    "details",
    "dialog",
    "div",
    "dl",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "title",
    "ul",
];
const LINES: [&str; 6] = ["br", "dd", "dt", "li", "option", "legend"];

pub fn to_text(html: &str) -> String {
    let mut emitter = DefaultEmitter::default();
    // The content of script and style is no markup.
    emitter.naively_switch_states(true);
    let mut reader = Reader::default();
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(token) = token;
        reader.read(&token);
    }
    reader.writer.finish()
}

#[derive(Default)]
struct Reader {
    writer: BlockWriter,
    /// The hidden element that is open. Text counts again after its end tag.
    hidden: Option<HtmlString>,
    preformatted: bool,
}

impl Reader {
    fn read(&mut self, token: &Token) {
        match token {
            Token::EndTag(tag) if self.hidden.as_ref() == Some(&tag.name) => self.hidden = None,
            _ if self.hidden.is_some() => {}
            Token::StartTag(tag) if is_one_of(&HIDDEN, &tag.name) => {
                self.hidden = (!tag.self_closing).then(|| tag.name.clone());
            }
            Token::StartTag(tag) => self.begin(&tag.name),
            Token::EndTag(tag) => self.end(&tag.name),
            Token::String(text) => self.push(&String::from_utf8_lossy(text)),
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }

    fn begin(&mut self, name: &HtmlString) {
        match name.as_slice() {
            b"td" | b"th" => self.writer.begin_cell(),
            b"tr" => self.writer.end_row(),
            b"pre" => self.preformatted = true,
            _ => {}
        }
        self.separate(name);
    }

    fn end(&mut self, name: &HtmlString) {
        match name.as_slice() {
            b"tr" | b"table" => self.writer.end_row(),
            b"pre" => self.preformatted = false,
            _ => {}
        }
        self.separate(name);
    }

    fn separate(&mut self, name: &HtmlString) {
        if is_one_of(&PARAGRAPHS, name) {
            self.writer.end_paragraph();
        } else if is_one_of(&LINES, name) {
            self.writer.end_line();
        }
    }

    fn push(&mut self, text: &str) {
        if self.preformatted {
            self.writer.push_preformatted(text);
        } else {
            self.writer.push_text(text);
        }
    }
}

fn is_one_of(names: &[&str], name: &HtmlString) -> bool {
    names.iter().any(|candidate| candidate.as_bytes() == name.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_paragraphs_and_inline_elements_are_not() {
        let html = "<title>Guide</title><body><h1>Care\n of  wood</h1><p>Oil it <b>twice</b> a&nbsp;year &amp; dry.<ul><li>one<li>two</ul>";
        assert_eq!(to_text(html), "Guide\n\nCare of wood\n\nOil it twice a year & dry.\n\none\ntwo");
    }

    #[test]
    fn rows_of_a_table_are_lines() {
        let html = "<table><tr><th>Size<th><p>Price</p></th></tr>\n<tr><td>S</td><td>10<br>EUR</td></tr></table>after";
        assert_eq!(to_text(html), "Size | Price\nS | 10 EUR\n\nafter");
    }

    #[test]
    fn scripts_styles_and_comments_are_not_text() {
        let html =
            "a<script>if (1<2) { x('</p>') }</script><style>p{}</style><!-- c --><svg><text>d</text></svg><noscript/>b";
        assert_eq!(to_text(html), "ab");
    }

    #[test]
    fn preformatted_lines_stay_lines() {
        assert_eq!(to_text("<pre>a\n b</pre>c\nd"), "a\nb\n\nc d");
    }

    #[test]
    fn deep_nesting_and_unfinished_markup_are_harmless() {
        assert_eq!(to_text(&"<div>".repeat(200_000)), "");
        assert_eq!(to_text("<p>a<b"), "a");
        assert_eq!(to_text("a<script>never closed"), "a");
    }
}
