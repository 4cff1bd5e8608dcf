//! What a view is: its key, its columns, and how the parts that partitions hold make the row that people see.
#![deny(clippy::disallowed_methods)]

use crate::Cell;
use bigdecimal::BigDecimal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Int,
    Text,
    Decimal,
    Time,
    Words,
}
impl Type {
    /// As it is stored and compared: never another word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Text => "text",
            Self::Decimal => "decimal",
            Self::Time => "time",
            Self::Words => "words",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Type,
    /// People look rows up by it: see [`Column::indexed`].
    pub indexed: bool,
}
impl Column {
    pub const fn new(name: &'static str, kind: Type) -> Self {
        Self { name, kind, indexed: false }
    }
    /// Declares that people look rows up by this column: a sink that needs an index for that keeps one. Never guessed
    /// from a column's name.
    #[must_use]
    pub const fn indexed(mut self) -> Self {
        self.indexed = true;
        self
    }
}

/// How one column of the partitions' shares becomes one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    Sum,
    Max,
}
impl Merge {
    /// As it is stored and compared: never another word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Max => "max",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StockMode {
    /// `stock_quantity` = base stock - sold.
    Derived,
    /// `stock_quantity` is the source's own column; `sold` is information only.
    Source,
}
impl StockMode {
    /// As it is set, stored and compared: never another word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Derived => "derived",
            Self::Source => "source",
        }
    }
}

#[derive(Debug, Clone)]
pub enum Kind {
    /// A row has one owner: the partition its record is in. Shown as written (a put).
    Rows,
    /// A row is the merge of every partition's share  of its key. The first column of a share
    /// counts source rows: at 0 the row does not exist. `finish` makes the shown columns of the merged ones.
    Totals { merge: &'static [Merge], finish: fn(&[Cell]) -> Vec<Cell> },
    /// `inventory_realtime`. Owner's part (`Put`): name, price, base_stock. Shares: sold. Shown:
    /// name, price, base_stock, sold, stock_quantity, low_stock (1 or null).
    Stock { mode: StockMode, low_below: i64 },
}

/// A materialized view. Keys and rows are lists of cells in the order of `key` and `columns`.
#[derive(Debug, Clone)]
pub struct View {
    pub name: &'static str,
    pub key: &'static [Column],
    /// What people see, after the key.
    pub columns: &'static [Column],
    pub kind: Kind,
}

impl View {
    /// Merges the partitions' shares of one key; empty for views without shares.
    pub fn total<'a>(&self, shares: impl Iterator<Item = &'a [Cell]>) -> Vec<Cell> {
        let merge: &[Merge] = match &self.kind {
            Kind::Rows => &[],
            Kind::Totals { merge, .. } => merge,
            Kind::Stock { .. } => &[Merge::Sum],
        };
        let mut total = vec![Cell::Null; merge.len()];
        for share in shares {
            for ((sum, cell), how) in total.iter_mut().zip(share).zip(merge) {
                let old = std::mem::replace(sum, Cell::Null);
                *sum = match how {
                    Merge::Sum => add(old, cell),
                    Merge::Max => old.max(cell.clone()),
                };
            }
        }
        total
    }

    /// The row that people see, or `None` where there is none. `own`: the owner's part; `total`: of [`View::total`].
    pub fn show(&self, own: Option<&[Cell]>, total: &[Cell]) -> Option<Vec<Cell>> {
        match &self.kind {
            Kind::Rows => own.map(<[Cell]>::to_vec),
            Kind::Totals { finish, .. } => (!total.first()?.is_zero()).then(|| finish(total)),
            Kind::Stock { mode, low_below } => {
                let own = own?;
                let base = own.get(2)?.int()?;
                let sold = total.first().and_then(Cell::int).unwrap_or(0);
                let stock = match mode {
                    StockMode::Derived => base.saturating_sub(sold),
                    StockMode::Source => base,
                };
                let mut row = own.to_vec();
                row.extend([Cell::Int(sold), Cell::Int(stock)]);
                row.push(if stock < *low_below { Cell::Int(1) } else { Cell::Null });
                Some(row)
            }
        }
    }

    /// Whether a row as shown is low on stock: the only thing that raises alerts.
    pub fn is_low(&self, shown: Option<&[Cell]>) -> bool {
        matches!(self.kind, Kind::Stock { .. }) && shown.is_some_and(|row| row[5] == Cell::Int(1))
    }
}

fn add(a: Cell, b: &Cell) -> Cell {
    match (a, b) {
        (Cell::Null, b) => b.clone(),
        (a, Cell::Null) => a,
        (Cell::Int(a), Cell::Int(b)) => Cell::Int(a.saturating_add(*b)),
        (Cell::Decimal(a), Cell::Decimal(b)) => Cell::Decimal(a + b),
        (Cell::Decimal(a), Cell::Int(b)) => Cell::Decimal(a + BigDecimal::from(*b)),
        (Cell::Int(a), Cell::Decimal(b)) => Cell::Decimal(b + BigDecimal::from(a)),
        (a, _) => a,
    }
}
