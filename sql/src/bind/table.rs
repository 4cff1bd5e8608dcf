//! Expressions over the rows of one table.
use super::scalar::{Around, Collation, Typed, bind};
use crate::{
    catalogue::{self, Table},
    expr::Expr,
    file::File,
    problem::{Place, Problem},
    types::{EnumType, Kind, SqlType},
};
use sqlparser::ast::{self, SelectItem, SetExpr};
use std::sync::Arc;

/// An expression with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundExpr {
    pub expr: Expr,
    pub sql_type: SqlType,
}

/// Binds a text of SQL as an expression over the rows of a table, whose cells stand in the order of its columns.
///
/// # Errors
/// Whatever is not taken, at its place in the text.
pub fn bind_expression(text: &str, table: &Table) -> Result<BoundExpr, Problem> {
    const BEFORE: &str = "create materialized view v as select ";
    let shifted = |mut problem: Problem| {
        if problem.place.line == 1 {
            problem.place.column = problem.place.column.saturating_sub(BEFORE.len() as u64).max(1);
        }
        problem
    };
    let file = File::parse(&format!("{BEFORE}{text}")).map_err(shifted)?;
    let SetExpr::Select(select) = &*file.view.query.body else {
        return Err(Problem::new(Place::START, "no expression"));
    };
    let [SelectItem::UnnamedExpr(expr)] = &select.projection[..] else {
        return Err(Problem::new(Place::START, "no single expression"));
    };
    if !select.from.is_empty() || select.selection.is_some() {
        return Err(Problem::new(Place::START, "an expression has no from"));
    }
    let bound = bind(expr, &mut OneTable { table }, Place::START).map_err(shifted)?;
    let sql_type = if bound.kind() == Kind::Unknown { Kind::Text.into() } else { bound.sql_type };
    Ok(BoundExpr { expr: bound.expr, sql_type })
}

struct OneTable<'a> {
    table: &'a Table,
}
impl Around for OneTable<'_> {
    fn column(&mut self, name: &[String], place: Place) -> Result<Typed, Problem> {
        let (last, table) = match name {
            [column] => (column, None),
            [table, column] => (column, Some(table)),
            _ => return Err(Problem::new(place, format!("there is no column {}", name.join(".")))),
        };
        let at =
            self.table.column(last).filter(|_| table.is_none_or(|table| *table == self.table.name));
        let Some(at) = at else {
            return Err(Problem::new(place, format!("there is no column {}", name.join(".")))
                .near(last, self.table.columns.iter().map(|column| column.name.as_str())));
        };
        let column = &self.table.columns[at];
        catalogue::check_known(&column.name, &column.sql_type, place)?;
        let collation = if column.is_c { Collation::C } else { Collation::Default };
        Ok(Typed { expr: Expr::Column(at), sql_type: column.sql_type.clone(), collation })
    }
    fn aggregate(
        &mut self,
        name: &str,
        _: &ast::Function,
        place: Place,
    ) -> Result<Option<Typed>, Problem> {
        match name {
            "count" | "sum" | "avg" | "min" | "max" | "bool_and" | "bool_or" | "every" => {
                Err(Problem::new(
                    place,
                    format!("{name} is an aggregate, and there are no groups here"),
                ))
            }
            _ => Ok(None),
        }
    }
    fn exists(&mut self, _: &ast::Query, place: Place) -> Result<Typed, Problem> {
        Err(Problem::new(place, "an expression over one row has no select in it"))
    }
    fn value_of(&mut self, query: &ast::Query, place: Place) -> Result<Typed, Problem> {
        self.exists(query, place)
    }
    fn enums(&self) -> Vec<Arc<EnumType>> {
        enums_of(std::iter::once(self.table))
    }
}

/// The enums that the columns of these tables have.
pub(super) fn enums_of<'a>(tables: impl Iterator<Item = &'a Table>) -> Vec<Arc<EnumType>> {
    let columns = tables.flat_map(|table| &table.columns);
    let mut enums: Vec<Arc<EnumType>> = Vec::new();
    for column in columns {
        if let SqlType::Enum(of) = &column.sql_type
            && !enums.contains(of)
        {
            enums.push(Arc::clone(of));
        }
    }
    enums
}
