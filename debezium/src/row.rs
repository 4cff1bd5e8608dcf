//! A row image, unparsed until asked.
use bigdecimal::BigDecimal;
use std::{borrow::Cow, marker::PhantomData};

#[derive(Debug, Clone)]
pub struct Row<'a>(PhantomData<&'a ()>);

impl<'a> Row<'a> {
    /// These columns, in one pass over the row. A missing column is an error only when its value is asked for.
    pub fn fields<const N: usize>(
        &self,
        _names: [&'a str; N],
    ) -> Result<[Field<'a>; N], FieldError> {
        Err(FieldError("row parser in the making".into()))
    }
}

/// One column of one row image. Every reader fails, naming the column, if it is missing, null, unavailable (an
/// unchanged TOAST value) or of another type.
#[derive(Debug, Clone)]
pub struct Field<'a>(PhantomData<&'a ()>);

impl<'a> Field<'a> {
    pub fn int(&self) -> Result<i64, FieldError> {
        todo!()
    }
    pub fn text(&self) -> Result<Cow<'a, str>, FieldError> {
        todo!()
    }
    pub fn decimal(&self) -> Result<BigDecimal, FieldError> {
        todo!()
    }
    /// An instant: µs since 1970, UTC.
    pub fn time_us(&self) -> Result<i64, FieldError> {
        todo!()
    }
    /// `None` for null (a missing column is still an error): `price.nullable(Field::decimal)`.
    pub fn nullable<T>(
        &self,
        _read: impl FnOnce(&Self) -> Result<T, FieldError>,
    ) -> Result<Option<T>, FieldError> {
        todo!()
    }
    /// For columns that may be out of line: `description.kept(|f| f.nullable(Field::text))`.
    pub fn kept<T>(
        &self,
        _read: impl FnOnce(&Self) -> Result<T, FieldError>,
    ) -> Result<Kept<T>, FieldError> {
        todo!()
    }
}

/// A value, or word that it did not change and was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept<T> {
    New(T),
    Unchanged,
}

/// Names the table's column and says what to do; never shows a value.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FieldError(pub String);
