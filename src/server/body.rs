//! A review's body: read within a budget of bytes and within its time, before anything else is taken up for it.

use super::Limits;
use super::budget::{Budget, Crowded, Share};
use axum::body::{Bytes, HttpBody};
use http_body_util::BodyExt;
use hyper::body::Frame;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tower::BoxError;

/// The largest body, in bytes: 7 MiB. A review can carry two objects of 3 MB; controller-runtime takes as much.
pub const MAX_BODY: usize = 7 * 1024 * 1024;
/// Up to this many bytes a body is small: bytes for small ones are kept apart, so that they go on while large ones wait.
/// Reviews of real workloads are.
pub(super) const SMALL: usize = 64 * 1024;

/// The bytes that bodies may take.
#[derive(Debug)]
pub(super) struct Budgets {
    pub(super) small: Arc<Budget>,
    pub(super) large: Arc<Budget>,
}

impl Budgets {
    pub(super) fn new(limits: &Limits) -> Self {
        let grace = limits.patience();
        Self {
            small: Budget::new(limits.small_bodies.max(SMALL), grace),
            large: Budget::new(limits.large_bodies.max(MAX_BODY), grace),
        }
    }
}

/// A body that is there, with its share of the bytes.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) bytes: Vec<u8>,
    pub(super) share: Share,
}

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    /// It is larger than [`MAX_BODY`].
    #[error(
        "the body is larger than {} MiB, which no review of the API server is: two objects of at most 3 MB each",
        MAX_BODY / 1024 / 1024
    )]
    TooLarge,
    /// The connection ended, or the protocol was broken.
    #[error("failed to read the body: {0}")]
    Broken(BoxError),
    /// Nothing of it came.
    #[error("no byte of the body came within {0:?}")]
    Nothing(Duration),
    /// It came too slowly.
    #[error("the body came slowly: {0} bytes of it had come")]
    Slow(usize),
    /// Others needed the memory.
    #[error("the body came slowly, and others needed the memory that was kept for it: {0} bytes had come")]
    GaveWay(usize),
    /// There was no memory for it in time.
    #[error("no memory for a body of {0} bytes became free: too many reviews wait")]
    NoRoom(usize),
    /// Too many of the same client wait.
    #[error("too many reviews of this client wait for memory already")]
    Crowded,
}

/// Reads a body whole. A client that sends nothing holds nothing; one that sends is given memory for all of it, in turn.
/// `places` are those of its connection where large bodies wait.
pub(super) async fn read<B>(
    budgets: &Budgets,
    limits: &Limits,
    peer: IpAddr,
    places: &Semaphore,
    body: B,
) -> Result<Whole, Unread>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>>,
{
    let began = Instant::now();
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(Unread::TooLarge);
    }
    let mut body = pin!(body);
    let patience = limits.patience();
    let first = timeout(patience, body.frame()).await.map_err(|_| Unread::Nothing(patience))?;
    let mut part = data(first)?;
    let begun = part.as_ref().map_or(0, Bytes::len);
    let rest = match body.size_hint().exact() {
        Some(rest) => usize::try_from(rest).unwrap_or(usize::MAX),
        None => MAX_BODY.saturating_sub(begun),
    };
    let wanted = begun.saturating_add(rest);
    if wanted > MAX_BODY {
        return Err(Unread::TooLarge);
    }
    let (budget, place) = if wanted <= SMALL {
        (&budgets.small, None)
    } else {
        (&budgets.large, Some(places.try_acquire().map_err(|_| Unread::Crowded)?))
    };
    let end = began + limits.request_time;
    let share = timeout_at(end, budget.take(peer, wanted)).await.map_err(|_| Unread::NoRoom(wanted))?;
    let share = share.map_err(|Crowded| Unread::Crowded)?;
    drop(place);
    let mut bytes = Vec::with_capacity(wanted);
    while let Some(more) = part {
        if bytes.len() + more.len() > wanted {
            return Err(Unread::TooLarge);
        }
        bytes.extend_from_slice(&more);
        share.has(bytes.len());
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = share.wanted_back() => return Err(Unread::GaveWay(bytes.len())),
            () = tokio::time::sleep_until(end) => return Err(Unread::Slow(bytes.len())),
        };
        part = data(frame)?;
    }
    share.arrived();
    Ok(Whole { bytes, share })
}

/// The bytes of a frame; none at the end, which trailers are too.
fn data<E: Into<BoxError>>(frame: Option<Result<Frame<Bytes>, E>>) -> Result<Option<Bytes>, Unread> {
    let frame = frame.transpose().map_err(|error| Unread::Broken(error.into()))?;
    Ok(frame.and_then(|frame| frame.into_data().ok()))
}
