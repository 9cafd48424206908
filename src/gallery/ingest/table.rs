//! A Parquet file to its rows as JSON objects, one after the other.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use serde_json::{Map, Value};

use crate::{Error, Result, regular_file};

/// The rows of a Parquet file, read one row group at a time. It ends at the first row that cannot
/// be read.
pub(super) struct TableRows {
    path: PathBuf,
    rows: Option<RowIter<'static>>,
    pub(super) columns: Vec<String>,
    /// Rows that are still to come.
    left: u64,
}

impl TableRows {
    /// Opens `path` and reads its footer.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = regular_file::open(path)?;
        let (columns, left, rows) = guarded(path, || {
            let reader = SerializedFileReader::new(file)?;
            let metadata = reader.metadata().file_metadata();
            let fields = metadata.schema_descr().root_schema().get_fields();
            let columns = fields.iter().map(|field| field.name().to_owned()).collect();
            let count = metadata.num_rows();
            Ok((columns, count, RowIter::from_file_into(Box::new(reader))))
        })?;
        let left = u64::try_from(left)
            .map_err(|_| Error::invalid_file(path, "rows", "at least 0", left))?;
        Ok(Self { path: path.to_owned(), rows: Some(rows), columns, left })
    }

    /// Rows that are still to come.
    pub(super) const fn len(&self) -> u64 {
        self.left
    }
}

impl Iterator for TableRows {
    type Item = Result<Map<String, Value>>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.rows.as_mut()?;
        let row = guarded(&self.path, || rows.next().transpose());
        self.left = self.left.saturating_sub(1);
        if !matches!(row, Ok(Some(_))) {
            (self.rows, self.left) = (None, 0);
        }
        row.transpose().map(|row| row.map(object))
    }
}

impl fmt::Debug for TableRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableRows({}, {} left)", self.path.display(), self.left)
    }
}

/// What `read` returns. The reader of Parquet panics on some damage, which is an error here.
fn guarded<T>(path: &Path, read: impl FnOnce() -> parquet::errors::Result<T>) -> Result<T> {
    let invalid = |found: String| Error::invalid_file(path, "Parquet", "a readable file", found);
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|error| invalid(error.to_string())),
        Err(_) => Err(invalid("damage that stops the reader".to_owned())),
    }
}

fn object(row: Row) -> Map<String, Value> {
    row.into_columns().into_iter().map(|(name, field)| (name, json(field))).collect()
}

fn json(field: Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => value.into(),
        Field::Byte(value) => value.into(),
        Field::Short(value) => value.into(),
        Field::Int(value) | Field::Date(value) | Field::TimeMillis(value) => value.into(),
        Field::Long(value) | Field::TimeMicros(value) => value.into(),
        Field::TimestampMillis(value) | Field::TimestampMicros(value) => value.into(),
        Field::UByte(value) => value.into(),
        Field::UShort(value) => value.into(),
        Field::UInt(value) => value.into(),
        Field::ULong(value) => value.into(),
        // What is not finite is null.
        Field::Float16(value) => f32::from(value).into(),
        Field::Float(value) => value.into(),
        Field::Double(value) => value.into(),
        Field::Str(value) => value.into(),
        // Older writers do not mark text as such.
        Field::Bytes(value) => std::str::from_utf8(value.data()).ok().into(),
        Field::Group(row) => Value::Object(object(row)),
        Field::ListInternal(list) => list.elements().iter().cloned().map(json).collect(),
        // Nothing that writes captions and licenses writes these.
        Field::Decimal(_) | Field::MapInternal(_) => Value::Null,
    }
}
