//! Condition and update expressions, read once and kept: callers send the same few texts again and again.
use super::{Attribute, Item, Refused};
use std::{cmp::Ordering, collections::HashMap, sync::Arc};

/// Texts that are kept. A caller that sends more than so many has values in them.
const KEPT_MAX: usize = 10_000;

/// What the placeholders of a request mean.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    pub names: &'a HashMap<String, String>,
    pub values: &'a HashMap<String, Attribute>,
}
impl<'a> Given<'a> {
    fn name(&self, path: &'a str) -> Result<&'a str, Refused> {
        if !path.starts_with('#') {
            return Ok(path);
        }
        self.names.get(path).map(String::as_str).ok_or_else(|| {
            Refused::invalid(format!("ExpressionAttributeNames has no value for {path}"))
        })
    }
    fn value(&self, alias: &str) -> Result<&'a Attribute, Refused> {
        self.values.get(alias).ok_or_else(|| {
            Refused::invalid(format!("ExpressionAttributeValues has no value for {alias}"))
        })
    }
}

/// A condition, with its placeholders.
pub enum Condition {
    Exists(String),
    Missing(String),
    Compare(Operand, Comparison, Operand),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    Unequal,
    Below,
    AtMost,
    Above,
    AtLeast,
}
pub enum Operand {
    Path(String),
    Value(String),
    /// The attribute, or this where it is not there.
    IfNotExists(String, Box<Operand>),
}
/// An update, with its placeholders.
#[derive(Default)]
pub struct Update {
    set: Vec<(String, Sum)>,
    remove: Vec<String>,
    add: Vec<(String, String)>,
    delete: Vec<(String, String)>,
}
struct Sum {
    first: Operand,
    /// Added, or taken off.
    second: Option<(bool, Operand)>,
}

impl Operand {
    /// `None`: the attribute is not there.
    fn of<'a>(
        &'a self,
        item: &'a Item,
        given: Given<'a>,
    ) -> Result<Option<&'a Attribute>, Refused> {
        Ok(match self {
            Self::Path(path) => item.get(given.name(path)?),
            Self::Value(alias) => Some(given.value(alias)?),
            Self::IfNotExists(path, other) => match item.get(given.name(path)?) {
                Some(there) => Some(there),
                None => other.of(item, given)?,
            },
        })
    }
}

impl Condition {
    /// Whether it holds for the item. An attribute that is not there is unequal to all values; no other comparison with it
    /// holds.
    pub fn holds(&self, item: &Item, given: Given<'_>) -> Result<bool, Refused> {
        Ok(match self {
            Self::Exists(path) => item.contains_key(given.name(path)?),
            Self::Missing(path) => !item.contains_key(given.name(path)?),
            Self::Compare(one, how, other) => {
                let (one, other) = (one.of(item, given)?, other.of(item, given)?);
                let (Some(one), Some(other)) = (one, other) else {
                    return Ok(*how == Comparison::Unequal);
                };
                match how {
                    Comparison::Equal => one == other,
                    Comparison::Unequal => one != other,
                    Comparison::Below => one.order(other) == Some(Ordering::Less),
                    Comparison::AtMost => one.order(other).is_some_and(Ordering::is_le),
                    Comparison::Above => one.order(other) == Some(Ordering::Greater),
                    Comparison::AtLeast => one.order(other).is_some_and(Ordering::is_ge),
                }
            }
            Self::Not(one) => !one.holds(item, given)?,
            Self::All(all) => {
                for one in all {
                    if !one.holds(item, given)? {
                        return Ok(false);
                    }
                }
                true
            }
            Self::Any(any) => {
                for one in any {
                    if one.holds(item, given)? {
                        return Ok(true);
                    }
                }
                false
            }
        })
    }
}

fn wrong_type() -> Refused {
    Refused::invalid("An operand in the update expression has an incorrect data type")
}
fn no_attribute() -> Refused {
    Refused::invalid(
        "The provided expression refers to an attribute that does not exist in the item",
    )
}

impl Update {
    /// Changes the item. Every right-hand side means the item as it was before.
    pub fn change(&self, item: &mut Item, given: Given<'_>) -> Result<(), Refused> {
        let mut changed: Vec<(String, Option<Attribute>)> = Vec::new();
        for (path, sum) in &self.set {
            let first = sum.first.of(item, given)?.ok_or_else(no_attribute)?;
            let value = match &sum.second {
                None => first.clone(),
                Some((minus, second)) => {
                    let second = second.of(item, given)?.ok_or_else(no_attribute)?;
                    let (Attribute::N(first), Attribute::N(second)) = (first, second) else {
                        return Err(wrong_type());
                    };
                    Attribute::N(first.plus(second, *minus).ok_or_else(wrong_type)?)
                }
            };
            changed.push((given.name(path)?.to_owned(), Some(value)));
        }
        for path in &self.remove {
            changed.push((given.name(path)?.to_owned(), None));
        }
        for (path, alias) in &self.add {
            let name = given.name(path)?;
            let value = match (item.get(name), given.value(alias)?) {
                (None, value @ (Attribute::N(_) | Attribute::Words(_))) => value.clone(),
                (Some(Attribute::N(old)), Attribute::N(more)) => {
                    Attribute::N(old.plus(more, false).ok_or_else(wrong_type)?)
                }
                (Some(Attribute::Words(old)), Attribute::Words(more)) => {
                    Attribute::Words(old.union(more).cloned().collect())
                }
                _ => return Err(wrong_type()),
            };
            changed.push((name.to_owned(), Some(value)));
        }
        for (path, alias) in &self.delete {
            let name = given.name(path)?;
            let value = match (item.get(name), given.value(alias)?) {
                (None, Attribute::Words(_)) => None,
                (Some(Attribute::Words(old)), Attribute::Words(less)) => {
                    let left = old - less;
                    (!left.is_empty()).then_some(Attribute::Words(left))
                }
                _ => return Err(wrong_type()),
            };
            changed.push((name.to_owned(), value));
        }
        for (name, value) in changed {
            match value {
                Some(value) => drop(item.insert(name, value)),
                None => drop(item.remove(&name)),
            }
        }
        Ok(())
    }
}

/// What was read already.
#[derive(Default)]
pub struct Expressions {
    conditions: HashMap<String, Arc<Condition>>,
    updates: HashMap<String, Arc<Update>>,
}
impl Expressions {
    /// # Errors
    /// The text is no condition that is known here.
    pub fn condition(&mut self, text: &str) -> Result<Arc<Condition>, Refused> {
        kept(&mut self.conditions, text, |words| {
            let condition = any(words)?;
            words.at_end().then_some(condition)
        })
        .ok_or_else(|| Refused::invalid(format!("Invalid ConditionExpression: {text}")))
    }
    /// # Errors
    /// The text is no update that is known here.
    pub fn update(&mut self, text: &str) -> Result<Arc<Update>, Refused> {
        kept(&mut self.updates, text, update)
            .ok_or_else(|| Refused::invalid(format!("Invalid UpdateExpression: {text}")))
    }
}
fn kept<T>(
    known: &mut HashMap<String, Arc<T>>,
    text: &str,
    read: impl FnOnce(&mut Words) -> Option<T>,
) -> Option<Arc<T>> {
    if let Some(found) = known.get(text) {
        return Some(found.clone());
    }
    if known.len() >= KEPT_MAX {
        known.clear();
    }
    let made = Arc::new(read(&mut Words::new(text))?);
    known.insert(text.to_owned(), made.clone());
    Some(made)
}

/// The words and signs of a text.
struct Words {
    words: Vec<String>,
    at: usize,
}
impl Words {
    fn new(text: &str) -> Self {
        let mut words: Vec<String> = Vec::new();
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            if letter.is_whitespace() {
                continue;
            }
            let mut word = String::from(letter);
            if is_part(letter) {
                while let Some(next) = letters.next_if(|next| is_part(*next)) {
                    word.push(next);
                }
            } else if matches!(letter, '<' | '>') {
                word.extend(letters.next_if(|next| matches!(next, '=' | '>')));
            }
            words.push(word);
        }
        Self { words, at: 0 }
    }
    fn peek(&self) -> &str {
        self.words.get(self.at).map_or("", String::as_str)
    }
    fn take(&mut self) -> String {
        let word = self.peek().to_owned();
        self.at += 1;
        word
    }
    /// Goes on behind the word if it is this one.
    fn skip(&mut self, word: &str) -> bool {
        let is_there = self.peek().eq_ignore_ascii_case(word);
        self.at += usize::from(is_there);
        is_there
    }
    fn at_end(&self) -> bool {
        self.at >= self.words.len()
    }
    /// A name, or what stands for one.
    fn path(&mut self) -> Option<String> {
        let word = self.take();
        let is_path = word.starts_with(|c: char| c == '#' || c == '_' || c.is_alphabetic());
        is_path.then_some(word)
    }
    fn operand(&mut self) -> Option<Operand> {
        if self.peek().starts_with(':') {
            return Some(Operand::Value(self.take()));
        }
        let path = self.path()?;
        if !path.eq_ignore_ascii_case("if_not_exists") {
            return Some(Operand::Path(path));
        }
        let path = self.skip("(").then(|| self.path())??;
        let other = self.skip(",").then(|| self.operand())??;
        self.skip(")").then(|| Operand::IfNotExists(path, Box::new(other)))
    }
}
/// Of a name, a placeholder or a word.
fn is_part(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '#' | ':' | '-')
}

fn any(words: &mut Words) -> Option<Condition> {
    let mut list = vec![all(words)?];
    while words.skip("OR") {
        list.push(all(words)?);
    }
    Some(if list.len() == 1 { list.remove(0) } else { Condition::Any(list) })
}
fn all(words: &mut Words) -> Option<Condition> {
    let mut list = vec![one(words)?];
    while words.skip("AND") {
        list.push(one(words)?);
    }
    Some(if list.len() == 1 { list.remove(0) } else { Condition::All(list) })
}
fn one(words: &mut Words) -> Option<Condition> {
    if words.skip("NOT") {
        return Some(Condition::Not(Box::new(one(words)?)));
    }
    if words.skip("(") {
        let inner = any(words)?;
        return words.skip(")").then_some(inner);
    }
    for (name, exists) in [("attribute_exists", true), ("attribute_not_exists", false)] {
        if words.skip(name) {
            let path = words.skip("(").then(|| words.path())??;
            let condition = if exists { Condition::Exists(path) } else { Condition::Missing(path) };
            return words.skip(")").then_some(condition);
        }
    }
    let one = words.operand()?;
    let how = match words.take().as_str() {
        "=" => Comparison::Equal,
        "<>" => Comparison::Unequal,
        "<" => Comparison::Below,
        "<=" => Comparison::AtMost,
        ">" => Comparison::Above,
        ">=" => Comparison::AtLeast,
        _ => return None,
    };
    Some(Condition::Compare(one, how, words.operand()?))
}

fn update(words: &mut Words) -> Option<Update> {
    let mut update = Update::default();
    while !words.at_end() {
        let clause = words.take().to_ascii_uppercase();
        loop {
            let path = words.path()?;
            match clause.as_str() {
                "SET" => {
                    let first = words.skip("=").then(|| words.operand())??;
                    let minus = words.peek() == "-";
                    let second = if minus || words.peek() == "+" {
                        words.take();
                        Some((minus, words.operand()?))
                    } else {
                        None
                    };
                    update.set.push((path, Sum { first, second }));
                }
                "REMOVE" => update.remove.push(path),
                "ADD" => update.add.push((path, words.take())),
                "DELETE" => update.delete.push((path, words.take())),
                _ => return None,
            }
            if !words.skip(",") {
                break;
            }
        }
    }
    Some(update)
}
