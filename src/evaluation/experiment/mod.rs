//! Systems, data sets and metrics to pictures and scores on disk, each made once.

mod journal;
mod records;

pub use journal::{Journal, Records};
pub use records::{
    DatasetRecord, Drawing, Ended, MetricRecord, PictureRecord, Results, ScoreRecord,
    StoredPicture, StoredReference, SystemRecord,
};
