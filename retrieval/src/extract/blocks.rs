//! Text made of blocks: paragraphs, lines and cells, with white space as a browser shows it.

/// Collects text. Separators are written when text follows, so that none is doubled, leading or trailing.
#[derive(Default)]
pub struct BlockWriter {
    text: String,
    separator: Separator,
    in_cell: bool,
}

/// Of several separators in a row the strongest counts.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Separator {
    #[default]
    None,
    Space,
    Cell,
    Line,
    Paragraph,
}

impl BlockWriter {
    /// Appends text; a run of white space is one space.
    pub fn push_text(&mut self, text: &str) {
        for character in text.chars() {
            if character.is_whitespace() {
                self.separate(Separator::Space);
            } else {
                self.write_separator();
                self.text.push(character);
            }
        }
    }

    /// Appends text whose line breaks count.
    pub fn push_preformatted(&mut self, text: &str) {
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                self.end_line();
            }
            self.push_text(line);
        }
    }

    pub fn push_space(&mut self) {
        self.separate(Separator::Space);
    }

    /// Ends a line. Within a cell it is a space: a row of a table stays one line.
    pub fn end_line(&mut self) {
        self.separate(if self.in_cell { Separator::Space } else { Separator::Line });
    }

    pub fn end_paragraph(&mut self) {
        self.separate(if self.in_cell { Separator::Space } else { Separator::Paragraph });
    }

    pub fn begin_cell(&mut self) {
        self.separate(Separator::Cell);
        self.in_cell = true;
    }

    pub fn end_row(&mut self) {
        self.in_cell = false;
        self.separate(Separator::Line);
    }

    pub fn len(&self) -> usize {
        self.text.len()
    }

    pub fn finish(self) -> String {
        self.text
    }

    fn separate(&mut self, separator: Separator) {
        self.separator = self.separator.max(separator);
    }

    fn write_separator(&mut self) {
        let separator = std::mem::take(&mut self.separator);
        if self.text.is_empty() {
            return;
        }
        self.text.push_str(match separator {
            Separator::None => "",
            Separator::Space => " ",
            Separator::Cell => " | ",
            Separator::Line => "\n",
            Separator::Paragraph => "\n\n",
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strongest_separator_counts_once() {
        let mut writer = BlockWriter::default();
        writer.end_paragraph();
        writer.push_text(" a\t\n b ");
        writer.end_line();
        writer.end_paragraph();
        writer.push_text("c ");
        assert_eq!(writer.finish(), "a b\n\nc");
    }

    #[test]
    fn row_is_one_line() {
        let mut writer = BlockWriter::default();
        for row in [["a", "b"], ["c", "d"]] {
            for cell in row {
                writer.begin_cell();
                writer.push_text(cell);
                writer.end_paragraph();
            }
            writer.end_row();
        }
        assert_eq!(writer.finish(), "a | b\nc | d");
    }
}
