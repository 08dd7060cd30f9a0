//! Values on their way into the database and back.

use std::{error::Error, pin::pin};

use futures_util::TryStreamExt as _;
use tidings_core::copy::{Checksum, Column, Kind, Row, Table, Value};
use tokio_postgres::{
    CopyInSink,
    binary_copy::BinaryCopyInWriter,
    types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked},
};

use crate::{
    connection::Connection,
    failure::{Failure, Result},
};

/// A value as the driver sends it.
#[derive(Debug)]
struct Sent<'a>(&'a Value);

impl ToSql for Sent<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        to: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn Error + std::marker::Sync + Send>> {
        match self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(number) => number.to_sql(kind, to),
            Value::Bool(is) => is.to_sql(kind, to),
            Value::Text(text) => text.to_sql(kind, to),
            Value::Bytes(bytes) => bytes.to_sql(kind, to),
            Value::Id(id) => id.to_sql(kind, to),
        }
    }

    fn accepts(_kind: &Type) -> bool {
        // Which value goes where, the table says.
        true
    }

    to_sql_checked!();
}

fn type_of(column: &Column) -> Type {
    match column.kind {
        Kind::Int => Type::INT8,
        Kind::Bool => Type::BOOL,
        Kind::Text => Type::TEXT,
        Kind::Bytes => Type::BYTEA,
        Kind::Id => Type::UUID,
    }
}

pub(super) async fn write(
    sink: CopyInSink<bytes::Bytes>,
    table: &Table,
    rows: &[Row],
) -> Result<u64> {
    let types: Vec<_> = table.columns.iter().map(type_of).collect();
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
    for row in rows {
        if row.len() != types.len() {
            return Err(Failure::Corrupt(format!("a row of {} values", row.len())));
        }
        writer.as_mut().write_raw(row.iter().map(Sent)).await?;
    }
    Ok(writer.finish().await?)
}

/// Rows come as they are asked for: a table of any size takes the memory of a few.
pub(super) async fn checksum(conn: &Connection, sql: &str, table: &Table) -> Result<Checksum> {
    let mut rows = pin!(conn.query_raw(sql, Vec::<&(dyn ToSql + Sync)>::new()).await?);
    let mut checksum = Checksum::default();
    while let Some(row) = rows.try_next().await? {
        let values = table.columns.iter().enumerate().map(|(n, column)| value(&row, n, column));
        checksum.add(&values.collect::<Result<Vec<_>>>()?);
    }
    Ok(checksum)
}

fn value(row: &tokio_postgres::Row, n: usize, column: &Column) -> Result<Value> {
    let value = match column.kind {
        Kind::Int => row.try_get::<_, Option<i64>>(n)?.map(Value::Int),
        Kind::Bool => row.try_get::<_, Option<bool>>(n)?.map(Value::Bool),
        Kind::Text => row.try_get::<_, Option<String>>(n)?.map(Value::Text),
        Kind::Bytes => row.try_get::<_, Option<Vec<u8>>>(n)?.map(Value::Bytes),
        Kind::Id => row.try_get::<_, Option<uuid::Uuid>>(n)?.map(Value::Id),
    };
    Ok(value.unwrap_or(Value::Null))
}
