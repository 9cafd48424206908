//! Checked jobs to images, one after the other on the thread of their model.

use crate::models::common::worker::{Cancel, Worker};
use crate::{Image, Result};

/// One image for each of `jobs`, by `draw`, which asks between steps whether the caller has left.
pub(super) async fn draw_each<M: 'static, J: Send + 'static>(
    worker: &Worker<M>,
    jobs: Vec<J>,
    draw: fn(&mut M, &J, &Cancel) -> Result<Image>,
) -> Result<Vec<Image>> {
    let mut images = Vec::new();
    for job in jobs {
        images.push(worker.run(move |model, cancel| draw(model, &job, cancel)).await?);
    }
    Ok(images)
}
