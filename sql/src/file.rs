//! The file of a view: its text, cut into the tables that it brings along and the one view that it declares.
use crate::{
    catalogue::{self, Catalogue},
    problem::{Place, Problem},
};
use sqlparser::{
    ast::{
        self, CreateTableOptions, CreateView, Expr, ObjectName, Query, SqlOption, Statement, Value,
    },
    dialect::PostgreSqlDialect,
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::{Token, TokenWithSpan, Tokenizer},
};
use std::collections::HashSet;

/// A longer text is no view of anybody's.
const BYTES_MAX: usize = 1 << 20;
/// How deep parentheses, sub-selects and cases may stand in each other.
const DEPTH_MAX: usize = 50;
/// How many operators may follow each other in one expression: each stands in the one behind it.
const CHAIN_MAX: usize = 500;

/// The names of options that a view may have in `with (...)`, each with what its value says. `sink` may occur several times.
pub const OPTIONS: &[(&str, &str)] = &[
    ("sink", "where the view is kept: 'sqlite:FILE', 'dynamodb:TABLE', ..."),
    ("topics", "the topics of its tables, as 'shop.public.*'"),
    ("join", "'when read': a join is made by whoever reads the view, in a sink that speaks SQL"),
];

/// A parsed file.
#[derive(Debug, Clone)]
pub struct File {
    /// The tables of the file's own `create table` statements, in their order.
    pub tables: Catalogue,
    pub view: ViewText,
}

/// The view as it is written.
#[derive(Debug, Clone)]
pub struct ViewText {
    pub name: String,
    pub place: Place,
    /// In the order in which they are written.
    pub options: Vec<Option>,
    pub(crate) query: Query,
}

impl ViewText {
    /// The view's query, as SQL.
    pub fn query(&self) -> String {
        self.query.to_string()
    }
}

/// One of the view's options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Option {
    /// One of [`OPTIONS`].
    pub name: String,
    /// The text between quotes, or the number or word as written.
    pub value: String,
    pub place: Place,
}

impl File {
    /// Reads a file. Nothing is bound yet: tables and columns may have any name.
    ///
    /// # Errors
    /// What is no SQL, is too long or too deep, or is none of the statements that a file may have.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let statements = statements(text)?;
        let mut tables = Catalogue::default();
        let mut enums = Vec::new();
        let mut view = None;
        for (statement, place) in statements {
            match statement {
                Statement::CreateTable(table) => {
                    tables.add(catalogue::table_of(&table, &enums, place)?, place)?;
                }
                Statement::CreateType { name, representation } => {
                    enums.push(catalogue::enum_of(&name, representation, place)?);
                }
                Statement::CreateView(_) if view.is_some() => {
                    return Err(Problem::new(place, "the file declares a second view")
                        .instead("write one file for each view"));
                }
                Statement::CreateView(create) => view = Some(view_of(create, place)?),
                Statement::Query(_) => return Err(no_view(place)),
                other => {
                    let text = other.to_string();
                    let words: Vec<&str> = text.split_whitespace().take(2).collect();
                    let what = format!("{} is no statement of a view's file", words.join(" "));
                    return Err(Problem::new(place, what).instead(
                        "a file has create table, create type and create materialized view",
                    ));
                }
            }
        }
        match view {
            Some(view) => Ok(Self { tables, view }),
            None => Err(no_view(Place::START)),
        }
    }
}

impl Catalogue {
    /// The tables that a text of `create table` and `create type ... as enum` statements makes.
    ///
    /// # Errors
    /// What is no SQL, is another statement, or a table that a view cannot be over.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let with_view = format!("{text}\n;create materialized view v as select");
        let end = text.lines().count() as u64 + 2;
        match File::parse(&with_view) {
            Ok(file) => Ok(file.tables),
            Err(problem) if problem.place.line >= end => {
                Err(Problem::new(Place::START, problem.what))
            }
            Err(problem) => Err(problem),
        }
    }
}

fn no_view(place: Place) -> Problem {
    Problem::new(place, "the file declares no view")
        .instead("write create materialized view NAME with (sink = '...') as select ...")
}

/// The statements of a text, each with the place of its first word.
fn statements(text: &str) -> Result<Vec<(Statement, Place)>, Problem> {
    if text.len() > BYTES_MAX {
        let what = format!("the file has {} bytes, and a view at most {BYTES_MAX}", text.len());
        return Err(Problem::new(Place::START, what));
    }
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|error| {
        let place = Place::of_location(error.location).unwrap_or(Place::START);
        Problem::new(place, error.message)
    })?;
    check_depth(&tokens)?;
    let mut parser = Parser::new(&dialect).with_recursion_limit(DEPTH_MAX);
    let mut statements = Vec::new();
    for part in tokens.split(|token| token.token == Token::SemiColon) {
        let is_word =
            |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_) | Token::EOF);
        let Some(first) = part.iter().find(is_word) else { continue };
        let place = Place::of_span(first.span).unwrap_or(Place::START);
        parser = parser.with_tokens_with_locations(part.to_vec());
        let statement = parser.parse_statement().map_err(|error| of_parser(error, place))?;
        let behind = parser.peek_token();
        if behind.token != Token::EOF {
            let at = Place::of_span(behind.span).unwrap_or(place);
            return Err(Problem::new(at, format!("{} is not expected here", behind.token)));
        }
        statements.push((statement, place));
    }
    Ok(statements)
}

/// Refuses what would need more memory of the stack than a thread has: the parser's trees are as deep as this.
fn check_depth(tokens: &[TokenWithSpan]) -> Result<(), Problem> {
    let too = |token: &TokenWithSpan, what: String| {
        Err(Problem::new(Place::of_span(token.span).unwrap_or(Place::START), what)
            .instead("split the view, or make the value a column of the source"))
    };
    let mut chains = vec![0_usize];
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => chains.push(0),
            Token::RParen | Token::RBracket | Token::RBrace if chains.len() > 1 => {
                chains.pop();
            }
            Token::Comma | Token::SemiColon => {
                if let Some(last) = chains.last_mut() {
                    *last = 0;
                }
            }
            other => {
                if let Some(last) = chains.last_mut() {
                    *last += usize::from(is_operator(other));
                }
            }
        }
        if chains.len() > DEPTH_MAX {
            return too(token, format!("more than {DEPTH_MAX} parentheses stand in each other"));
        }
        if chains.last().is_some_and(|length| *length > CHAIN_MAX) {
            return too(token, format!("an expression has more than {CHAIN_MAX} operators"));
        }
    }
    Ok(())
}

/// Everything that may stand between two values, or before one.
fn is_operator(token: &Token) -> bool {
    use Keyword::{AND, AT, BETWEEN, CASE, COLLATE, IN, IS, LIKE, NOT, OR, SELECT, UNION};
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            AND | OR | NOT | IS | IN | LIKE | BETWEEN | AT | COLLATE | UNION | CASE | SELECT
        ),
        Token::Whitespace(_)
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Period
        | Token::EOF => false,
        _ => true,
    }
}

/// The parser says places only within its sentences.
fn of_parser(error: ParserError, around: Place) -> Problem {
    match error {
        ParserError::RecursionLimitExceeded => {
            Problem::new(around, "the statement is nested too deeply")
                .instead("split the view, or make the value a column of the source")
        }
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
            let found = text.rsplit_once(" at Line: ").and_then(|(what, place)| {
                let (line, column) = place.split_once(", Column: ")?;
                let place = Place { line: line.parse().ok()?, column: column.parse().ok()? };
                Some((what.to_owned(), place))
            });
            let (what, place) = found.unwrap_or((text, around));
            let what = what.strip_prefix("sql parser error: ").unwrap_or(&what).to_owned();
            Problem::new(place, what.replacen("Expected: ", "the syntax asks for ", 1))
        }
    }
}

fn view_of(create: CreateView, place: Place) -> Result<ViewText, Problem> {
    let refuse = |what: &str, instead: &str| Err(Problem::new(place, what).instead(instead));
    if !create.materialized {
        return refuse("a plain view keeps no rows", "write create materialized view");
    }
    let CreateView { name, columns, query, options, .. } = create;
    let more =
        [create.or_alter, create.or_replace, create.secure, create.if_not_exists, create.temporary];
    if more.contains(&true) {
        return refuse(
            "the file says what the view is, and not what to do where it is there",
            "write create materialized view without or replace, if not exists and the like",
        );
    }
    let others = create.with_no_schema_binding || create.copy_grants;
    if others || !create.cluster_by.is_empty() || create.comment.is_some() || create.to.is_some() {
        return refuse("this clause of create view is not known here", "leave it out");
    }
    if let Some(column) = columns.first() {
        let at = Place::of_span(column.name.span).unwrap_or(place);
        return Err(Problem::new(at, "the columns' names stand in the select list")
            .instead("write select ... as NAME"));
    }
    let name_place = Place::of(&name, place);
    let name = single_name(&name, name_place)?;
    Ok(ViewText {
        name,
        place: name_place,
        options: options_of(options, name_place)?,
        query: *query,
    })
}

fn options_of(options: CreateTableOptions, around: Place) -> Result<Vec<Option>, Problem> {
    let list = match options {
        CreateTableOptions::None => Vec::new(),
        CreateTableOptions::With(list) => list,
        _ => return Err(Problem::new(around, "options stand in with (...)")),
    };
    let mut seen = HashSet::new();
    let mut options = Vec::new();
    for option in list {
        let SqlOption::KeyValue { key, value } = option else {
            return Err(Problem::new(around, format!("{option} is no option"))
                .instead("write NAME = 'VALUE'"));
        };
        let place = Place::of(&key, around);
        let name = single_name(&key, place)?;
        if !OPTIONS.iter().any(|(known, _)| *known == name) {
            return Err(Problem::new(place, format!("a view has no option {name}"))
                .near(&name, OPTIONS.iter().map(|(name, _)| *name)));
        }
        if !seen.insert(name.clone()) && name != "sink" {
            return Err(Problem::new(place, format!("the option {name} is given twice")));
        }
        let value = match value {
            Expr::Value(value) => match value.value {
                Value::SingleQuotedString(text) => text,
                Value::Number(text, false) => text,
                Value::Boolean(is_so) => is_so.to_string(),
                other => {
                    return Err(Problem::new(place, format!("{other} is no value of an option")));
                }
            },
            Expr::Identifier(word) => word.value,
            other => {
                return Err(Problem::new(place, format!("{other} is no value of an option"))
                    .instead(format!("write {name} = '...'")));
            }
        };
        options.push(Option { name, value, place });
    }
    Ok(options)
}

/// The name as an identifier of SQL, whatever characters it has.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name as PostgreSQL has it: in lower case, unless it is quoted.
pub(crate) fn folded(name: &ast::Ident) -> String {
    match name.quote_style {
        None => name.value.to_ascii_lowercase(),
        Some(_) => name.value.clone(),
    }
}

/// The parts of a name with points, each folded.
pub(crate) fn parts(name: &ObjectName, place: Place) -> Result<Vec<String>, Problem> {
    let part = |part: &ast::ObjectNamePart| part.as_ident().map(folded);
    let parts: std::option::Option<Vec<String>> = name.0.iter().map(part).collect();
    parts.ok_or_else(|| Problem::new(place, format!("{name} is no name")))
}

pub(crate) fn single_name(name: &ObjectName, place: Place) -> Result<String, Problem> {
    let mut parts = parts(name, place)?;
    match (parts.pop(), parts.is_empty()) {
        (Some(name), true) => Ok(name),
        _ => {
            Err(Problem::new(place, format!("{name} has a schema, where only a name is expected")))
        }
    }
}

#[cfg(test)]
mod tests;
