//! A parser of GraphQL documents with operations and fragments. It returns the operations with their
//! variables, and no selections.
//!
//! The grammar is that of the specification of October 2021. The crate graphql-parser is not used, because
//! it panics on some block strings.

/// How deep selections, values and types may be nested. The parser recurses no deeper.
const MAX_NESTING: usize = 64;

/// The operations of a document, in their order. Fragments are checked and left out.
#[derive(Debug, PartialEq, Eq)]
pub struct Document<'a> {
    pub operations: Vec<Operation<'a>>,
    /// The names of the variables that selections use, sorted.
    pub used_variables: Vec<&'a str>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    pub kind: OperationKind,
    pub name: Option<&'a str>,
    pub variables: Vec<Variable<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    Query,
    Mutation,
    Subscription,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Variable<'a> {
    pub name: &'a str,
    pub variable_type: VariableType<'a>,
    pub has_default: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum VariableType<'a> {
    Named { name: &'a str, is_non_null: bool },
    List { item: Box<VariableType<'a>>, is_non_null: bool },
}

impl VariableType<'_> {
    pub fn is_non_null(&self) -> bool {
        match self {
            Self::Named { is_non_null, .. } | Self::List { is_non_null, .. } => *is_non_null,
        }
    }
}

/// Where a document breaks the grammar. Both numbers count from 1, and a column is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    #[error("the text at line {line}, column {column} is not expected")]
    Unexpected { line: usize, column: usize },
    #[error("it is nested more than {MAX_NESTING} levels deep at line {line}, column {column}")]
    TooDeep { line: usize, column: usize },
}

pub fn parse(document: &str) -> Result<Document<'_>, SyntaxError> {
    let mut parser = Parser::new(document)?;
    let mut operations = Vec::new();
    loop {
        operations.extend(parser.definition()?);
        if parser.token == Token::End {
            break;
        }
    }
    let mut used_variables = parser.used_variables;
    used_variables.sort_unstable();
    used_variables.dedup();
    Ok(Document { operations, used_variables })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// One of `!$&():=@[]{}|`.
    Punctuator(u8),
    Spread,
    Name(&'a str),
    /// A number or a string.
    Literal,
    End,
}

struct Parser<'a> {
    document: &'a str,
    /// The token that is parsed next.
    token: Token<'a>,
    /// Where that token starts.
    token_start: usize,
    /// Where it ends.
    position: usize,
    depth: usize,
    used_variables: Vec<&'a str>,
}

type Parsed<T = ()> = Result<T, SyntaxError>;

impl<'a> Parser<'a> {
    fn new(document: &'a str) -> Parsed<Self> {
        let mut parser =
            Self { document, token: Token::End, token_start: 0, position: 0, depth: 0, used_variables: Vec::new() };
        parser.advance()?;
        Ok(parser)
    }

    /// `None` for a fragment.
    fn definition(&mut self) -> Parsed<Option<Operation<'a>>> {
        let kind = match self.token {
            Token::Name("query") => OperationKind::Query,
            Token::Name("mutation") => OperationKind::Mutation,
            Token::Name("subscription") => OperationKind::Subscription,
            Token::Name("fragment") => return self.fragment().map(|()| None),
            _ => {
                self.selection_set()?;
                return Ok(Some(Operation { kind: OperationKind::Query, name: None, variables: Vec::new() }));
            }
        };
        self.advance()?;
        let name = match self.token {
            Token::Name(_) => Some(self.name()?),
            _ => None,
        };
        let mut variables = Vec::new();
        if self.take(b'(')? {
            while variables.is_empty() || !self.take(b')')? {
                variables.push(self.variable_definition()?);
            }
        }
        self.directives()?;
        self.selection_set()?;
        Ok(Some(Operation { kind, name, variables }))
    }

    fn fragment(&mut self) -> Parsed {
        self.advance()?;
        self.fragment_name()?;
        self.keyword("on")?;
        self.name()?;
        self.directives()?;
        self.selection_set()
    }

    fn variable_definition(&mut self) -> Parsed<Variable<'a>> {
        self.expect(b'$')?;
        let name = self.name()?;
        self.expect(b':')?;
        let variable_type = self.variable_type()?;
        let has_default = self.take(b'=')?;
        if has_default {
            self.value(Variables::NotAllowed)?;
        }
        self.directives_with(Variables::NotAllowed)?;
        Ok(Variable { name, variable_type, has_default })
    }

    fn variable_type(&mut self) -> Parsed<VariableType<'a>> {
        if self.token != Token::Punctuator(b'[') {
            let name = self.name()?;
            return Ok(VariableType::Named { name, is_non_null: self.take(b'!')? });
        }
        let item = self.nested(|parser| {
            parser.advance()?;
            let item = parser.variable_type()?;
            parser.expect(b']')?;
            Ok(item)
        })?;
        Ok(VariableType::List { item: Box::new(item), is_non_null: self.take(b'!')? })
    }

    fn selection_set(&mut self) -> Parsed {
        self.nested(|parser| {
            parser.expect(b'{')?;
            parser.selection()?;
            while !parser.take(b'}')? {
                parser.selection()?;
            }
            Ok(())
        })
    }

    fn selection(&mut self) -> Parsed {
        if self.token == Token::Spread {
            self.advance()?;
            return self.spread();
        }
        self.name()?;
        if self.take(b':')? {
            self.name()?;
        }
        self.arguments(Variables::Allowed)?;
        self.directives()?;
        match self.token {
            Token::Punctuator(b'{') => self.selection_set(),
            _ => Ok(()),
        }
    }

    /// What follows `...`.
    fn spread(&mut self) -> Parsed {
        match self.token {
            Token::Name("on") => {
                self.advance()?;
                self.name()?;
            }
            Token::Name(_) => {
                self.fragment_name()?;
                return self.directives();
            }
            _ => {}
        }
        self.directives()?;
        self.selection_set()
    }

    fn directives(&mut self) -> Parsed {
        self.directives_with(Variables::Allowed)
    }

    fn directives_with(&mut self, variables: Variables) -> Parsed {
        while self.take(b'@')? {
            self.name()?;
            self.arguments(variables)?;
        }
        Ok(())
    }

    fn arguments(&mut self, variables: Variables) -> Parsed {
        if !self.take(b'(')? {
            return Ok(());
        }
        self.member(variables)?;
        while !self.take(b')')? {
            self.member(variables)?;
        }
        Ok(())
    }

    /// An argument, or a field of an input object.
    fn member(&mut self, variables: Variables) -> Parsed {
        self.name()?;
        self.expect(b':')?;
        self.value(variables)
    }

    fn value(&mut self, variables: Variables) -> Parsed {
        match self.token {
            Token::Literal | Token::Name(_) => self.advance(),
            Token::Punctuator(b'$') if variables == Variables::Allowed => {
                self.advance()?;
                let name = self.name()?;
                self.used_variables.push(name);
                Ok(())
            }
            Token::Punctuator(b'[') => self.nested(|parser| {
                parser.advance()?;
                while !parser.take(b']')? {
                    parser.value(variables)?;
                }
                Ok(())
            }),
            Token::Punctuator(b'{') => self.nested(|parser| {
                parser.advance()?;
                while !parser.take(b'}')? {
                    parser.member(variables)?;
                }
                Ok(())
            }),
            Token::Punctuator(_) | Token::Spread | Token::End => Err(self.unexpected()),
        }
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_NESTING {
            let (line, column) = self.line_and_column(self.token_start);
            return Err(SyntaxError::TooDeep { line, column });
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn name(&mut self) -> Parsed<&'a str> {
        let Token::Name(name) = self.token else { return Err(self.unexpected()) };
        self.advance()?;
        Ok(name)
    }

    fn fragment_name(&mut self) -> Parsed {
        if self.token == Token::Name("on") {
            return Err(self.unexpected());
        }
        self.name().map(|_| ())
    }

    fn keyword(&mut self, keyword: &str) -> Parsed {
        if self.token != Token::Name(keyword) {
            return Err(self.unexpected());
        }
        self.advance()
    }

    fn expect(&mut self, punctuator: u8) -> Parsed {
        if self.take(punctuator)? { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Whether the next token is this one, which is then passed.
    fn take(&mut self, punctuator: u8) -> Parsed<bool> {
        let is_next = self.token == Token::Punctuator(punctuator);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    /// Reads the next token.
    fn advance(&mut self) -> Parsed {
        self.skip_ignored()?;
        self.token_start = self.position;
        self.token = match self.byte() {
            None => Token::End,
            Some(byte) if b"!$&():=@[]{}|".contains(&byte) => {
                self.position += 1;
                Token::Punctuator(byte)
            }
            Some(b'.') if self.rest().starts_with("...") => {
                self.position += 3;
                Token::Spread
            }
            Some(b'"') if self.rest().starts_with("\"\"\"") => self.block_string()?,
            Some(b'"') => self.string()?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(byte) if is_name_start(byte) => {
                self.skip_while(|byte| is_name_start(byte) || byte.is_ascii_digit());
                Token::Name(&self.document[self.token_start..self.position])
            }
            Some(_) => return Err(self.unexpected()),
        };
        Ok(())
    }

    /// Skips white space, commas, byte order marks and comments.
    fn skip_ignored(&mut self) -> Parsed {
        loop {
            self.skip_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b','));
            if self.rest().starts_with('\u{feff}') {
                self.position += '\u{feff}'.len_utf8();
            } else if self.byte() == Some(b'#') {
                self.skip_while(|byte| !matches!(byte, b'\n' | b'\r') && is_source_byte(byte));
                if self.byte().is_some_and(|byte| !is_source_byte(byte)) {
                    return self.unexpected_here();
                }
            } else {
                return Ok(());
            }
        }
    }

    fn string(&mut self) -> Parsed<Token<'a>> {
        self.position += 1;
        loop {
            self.skip_while(|byte| !matches!(byte, b'"' | b'\\' | b'\n' | b'\r') && is_source_byte(byte));
            match self.byte() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(Token::Literal);
                }
                Some(b'\\') => self.escape()?,
                _ => return self.unexpected_here(),
            }
        }
    }

    fn escape(&mut self) -> Parsed {
        let escape = self.rest().as_bytes();
        let length = match escape {
            [_, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [_, b'u', digits @ ..] if digits.len() >= 4 && digits[..4].iter().all(u8::is_ascii_hexdigit) => 6,
            _ => return self.unexpected_here(),
        };
        self.position += length;
        Ok(())
    }

    fn block_string(&mut self) -> Parsed<Token<'a>> {
        self.position += 3;
        loop {
            self.skip_while(|byte| !matches!(byte, b'"' | b'\\') && is_source_byte(byte));
            if self.rest().starts_with("\"\"\"") {
                self.position += 3;
                return Ok(Token::Literal);
            }
            match self.byte() {
                Some(b'\\') if self.rest().starts_with("\\\"\"\"") => self.position += 4,
                Some(b'"' | b'\\') => self.position += 1,
                _ => return self.unexpected_here(),
            }
        }
    }

    fn number(&mut self) -> Parsed<Token<'a>> {
        if self.byte() == Some(b'-') {
            self.position += 1;
        }
        let integer_start = self.position;
        self.digits()?;
        if self.position > integer_start + 1 && self.document.as_bytes()[integer_start] == b'0' {
            return Err(self.unexpected());
        }
        if self.byte() == Some(b'.') {
            self.position += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.position += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.position += 1;
            }
            self.digits()?;
        }
        match self.byte() {
            Some(byte) if byte == b'.' || is_name_start(byte) => self.unexpected_here(),
            _ => Ok(Token::Literal),
        }
    }

    fn digits(&mut self) -> Parsed {
        let start = self.position;
        self.skip_while(|byte| byte.is_ascii_digit());
        if self.position == start { self.unexpected_here() } else { Ok(()) }
    }

    fn skip_while(&mut self, accepts: impl Fn(u8) -> bool) {
        let rest = &self.document.as_bytes()[self.position..];
        self.position += rest.iter().position(|byte| !accepts(*byte)).unwrap_or(rest.len());
    }

    fn byte(&self) -> Option<u8> {
        self.document.as_bytes().get(self.position).copied()
    }

    fn rest(&self) -> &'a str {
        &self.document[self.position..]
    }

    /// The next token is not expected.
    fn unexpected(&self) -> SyntaxError {
        let (line, column) = self.line_and_column(self.token_start);
        SyntaxError::Unexpected { line, column }
    }

    /// The next character is not expected.
    fn unexpected_here<T>(&self) -> Parsed<T> {
        let (line, column) = self.line_and_column(self.position);
        Err(SyntaxError::Unexpected { line, column })
    }

    fn line_and_column(&self, position: usize) -> (usize, usize) {
        let before = &self.document[..position];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// Whether a value may have variables.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variables {
    Allowed,
    NotAllowed,
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// Whether a document may have the byte: any but those of control characters other than tabs and line ends.
fn is_source_byte(byte: u8) -> bool {
    byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(document: &str) -> Operation<'_> {
        let operations = parse(document).unwrap().operations;
        let [operation] = operations.try_into().expect("one operation");
        operation
    }

    fn named(name: &str, is_non_null: bool) -> VariableType<'_> {
        VariableType::Named { name, is_non_null }
    }

    #[test]
    fn operations_are_returned_with_kind_name_and_variables() {
        let query = operation("query Find($id: ID!, $tags: [[String!]]! = [], $n: Int = 1 @a(b: 2)) { a(id: $id) }");
        assert_eq!((query.kind, query.name), (OperationKind::Query, Some("Find")));
        let inner = VariableType::List { item: Box::new(named("String", true)), is_non_null: false };
        let tags = VariableType::List { item: Box::new(inner), is_non_null: true };
        let expected = [("id", named("ID", true), false), ("tags", tags, true), ("n", named("Int", false), true)];
        let variables: Vec<_> = query.variables.into_iter().map(|v| (v.name, v.variable_type, v.has_default)).collect();
        assert_eq!(variables, expected);
        for (document, kind) in [
            ("{ a }", OperationKind::Query),
            ("query { a }", OperationKind::Query),
            ("mutation { a }", OperationKind::Mutation),
            ("subscription { a }", OperationKind::Subscription),
        ] {
            assert_eq!(operation(document), Operation { kind, name: None, variables: vec![] }, "{document}");
        }
    }

    #[test]
    fn used_variables_of_operations_and_fragments_are_returned() {
        let document = "query($a: A, $b: B) { f(x: [$b, {y: $a}]) @include(if: $c) ...F }
            fragment F on T { g(x: $a) }";
        assert_eq!(parse(document).unwrap().used_variables, ["a", "b", "c"]);
    }

    #[test]
    fn every_construct_of_the_grammar_is_accepted() {
        for document in [
            "\u{feff}# Comment é\n{ a, b:c }\r\n",
            "query query { query: mutation }",
            "{ a @x @y(z: 1) { ... on T @s { b } ... @t { c } ...{ d } ...fragment @u } }
             fragment fragment on on @x { a }",
            "{ a(i: -0, n: 12, f: -1.5e+9, g: 1e0, s: \"\\u00e9\\\\\\\"é\", e: \"\", t: true, x: null, v: E) }",
            "{ a(b: \"\"\"\n\u{3000}x\n  \\\"\"\" \"y\" z\"\"\") }",
            "{ a(o: {}, l: [], p: {q: [{r: 1}]}) }",
            "query($a: A = {b: [1 2], c: \"d\"}) { a(b: $a) }",
            "{ on }",
            "fragment A on B { c } query { ...A }",
        ] {
            assert_eq!(parse(document).map(|document| document.operations.len()), Ok(1), "{document}");
        }
        assert_eq!(parse("{ a } { b } mutation M { c }").unwrap().operations.len(), 3);
        assert_eq!(parse("fragment A on B { c }").unwrap().operations.len(), 0);
    }

    #[test]
    fn text_outside_the_grammar_is_refused_with_its_position() {
        for (document, line, column) in [
            ("", 1, 1),
            (" ,\n", 2, 1),
            ("{", 1, 2),
            ("{ }", 1, 3),
            ("{ a } }", 1, 7),
            ("{ a\n  é }", 2, 3),
            ("query", 1, 6),
            ("query() { a }", 1, 7),
            ("query($a) { a }", 1, 9),
            ("query($a: $b) { a }", 1, 11),
            ("query($a: [A) { a }", 1, 13),
            ("query($a: A!!) { a }", 1, 13),
            ("query($a: A = $b) { a }", 1, 15),
            ("query($a: A @b(c: $d)) { a }", 1, 19),
            ("type A { b: C }", 1, 1),
            ("fragment on on A { b }", 1, 10),
            ("fragment A { b }", 1, 12),
            ("{ a() }", 1, 5),
            ("{ a(b) }", 1, 6),
            ("{ a(b: ) }", 1, 8),
            ("{ a(b: 01) }", 1, 8),
            ("{ a(b: -) }", 1, 9),
            ("{ a(b: 1.) }", 1, 10),
            ("{ a(b: 1e) }", 1, 10),
            ("{ a(b: 1x) }", 1, 9),
            ("{ a(b: 1.2.3) }", 1, 11),
            ("{ a(b: \"c\nd\") }", 1, 10),
            ("{ a(b: \"\\x\") }", 1, 9),
            ("{ a(b: \"\\u12\") }", 1, 9),
            ("{ a(b: \"c", 1, 10),
            ("{ a(b: \"\"\"c\"\"", 1, 14),
            ("{ a(b: \"\u{1}\") }", 1, 9),
            ("# \u{0}\n{ a }", 1, 3),
            ("{ .. a }", 1, 3),
            ("{ a ; }", 1, 5),
            ("{ ... on }", 1, 10),
        ] {
            assert_eq!(parse(document), Err(SyntaxError::Unexpected { line, column }), "{document}");
        }
        let error = SyntaxError::Unexpected { line: 2, column: 3 };
        assert_eq!(error.to_string(), "the text at line 2, column 3 is not expected");
    }

    #[test]
    fn nesting_is_bounded() {
        let selections = |depth: usize| format!("{}a{}", "{a".repeat(depth), "}".repeat(depth));
        let values = |depth: usize| format!("{{ a(b: {}{}) }}", "[".repeat(depth), "]".repeat(depth));
        let objects = |depth: usize| format!("{{ a(b: {}1{}) }}", "{c:".repeat(depth), "}".repeat(depth));
        let types = |depth: usize| format!("query($a: {}A{}) {{ a }}", "[".repeat(depth), "]".repeat(depth));
        for (nested, most) in [
            (&selections as &dyn Fn(usize) -> String, MAX_NESTING),
            (&values, MAX_NESTING - 1),
            (&objects, MAX_NESTING - 1),
            (&types, MAX_NESTING),
        ] {
            assert!(parse(&nested(most)).is_ok(), "{}", nested(most));
            for depth in [most + 1, 100_000] {
                assert!(matches!(parse(&nested(depth)), Err(SyntaxError::TooDeep { line: 1, .. })), "{depth}");
            }
        }
    }

    #[test]
    fn no_prefix_or_changed_byte_of_a_document_panics() {
        let document = "query Q($a: [Int!]! = [1.5e3 \"\\u00e9\"]) { b: c(d: {e: $a}) @f { ...G ... on H { é } } }
            # comment\n fragment G on H { i(j: \"\"\"\u{3000}k\n  \\\"\"\" l\"\"\") }";
        for (end, _) in document.char_indices() {
            let _ = parse(&document[..end]);
            for replacement in ["\"", "\\", "{", "}", "[", "(", "$", "é", "\u{0}", "0", ".", "#", "\n"] {
                let rest = document[end..].chars().next().map_or("", |first| &document[end + first.len_utf8()..]);
                let _ = parse(&format!("{}{replacement}{rest}", &document[..end]));
            }
        }
    }
}
