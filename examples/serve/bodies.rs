//! The bodies of requests to bytes: so many bytes of all together, each body no larger than it may be, and
//! none that stops coming.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::error::{ApiError, ApiResult};

/// What each body may hold without a place: requests of words are never refused because of pictures.
const FREE: usize = 64 << 10;
/// How many times as much as may be sent is read and thrown away where it is refused.
const DISCARDED: usize = 4;
/// How long that may take.
const DISCARDING: Duration = Duration::from_secs(30);

/// The bounds of all bodies.
#[derive(Debug)]
pub(crate) struct Bodies {
    /// A permit for each byte of all bodies together.
    places: Arc<Semaphore>,
    /// The most bytes of one body.
    most: usize,
    /// The longest that a client may send nothing.
    patience: Duration,
}

/// The places of a body; dropping it leaves them to others.
#[derive(Debug, Default)]
pub(crate) struct Held(Option<OwnedSemaphorePermit>);

impl Bodies {
    /// At most `most` bytes of one body, and `all` of all together.
    pub(crate) fn new(most: usize, all: usize, patience: Duration) -> Self {
        let places = Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS)));
        Self { places, most, patience }
    }

    /// Reads a body, which is refused before it is read where it says that it is too large.
    pub(crate) async fn read(&self, body: Body) -> ApiResult<(Bytes, Held)> {
        let declared = body.size_hint().lower();
        let mut stream = body.into_data_stream();
        match self.collect(&mut stream, usize::try_from(declared).unwrap_or(usize::MAX)).await {
            Ok(read) => Ok(read),
            Err(error) => {
                self.discard(stream);
                Err(error)
            }
        }
    }

    async fn collect(
        &self,
        stream: &mut BodyDataStream,
        declared: usize,
    ) -> ApiResult<(Bytes, Held)> {
        let mut held = Held::default();
        self.hold(&mut held, declared)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = timeout(self.patience, stream.next())
            .await
            .map_err(|_| ApiError::too_slow(self.patience))?
        {
            let chunk = chunk.map_err(|error| ApiError::invalid(format!("the body: {error}")))?;
            self.hold(&mut held, bytes.len() + chunk.len())?;
            bytes.extend_from_slice(&chunk);
        }
        Ok((bytes.into(), held))
    }

    /// Has `held` cover a body of `length` bytes.
    fn hold(&self, held: &mut Held, length: usize) -> ApiResult<()> {
        if length > self.most {
            return Err(ApiError::too_large(self.most));
        }
        let has = held.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Some(more) = length.saturating_sub(FREE).checked_sub(has).filter(|more| *more > 0)
        else {
            return Ok(());
        };
        let more = u32::try_from(more).map_err(|_| ApiError::too_large(self.most))?;
        let more = Arc::clone(&self.places).try_acquire_many_owned(more);
        let more = more.map_err(|_| ApiError::bodies_full())?;
        match &mut held.0 {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }

    /// Reads what still comes, up to a bound, and throws it away: a client that is still sending would not
    /// see why it is refused. The reply does not wait for that.
    pub(crate) fn discard(&self, mut stream: BodyDataStream) {
        let mut left = self.most.saturating_mul(DISCARDED);
        let discarding = async move {
            while let Some(Ok(chunk)) = stream.next().await {
                match left.checked_sub(chunk.len()) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        tokio::spawn(timeout(DISCARDING, discarding));
    }
}
