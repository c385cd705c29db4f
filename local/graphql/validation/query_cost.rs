//! How much a request asks for, found out before anything is resolved: a few hundred bytes can ask for gigabytes.
use apollo_compiler::{
    ExecutableDocument, Name,
    ast::Value as Literal,
    collections::HashMap,
    executable::{Field, Selection, SelectionSet},
};

use crate::graphql::{graphql_error::GraphqlError, validation::Prepared};

/// AppSync's limit on a document. White space, commas and comments do not count.
const TOKENS: usize = 15_000;
/// What does not count as a token is limited for itself, as AppSync's GraphQL library does it.
const IGNORED_TOKENS: usize = 200_000;
/// With fragments spread out: no more than a document without any could select.
const FIELDS: u64 = 15_000;
/// Below `__schema` and `__type`, whose lists multiply. The usual introspection asks for fewer than 200.
const INTROSPECTED_FIELDS: u64 = 500;
/// What the paths of `ctx.info.selectionSetList` may come to; AppSync limits what a handler evaluates to as much.
const PATH_BYTES: u64 = 5 * 1024 * 1024;
/// What variables may come to, each counted as often as an argument uses it.
const VARIABLE_BYTES: u64 = 5 * 1024 * 1024;

/// What the GraphQL library may read of a document that `check_tokens` lets pass.
pub const TOKENS_READ: usize = TOKENS + IGNORED_TOKENS;

pub fn check_tokens(document: &str) -> Result<(), Vec<GraphqlError>> {
    let within = Tokens(document).take(TOKENS + 1).count() <= TOKENS;
    if within { Ok(()) } else { Err(refusal(format!("A document has at most {TOKENS} tokens; this one has more."))) }
}

/// Of an operation that fits the schema.
pub fn check(prepared: &Prepared) -> Result<(), Vec<GraphqlError>> {
    let mut measure = Measure {
        document: &prepared.document,
        variables: prepared.variables.iter().map(|(name, value)| (name.as_str(), bytes(value))).collect(),
        fragments: HashMap::default(),
    };
    let whole = measure.set(&prepared.operation.selection_set);
    let limits = [
        (whole.fields, FIELDS, "fields, with its fragments spread out"),
        (whole.introspected, INTROSPECTED_FIELDS, "fields of the schema's own description"),
        (whole.paths, PATH_BYTES, "bytes of paths to its fields"),
        (whole.variables, VARIABLE_BYTES, "bytes of variables, each counted as often as it is used"),
    ];
    match limits.into_iter().find(|(asked, most, _)| asked > most) {
        Some((asked, most, what)) => {
            Err(refusal(format!("An operation asks for at most {most} {what}; this one for {asked}.")))
        }
        None => Ok(()),
    }
}

fn refusal(sentence: String) -> Vec<GraphqlError> {
    vec![GraphqlError::of_request(sentence, None)]
}

fn bytes(value: &serde_json::Value) -> u64 {
    value.to_string().len() as u64
}

/// Each with fragments spread out, and without an end: what would overflow is beyond every limit.
#[derive(Clone, Copy, Default)]
struct Extent {
    fields: u64,
    introspected: u64,
    paths: u64,
    variables: u64,
}

impl Extent {
    fn and(self, other: Self) -> Self {
        Self {
            fields: self.fields.saturating_add(other.fields),
            introspected: self.introspected.saturating_add(other.introspected),
            paths: self.paths.saturating_add(other.paths),
            variables: self.variables.saturating_add(other.variables),
        }
    }

    /// The field itself, with all that is selected below it.
    fn below(self, field: &Field, variables: u64) -> Self {
        let key = field.response_key().len() as u64;
        let fields = self.fields.saturating_add(1);
        let describes = matches!(field.name.as_str(), "__schema" | "__type");
        Self {
            fields,
            introspected: if describes { fields } else { self.introspected },
            paths: self.paths.saturating_add(fields.saturating_mul(key + 1)),
            variables: self.variables.saturating_add(variables),
        }
    }
}

/// Looks at each fragment once, however often it is spread.
struct Measure<'a> {
    document: &'a ExecutableDocument,
    variables: HashMap<&'a str, u64>,
    fragments: HashMap<&'a Name, Extent>,
}

impl<'a> Measure<'a> {
    fn set(&mut self, set: &'a SelectionSet) -> Extent {
        set.selections.iter().fold(Extent::default(), |sum, selection| {
            sum.and(match selection {
                Selection::Field(field) => {
                    let variables = field.arguments.iter().map(|argument| self.used(&argument.value)).sum();
                    self.set(&field.selection_set).below(field, variables)
                }
                Selection::InlineFragment(fragment) => self.set(&fragment.selection_set),
                Selection::FragmentSpread(spread) => self.fragment(&spread.fragment_name),
            })
        })
    }

    fn fragment(&mut self, name: &'a Name) -> Extent {
        if let Some(known) = self.fragments.get(name) {
            return *known;
        }
        let found = self.document.fragments.get(name).map(|fragment| self.set(&fragment.selection_set));
        let found = found.unwrap_or_default();
        self.fragments.insert(name, found);
        found
    }

    fn used(&self, literal: &Literal) -> u64 {
        match literal {
            Literal::Variable(name) => self.variables.get(name.as_str()).copied().unwrap_or_default(),
            Literal::List(items) => items.iter().map(|item| self.used(item)).sum(),
            Literal::Object(members) => members.iter().map(|(_, member)| self.used(member)).sum(),
            _ => 0,
        }
    }
}

/// The tokens of a document, whether they make sense together or not.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = after_ignored(self.0);
        let (token, rest) = text.split_at_checked(length(text)?)?;
        self.0 = rest;
        Some(token)
    }
}

fn after_ignored(text: &str) -> &str {
    let mut rest = text.trim_start_matches([' ', '\t', '\n', '\r', ',', '\u{feff}']);
    while let Some(comment) = rest.strip_prefix('#') {
        let line_end = comment.find(['\n', '\r']).unwrap_or(comment.len());
        rest = comment[line_end..].trim_start_matches([' ', '\t', '\n', '\r', ',', '\u{feff}']);
    }
    rest
}

/// Of the first token; nothing at the end of the document.
fn length(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    Some(match first {
        '"' => string(text),
        '.' if text.starts_with("...") => 3,
        '_' | 'a'..='z' | 'A'..='Z' => run(text, |byte| byte == b'_' || byte.is_ascii_alphanumeric()),
        '-' | '0'..='9' => number(text),
        other => other.len_utf8(),
    })
}

fn run(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| belongs(*byte)).count()
}

fn digits(text: &str) -> usize {
    run(text, |byte| byte.is_ascii_digit())
}

/// `-1.5e+3`; a sign alone is a token, too.
fn number(text: &str) -> usize {
    let sign = usize::from(text.starts_with('-'));
    let mut end = sign + digits(&text[sign..]);
    if let Some(fraction) = text[end..].strip_prefix('.') {
        end += digits(fraction).checked_sub(1).map_or(0, |more| more + 2);
    }
    if let Some(power) = text[end..].strip_prefix(['e', 'E']) {
        let sign = usize::from(power.starts_with(['+', '-']));
        end += digits(&power[sign..]).checked_sub(1).map_or(0, |more| more + 2 + sign);
    }
    end
}

/// With its quotes. One that does not end reaches to the end of its line, a block to the end of the document.
fn string(text: &str) -> usize {
    let (opening, closing) = if text.starts_with("\"\"\"") { (3, "\"\"\"") } else { (1, "\"") };
    let mut end = opening;
    while let Some(next) = text[end..].chars().next() {
        match next {
            '"' if text[end..].starts_with(closing) => return end + opening,
            '\n' | '\r' if opening == 1 => return end,
            '\\' if opening == 1 => end += 1 + text[end + 1..].chars().next().map_or(0, char::len_utf8),
            '\\' if text[end + 1..].starts_with(closing) => end += 1 + opening,
            other => end += other.len_utf8(),
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_counted_as_its_grammar_counts_it() {
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
    fn a_document_of_too_many_tokens_is_refused() {
        assert_eq!(check_tokens(&"a ".repeat(TOKENS)), Ok(()));
        let refused = check_tokens(&"a ".repeat(TOKENS + 1)).unwrap_err();
        assert_eq!(refused[0].message, "A document has at most 15000 tokens; this one has more.");
    }
}
