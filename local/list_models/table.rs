//! Models as lines of a table.
use super::ListedModel;

const HEADINGS: [&str; 9] =
    ["MODEL", "FAMILY", "ALLOWED", "TOOLS", "REASONING", "CACHING", "IMAGES", "DOCUMENTS", "CONTEXT"];

/// The columns are as wide as their longest cell. The note comes last.
pub fn format(models: &[ListedModel]) -> String {
    let rows: Vec<Vec<String>> = models.iter().map(cells).collect();
    let mut widths: Vec<usize> = HEADINGS.iter().map(|heading| heading.len()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let headings = HEADINGS.iter().map(|heading| (*heading).to_owned()).chain(["NOTE".to_owned()]).collect();
    [headings].iter().chain(&rows).map(|row| line(row, &widths)).collect()
}

fn cells(model: &ListedModel) -> Vec<String> {
    let yes = |value: bool| if value { "yes" } else { "-" }.to_owned();
    let caching = if model.prompt_caching.is_empty() { "-".to_owned() } else { model.prompt_caching.join(" ") };
    vec![
        printable(&model.id),
        model.family.clone().unwrap_or_else(|| "unknown".into()),
        yes(model.allowed),
        model.tools.to_owned(),
        yes(model.reasoning),
        caching,
        yes(model.images),
        yes(model.documents),
        model.context_tokens.map_or_else(|| "-".into(), thousands),
        printable(&model.note),
    ]
}

fn thousands(tokens: u32) -> String {
    format!("{} K", tokens / 1000)
}

/// Control characters of a server would reach the terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded = cells.iter().enumerate().map(|(column, cell)| {
        let width = widths.get(column).copied().unwrap_or_default();
        format!("{cell:width$}")
    });
    format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let known = ListedModel::new(true, "us.anthropic.claude-sonnet-5".into(), "parameter ModelId".into());
        let unknown = ListedModel::new(false, "small\u{1b}[31m".into(), String::new());
        let expected = "\
MODEL                         FAMILY           ALLOWED  TOOLS     REASONING  CACHING  IMAGES  DOCUMENTS  CONTEXT  NOTE
us.anthropic.claude-sonnet-5  Claude Sonnet 5  yes      streamed  yes        5m 1h    yes     yes        1000 K   parameter ModelId
small[31m                     unknown          -        streamed  -          -        -       -          -
";
        assert_eq!(format(&[known, unknown]), expected);
    }
}
