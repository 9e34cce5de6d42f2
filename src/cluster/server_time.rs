//! What time it is to the API server: the `Date` of its answers.

use crate::server::ToldTime;
use hyper::header::DATE;
use hyper::{HeaderMap, Response, StatusCode};
use tower::util::MapResponseLayer;

/// Takes the time from all answers of one client.
pub(super) fn server_time<B>(
    told: ToldTime,
) -> MapResponseLayer<impl Fn(Response<B>) -> Response<B> + Clone> {
    MapResponseLayer::new(move |answer: Response<B>| {
        if let Some(seconds) = time_of(answer.status(), answer.headers()) {
            told.hear(seconds);
        }
        answer
    })
}

/// When the API server gave this answer, in seconds since 1970. One that takes no token, as its clock is wrong, and a proxy without
/// an API server behind it, say nothing that counts.
fn time_of(status: StatusCode, headers: &HeaderMap) -> Option<i64> {
    if !status.is_success() && status != StatusCode::NOT_FOUND {
        return None;
    }
    let date = headers.get(DATE)?.to_str().ok()?;
    Some(jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_that_of_answers_to_who_is_known() {
        let time =
            |status, date: &str| time_of(status, &HeaderMap::from_iter([(DATE, date.parse().unwrap())]));
        let date = "Mon, 23 Nov 2026 00:00:00 GMT";
        for status in [StatusCode::OK, StatusCode::CREATED, StatusCode::NOT_FOUND] {
            assert_eq!(time(status, date), Some(1_795_392_000), "{status}");
        }
        for status in [StatusCode::UNAUTHORIZED, StatusCode::BAD_GATEWAY] {
            assert_eq!(time(status, date), None, "{status}");
        }
        for bad in ["", "now", "Mon, 23 Nov 2026", "Mon, 23 Nov 99999 00:00:00 GMT"] {
            assert_eq!(time(StatusCode::OK, bad), None, "{bad}");
        }
        assert_eq!(time_of(StatusCode::OK, &HeaderMap::new()), None);
    }
}
