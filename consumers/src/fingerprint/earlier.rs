//! What states of versions before canonical texts are bound to: the names of that program's types and fields, as Rust's
//! `{:?}` showed them. Read strictly, word by word, so that a text is only ever taken for what the old code would have
//! written; the tests hold texts that it wrote.
//!
//! These words are history: they do not follow when today's code is renamed.
use crate::handlers::{
    Limits, OrderItems, Orders, Products, analytics, canonical as texts,
    inventory::{self, StockMode},
    search,
};
use sinks::canonical;
use std::str::FromStr;

/// Today's text of the rules and settings that an earlier version wrote. `None`: it did not write this.
pub(super) fn meaning(stored: &str) -> Option<String> {
    let at = &mut Scan(stored);
    let service = at.word()?;
    at.skip(" rules ")?;
    let rules = at.number()?;
    match service {
        "inventory" => {
            at.skip("; Settings { products: ")?;
            let products = at.products()?;
            at.skip(", order_items: ")?;
            let order_items = at.order_items()?;
            at.skip(", low_below: ")?;
            let low_below = at.number()?;
            at.skip(", stock_mode: ")?;
            let stock_mode = match at.word()? {
                "Derived" => StockMode::Derived,
                "Source" => StockMode::Source,
                _ => return None,
            };
            let limits = at.limits()?;
            let settings =
                inventory::Settings { products, order_items, low_below, stock_mode, limits };
            let (formats, target) = at.rest()?;
            Some(texts::of_inventory(rules, &settings, formats) + &target)
        }
        "analytics" => {
            at.skip("; Settings { orders: ")?;
            let orders = at.orders()?;
            at.skip(", order_items: ")?;
            let order_items = at.order_items()?;
            let limits = at.limits()?;
            let settings = analytics::Settings { orders, order_items, limits };
            let (formats, target) = at.rest()?;
            Some(texts::of_analytics(rules, &settings, formats) + &target)
        }
        "search" => {
            at.skip("; words of Unicode (")?;
            let major = at.number()?;
            at.skip(", ")?;
            let minor = at.number()?;
            at.skip(", ")?;
            let unicode = (major, minor, at.number()?);
            at.skip("); Settings { products: ")?;
            let products = at.products()?;
            let limits = at.limits()?;
            let settings = search::Settings { products, limits };
            let (formats, target) = at.rest()?;
            Some(texts::of_search(rules, unicode, &settings, formats) + &target)
        }
        _ => None,
    }
}

/// What is left of the text.
struct Scan<'a>(&'a str);

impl<'a> Scan<'a> {
    fn skip(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }
    fn take_while(&mut self, part: impl Fn(char) -> bool) -> &'a str {
        let (taken, left) = self.0.split_at(self.0.find(|c| !part(c)).unwrap_or(self.0.len()));
        self.0 = left;
        taken
    }
    fn word(&mut self) -> Option<&'a str> {
        Some(self.take_while(|c| c.is_ascii_alphabetic())).filter(|word| !word.is_empty())
    }
    fn number<T: FromStr>(&mut self) -> Option<T> {
        self.take_while(|c| c.is_ascii_digit() || c == '-').parse().ok()
    }

    /// A string within quotes, with Rust's escapes.
    fn quoted(&mut self) -> Option<String> {
        self.skip("\"")?;
        let (mut text, mut chars) = (String::new(), self.0.chars());
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => text.push(match chars.next()? {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    '0' => '\0',
                    'u' => {
                        let (code, left) = chars.as_str().strip_prefix('{')?.split_once('}')?;
                        chars = left.chars();
                        char::from_u32(u32::from_str_radix(code, 16).ok()?)?
                    }
                    c @ ('"' | '\\' | '\'') => c,
                    _ => return None,
                }),
                c => text.push(c),
            }
        }
        self.0 = chars.as_str();
        Some(text)
    }

    /// `Name { a: "..", b: ".." }`.
    fn texts<const N: usize>(&mut self, name: &str, fields: [&str; N]) -> Option<[String; N]> {
        self.skip(name)?;
        let mut values = [const { String::new() }; N];
        for (n, (field, value)) in fields.iter().zip(&mut values).enumerate() {
            self.skip(if n == 0 { " { " } else { ", " })?;
            self.skip(field)?;
            self.skip(": ")?;
            *value = self.quoted()?;
        }
        self.skip(" }")?;
        Some(values)
    }
    fn products(&mut self) -> Option<Products> {
        let fields = ["table", "id", "name", "description", "price", "stock_quantity", "category"];
        let [table, id, name, description, price, stock_quantity, category] =
            self.texts("Products", fields)?;
        Some(Products { table, id, name, description, price, stock_quantity, category })
    }
    fn orders(&mut self) -> Option<Orders> {
        let fields = ["table", "id", "customer_id", "status", "total", "created_at"];
        let [table, id, customer_id, status, total, created_at] = self.texts("Orders", fields)?;
        Some(Orders { table, id, customer_id, status, total, created_at })
    }
    fn order_items(&mut self) -> Option<OrderItems> {
        let fields = ["table", "id", "product_id", "quantity", "unit_price"];
        let [table, id, product_id, quantity, unit_price] = self.texts("OrderItems", fields)?;
        Some(OrderItems { table, id, product_id, quantity, unit_price })
    }
    /// The last of all settings.
    fn limits(&mut self) -> Option<Limits> {
        self.skip(", limits: Limits { item_bytes_max: ")?;
        let item_bytes_max = self.number()?;
        self.skip(", key_bytes_max: ")?;
        let key_bytes_max = self.number()?;
        self.skip(", digits_max: ")?;
        let digits_max = self.number()?;
        self.skip(" } }")?;
        Some(Limits { item_bytes_max, key_bytes_max, digits_max })
    }

    /// The formats, and what the views were written to as today's text.
    ///
    /// Formats end with `=` and a word, and no table of DynamoDB has a `=` in its name: so the two cannot be mistaken.
    fn rest(&mut self) -> Option<(&'a str, String)> {
        self.skip("; formats ")?;
        let (formats, target) = match self.0.rsplit_once("; ") {
            Some((formats, target)) if !target.contains('=') => (formats, target),
            _ => return Some((self.0, String::new())),
        };
        let tables: Vec<&str> = match target.split_once(' ')? {
            ("table", name) => vec![name],
            ("tables", names) => names.split(' ').collect(),
            _ => return None,
        };
        let names = ["dynamodb_table", "dynamodb_tokens_table"];
        let settings = names.iter().zip(&tables).map(|(name, table)| {
            format!("{}{}", canonical::BETWEEN, canonical::setting(name, table))
        });
        (tables.len() <= names.len()).then(|| (formats, settings.collect()))
    }
}
