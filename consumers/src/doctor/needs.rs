//! What a service reads of the shop's tables: the truth for the checks of events and of the source.
use crate::{
    config::{Config, Service},
    handler::Handler,
    service,
};
use debezium::Change;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Int,
    Text,
    Decimal,
    Time,
}

/// A table, its topic and the columns that are read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needs {
    pub topic: String,
    pub table: String,
    /// The primary key's column.
    pub id: String,
    pub columns: Vec<(String, Need)>,
}
impl Needs {
    /// As PostgreSQL has it: schema and table, the schema being what the topic says before the table.
    pub fn schema(&self) -> &str {
        let before = self.topic.strip_suffix(&self.table).and_then(|rest| rest.strip_suffix('.'));
        let schema = before.and_then(|rest| rest.rsplit('.').next()).unwrap_or_default();
        if schema.is_empty() { "public" } else { schema }
    }
    /// `schema.table`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.schema(), self.table)
    }
}

pub(super) fn of(config: &Config) -> Vec<Needs> {
    use Need::{Decimal, Int, Text, Time};
    let (products, orders, items) = (&config.products, &config.orders, &config.order_items);
    let columns = |list: &[(&String, Need)]| {
        list.iter().map(|(name, need)| ((*name).clone(), *need)).collect::<Vec<_>>()
    };
    let wanted = match config.service {
        Service::Inventory => vec![
            (
                &products.table,
                &products.id,
                columns(&[
                    (&products.name, Text),
                    (&products.price, Decimal),
                    (&products.stock_quantity, Int),
                ]),
            ),
            (&items.table, &items.id, columns(&[(&items.product_id, Int), (&items.quantity, Int)])),
        ],
        Service::Analytics => vec![
            (
                &orders.table,
                &orders.id,
                columns(&[
                    (&orders.customer_id, Int),
                    (&orders.status, Text),
                    (&orders.total, Decimal),
                    (&orders.created_at, Time),
                ]),
            ),
            (
                &items.table,
                &items.id,
                columns(&[
                    (&items.product_id, Int),
                    (&items.quantity, Int),
                    (&items.unit_price, Decimal),
                ]),
            ),
        ],
        Service::Search => vec![(
            &products.table,
            &products.id,
            columns(&[
                (&products.name, Text),
                (&products.description, Text),
                (&products.price, Decimal),
                (&products.category, Text),
            ]),
        )],
    };
    let needs = |((table, id, columns), topic): ((&String, &String, _), &String)| Needs {
        topic: topic.clone(),
        table: table.clone(),
        id: id.clone(),
        columns,
    };
    wanted.into_iter().zip(&config.kafka.topics).map(needs).collect()
}

/// What the service's handler makes of a change: whether it is one of its own, or why it would be a dead letter.
pub(super) type Read = Box<dyn Fn(&Change<'_>) -> Result<bool, String> + Send>;

pub(super) fn reader(config: &Config) -> Read {
    fn with<H: Handler + Send>(handler: H) -> Read {
        Box::new(move |change| match handler.read(change) {
            Ok(fact) => Ok(fact.is_some()),
            Err(rejected) => Err(rejected.0),
        })
    }
    match config.service {
        Service::Inventory => with(service::inventory(config)),
        Service::Analytics => with(service::analytics(config)),
        Service::Search => with(service::search(config)),
    }
}
