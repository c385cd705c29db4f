//! The statements of `database.sql`, with the password in them.

const SCRIPT: &str = include_str!("../../database.sql");
const PASSWORD: &str = "{password}";

/// One statement of the transaction.
#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    pub sql: String,
    /// Its first line without the password, for logs and errors.
    pub name: &'static str,
    /// Whether the database's message about it may be shown. It could quote a piece of the password.
    pub may_show_message: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("the password of bedrock_user is empty")]
    Empty,
    #[error("the password of bedrock_user has a NUL character, which PostgreSQL does not take")]
    Nul,
}

/// All statements, in order.
pub fn statements(password: &str) -> Result<Vec<Statement>, PasswordError> {
    let literal = quote_literal(password)?;
    let statements = paragraphs(SCRIPT).map(|template| Statement {
        sql: template.replace(PASSWORD, &literal),
        name: template.lines().find(|line| !line.starts_with("--")).unwrap_or_default(),
        may_show_message: !template.contains(PASSWORD),
    });
    Ok(statements.collect())
}

/// Paragraphs without those that are comments only.
fn paragraphs(script: &'static str) -> impl Iterator<Item = &'static str> {
    let is_statement = |paragraph: &&str| paragraph.lines().any(|line| !line.starts_with("--"));
    script.split("\n\n").map(str::trim).filter(is_statement)
}

/// The text as a literal of PostgreSQL, because statements that define data take no parameters. It means the
/// same whatever `standard_conforming_strings` is, as with PostgreSQL's own `quote_literal`.
fn quote_literal(text: &str) -> Result<String, PasswordError> {
    if text.is_empty() {
        return Err(PasswordError::Empty);
    }
    if text.contains('\0') {
        return Err(PasswordError::Nul);
    }
    let quoted = text.replace('\'', "''");
    Ok(if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_in_one_statement_and_in_no_name() {
        let statements = statements("Pa55word").unwrap();
        let with_password: Vec<_> = statements.iter().filter(|statement| statement.sql.contains("Pa55word")).collect();
        let [statement] = with_password.as_slice() else { panic!("one statement has the password") };
        assert_eq!(statement.sql, "ALTER ROLE bedrock_user LOGIN PASSWORD 'Pa55word'");
        assert!(!statement.may_show_message);
        assert!(statements.iter().all(|statement| !statement.name.contains("Pa55word")));
        assert_eq!(statements.iter().filter(|statement| !statement.may_show_message).count(), 1);
    }

    #[test]
    fn every_paragraph_is_one_statement_with_a_name() {
        let statements = statements("a").unwrap();
        assert_eq!(statements.len(), 12);
        for statement in statements {
            let is_block = statement.name.starts_with("DO ");
            assert!(is_block || !statement.sql.contains(';'), "{} is more than one statement", statement.name);
            let verbs = ["SET", "SELECT", "CREATE", "DO", "ALTER", "GRANT"];
            assert!(verbs.iter().any(|verb| statement.name.starts_with(verb)), "{}", statement.name);
        }
    }

    #[test]
    fn literals_are_quoted_exactly() {
        for (text, expected) in [
            ("plain", "'plain'"),
            ("it's", "'it''s'"),
            ("a\\b", r"E'a\\b'"),
            ("\\'; DROP ROLE x; --", r"E'\\''; DROP ROLE x; --'"),
            ("$$ü\n", "'$$ü\n'"),
        ] {
            assert_eq!(quote_literal(text).as_deref(), Ok(expected));
        }
        assert_eq!(quote_literal("a\0b"), Err(PasswordError::Nul));
        assert_eq!(quote_literal(""), Err(PasswordError::Empty));
    }
}
