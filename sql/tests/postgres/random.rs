//! Random expressions, as texts: each kind of type has a list of forms, in which `{KIND}` stands for another expression.
use super::kinds::{KINDS, Kind, PARTS};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// The table that they are over, two columns or three of each type.
pub const TABLE: &str = "create table every (id int primary key, s1 int2, s2 int2 not null, i1 int4, i2 int4, l1 int8, l2 int8, \
    n1 numeric, n2 numeric(9,3), f1 float4, f2 float4, d1 float8, d2 float8, t1 text, t2 text collate \"C\", v1 varchar(8), \
    c1 char(5), c2 char(3), b1 bool, b2 bool, y1 date, y2 date, m1 timestamp, m2 timestamp, z1 timestamptz, u1 uuid, u2 uuid, \
    x1 bytea, x2 bytea, j1 json, k1 jsonb, a1 text[])";

pub struct Random(StdRng);
impl Random {
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }
    pub fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// A value for each column but the first, as SQL's texts.
    pub fn row(&mut self) -> Vec<String> {
        let columns =
            TABLE.split(", ").skip(1).map(|column| column.split(' ').next().expect("a name"));
        let value = |column: &str| {
            let kind = KINDS.iter().find(|kind| kind.columns.contains(&column)).expect("a kind");
            if column != "s2" && self.below(7) == 0 {
                return format!("null::{}", kind.cast);
            }
            constant(kind, self.one(kind.values))
        };
        columns.map(value).collect()
    }

    /// An expression of any type, and whether it is a moment, whose text depends on the session.
    pub fn expression(&mut self) -> String {
        let kind = &KINDS[self.below(KINDS.len())];
        let depth = 1 + self.below(3);
        let text = self.of(kind, depth, true);
        match kind.name {
            "Z" => format!("({text}) at time zone 'UTC'"),
            "A" => format!("({text}) = a1"),
            _ => text,
        }
    }

    /// At least one column is in it where it must vary: PostgreSQL reckons with constants before it looks at any row.
    fn of(&mut self, kind: &Kind, depth: usize, must_vary: bool) -> String {
        if depth == 0 || (!must_vary && self.below(4) == 0) {
            if must_vary || kind.name == "A" || self.below(3) > 0 {
                return self.one(kind.columns).to_owned();
            }
            let value = self.one(kind.values);
            // A number without a cast is of the first type that holds it.
            let is_plain = kind.name == "I" || kind.name == "T";
            return if is_plain && self.below(2) == 0 && !value.starts_with('-') {
                value.into()
            } else {
                constant(kind, value)
            };
        }
        let form = self.one(kind.forms);
        let mut text = String::new();
        let mut rest = form;
        let mut is_first = true;
        while let Some(at) = rest.find('{') {
            text.push_str(&rest[..at]);
            let name = &rest[at + 1..at + 2];
            rest = &rest[at + 3..];
            if let Some((_, parts)) = PARTS.iter().find(|part| part.0 == name) {
                text.push_str(self.one(parts));
                continue;
            }
            let kind = KINDS.iter().find(|kind| kind.name == name).expect("a kind");
            let inner = self.of(kind, depth - 1, is_first);
            is_first = false;
            let is_single = inner.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if is_single || self.below(5) == 0 {
                text.push_str(&inner);
            } else {
                text.push_str(&format!("({inner})"));
            }
        }
        text + rest
    }
}

fn constant(kind: &Kind, value: &str) -> String {
    let value = value.trim_matches('\'');
    format!("'{value}'::{}", kind.cast)
}
