//! Everything about a view that shapes its rows and can be written down, as canonical text.
use crate::{Column, View, canonical::Text};

/// The view's rules, then its columns: `rows; key=product_id int; columns=name text, price decimal`.
pub fn shape(view: &View) -> String {
    let columns = |columns: &[Column]| {
        columns.iter().map(|column| (column.name.to_owned(), column.kind.as_str())).collect()
    };
    rows(view.rules.text.clone(), columns(view.key), columns(view.columns))
}

type Columns = Vec<(String, &'static str)>;
fn rows(text: Text, key: Columns, columns: Columns) -> String {
    let list = |columns: Columns| {
        // A kind is one word, and no name has a comma: so the list can be read in one way only.
        let one = |(name, kind): (String, &str)| format!("{} {kind}", name.replace(',', "\\,"));
        columns.into_iter().map(one).collect::<Vec<_>>().join(", ")
    };
    text.with("key", list(key)).with("columns", list(columns)).finish()
}

/// Files of earlier versions hold the names of this program's types, such as
/// `rows; product_id Int -> name Text, price Decimal`. `None`: it is no such text of this view.
pub fn of_earlier(view: &View, text: &str) -> Option<String> {
    let (rules, columns) = text.split_once("; ")?;
    let (key, shown) = columns.split_once(" -> ")?;
    let rules = (view.rules.earlier)(rules)?;
    Some(rows(rules, columns_of_earlier(key)?, columns_of_earlier(shown)?))
}

fn columns_of_earlier(text: &str) -> Option<Columns> {
    if text.is_empty() {
        return Some(vec![]);
    }
    let column = |text: &str| {
        let (name, kind) = text.rsplit_once(' ')?;
        let kind = match kind {
            "Int" => "int",
            "Text" => "text",
            "Decimal" => "decimal",
            "Time" => "time",
            "Words" => "words",
            _ => return None,
        };
        Some((name.to_owned(), kind))
    };
    text.split(", ").map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, First, Merge, Type, conformance::shop};

    const ID: Column = Column::new("product_id", Type::Int);

    fn views() -> [View; 4] {
        let index =
            const { &[Column::new("name", Type::Text), Column::new("search_tokens", Type::Words)] };
        let customers = const {
            &[Column::new("spent", Type::Decimal), Column::new("last_order_at", Type::Time)]
        };
        [
            shop::stock(true, 10),
            View::rows("index", &[ID], index),
            View::rows("tokens", const { &[Column::new("token", Type::Text), ID] }, &[]),
            View::totals(
                "customers",
                const { &[Column::new("customer_id", Type::Int)] },
                &[Merge::Sum, Merge::Max],
                customers,
            ),
        ]
    }

    /// Stored: never to be changed. The first of each pair is what versions before these texts stored.
    const GOLDEN: [(&str, &str); 4] = [
        (
            "stock Derived, low below 10; product_id Int -> name Text, price Decimal, base_stock Int, sold Int, stock_quantity Int, low_stock Int",
            "stock; stock_mode=derived; low_stock_threshold=10; key=product_id int; columns=name text, price decimal, base_stock int, sold int, stock_quantity int, low_stock int",
        ),
        (
            "rows; product_id Int -> name Text, search_tokens Words",
            "rows; key=product_id int; columns=name text, search_tokens words",
        ),
        ("rows; token Text, product_id Int -> ", "rows; key=token text, product_id int; columns="),
        (
            "totals of [Sum, Max]; customer_id Int -> spent Decimal, last_order_at Time",
            "totals; merge=sum, max; key=customer_id int; columns=spent decimal, last_order_at time",
        ),
    ];

    #[test]
    fn a_views_shape_is_this_text() {
        for (view, (earlier, golden)) in views().iter().zip(GOLDEN) {
            assert_eq!(shape(view), golden);
            assert_eq!(of_earlier(view, earlier).as_deref(), Some(golden));
        }
    }

    /// Stored: never to be changed.
    #[test]
    fn a_view_of_the_first_tuples_tells_how_many_and_in_which_order() {
        const FIRST: First =
            First { limit: 10, order: &[Direction::Descending, Direction::Ascending] };
        const TOP: Column = Column::new("top", Type::Json);
        let view = View::totals("tops", &[ID], &[Merge::Sum, Merge::First(FIRST)], &[TOP]);
        let golden = "totals; merge=sum, first 10 desc asc; key=product_id int; columns=top json";
        assert_eq!(shape(&view), golden);
    }

    #[test]
    fn what_is_no_earlier_text_is_not_read_as_one() {
        for (view, (earlier, golden)) in views().iter().zip(GOLDEN) {
            assert_eq!(of_earlier(view, golden), None);
            assert_eq!(of_earlier(view, &earlier.replace("Int", "Long")), None);
            assert_eq!(of_earlier(view, &earlier.replace(" -> ", " => ")), None);
            for text in
                ["", "rows", "stock Other, low below 10; a Int -> ", "totals of [Min]; a Int -> "]
            {
                assert_eq!(of_earlier(view, text), None, "{text}");
            }
        }
    }
}
