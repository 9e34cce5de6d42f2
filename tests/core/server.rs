//! The webhook over real sockets: TLS, HTTP/1.1 and HTTP/2, bad input, limits, panics, certificates that change, health,
//! metrics, and an end that loses no request.

mod harness;
mod memory;

use axum::body::Body;
use axum::http::{Request, StatusCode, Version};
use harness::{Client, Gate, Unsized, review};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tower::ServiceExt;
use volgate::server::{Limits, Shutdown};
use volgate::tls::{Authority, CertificateSource, Step};

const MIB: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_http_are_answered() {
    let gate = Gate::start().await;
    for (mut client, version) in
        [(gate.http1().await, Version::HTTP_11), (gate.http2().await, Version::HTTP_2)]
    {
        for _ in 0..3 {
            let (parts, body) = client.post("/validate", review("deny")).await;
            assert_eq!((parts.status, parts.version), (StatusCode::OK, version));
            assert_eq!(parts.headers["content-type"], "application/json");
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["response"]["uid"], "a-uid");
            assert_eq!(body["response"]["status"]["code"], 403);
        }
        let (_, body) = client.post("/mutate", review("deny")).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["response"]["allowed"], true, "denying is the other webhook's part: {body}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn the_service_needs_no_socket() {
    let gate = Gate::start().await;
    let request = Request::post("/validate").header("content-type", "application/json");
    let request = request.body(Body::from(review("deny"))).unwrap();
    let response = volgate::server::webhook_service(gate.state.clone()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = axum::body::to_bytes(response.into_body(), MIB).await.unwrap();
    assert!(String::from_utf8_lossy(&body).contains("test-rule: spec: is not liked (policy test)"));
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_told_what_is_wrong() {
    let gate = Gate::start().await;
    let deep = format!("{{\"request\": {{\"uid\": \"a-uid\", \"options\": {}", "[".repeat(10_000));
    let json = "application/json";
    let table: [(&str, &str, Vec<u8>, u16, &str); 11] = [
        ("/validate", json, b"".to_vec(), 400, "failed to read the review"),
        ("/validate", json, b"\0\0".to_vec(), 400, "failed to read the review"),
        ("/validate", json, b"\xff\xfe".to_vec(), 400, "not UTF-8"),
        ("/validate", json, b"{\"request\": {}}".to_vec(), 400, "request.uid is missing"),
        ("/validate", json, deep.into_bytes(), 200, "\"code\":400"),
        ("/validate", json, b"{\"request\": {\"uid\": \"a-uid\"}}".to_vec(), 200, "must be AdmissionReview"),
        ("/validate", "application/yaml", b"{}".to_vec(), 415, "must be application/json"),
        ("/validate", "", b"{}".to_vec(), 415, "must be application/json"),
        ("/validate", "application/jsonp", b"{}".to_vec(), 415, "must be application/json"),
        ("/elsewhere", json, b"{}".to_vec(), 404, "POST /mutate and POST /validate"),
        (
            "/validate",
            "Application/JSON; charset=utf-8",
            review("fine").into_bytes(),
            200,
            "\"allowed\":true",
        ),
    ];
    let mut client = gate.http2().await;
    for (path, kind, body, status, part) in table {
        let (parts, text) = client.send("POST", path, kind, Body::from(body.clone())).await;
        assert_eq!(
            parts.status.as_u16(),
            status,
            "{} {text}",
            String::from_utf8_lossy(&body[..body.len().min(99)])
        );
        assert!(text.contains(part), "{text}");
    }
    let (parts, body) = client.send("GET", "/validate", json, Body::empty()).await;
    assert_eq!(
        (parts.status, &parts.headers["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
    );
    assert!(body.contains("the method must be POST"));
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_with_and_without_its_length() {
    let limits = Limits { request_time: Duration::from_secs(60), ..Limits::default() };
    let gate = Gate::with(limits, Shutdown::default()).await;
    let large = vec![b' '; 10 * MIB];
    for body in [Body::from(large.clone()), Body::new(Unsized::new(large.clone()))] {
        let mut client = gate.http2().await;
        let (parts, text) = client.send("POST", "/validate", "application/json", body).await;
        assert_eq!(parts.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(text.contains("larger than 7 MiB"), "{text}");
    }
    // What just fits is judged, on a thread of its own.
    let mut fits = review("deny");
    fits.push_str(&" ".repeat(7 * MIB - fits.len()));
    let (parts, text) = gate.http2().await.post("/validate", fits).await;
    assert_eq!(parts.status, StatusCode::OK);
    assert!(text.contains("\"code\":403"), "{text}");
    assert!(gate.metrics().await.contains("verdict=\"too_large\"} 2\n"));
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_one_review_alone() {
    let limits = Limits { request_time: Duration::from_secs(60), ..Limits::default() };
    let gate = Gate::with(limits, Shutdown::default()).await;
    let mut client = gate.http2().await;
    let mut large = review("panic");
    large.push_str(&" ".repeat(MIB));
    for body in [review("panic"), large] {
        let (parts, text) = client.post("/validate", body).await;
        assert_eq!(parts.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(text.contains("a fault of volgate's own"), "{text}");
        let (parts, _) = client.post("/validate", review("fine")).await;
        assert_eq!(parts.status, StatusCode::OK, "the same connection goes on");
    }
    let metrics = gate.metrics().await;
    assert!(metrics.contains("volgate_panics_total 2\n"), "{metrics}");
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_slowly_is_given_up() {
    let limits = Limits { request_time: Duration::from_millis(200), ..Limits::default() };
    let gate = Gate::with(limits, Shutdown::default()).await;
    let (parts, text) =
        gate.http2().await.send("POST", "/validate", "application/json", Body::new(Unsized::never())).await;
    assert_eq!(parts.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("within 200ms"), "{text}");
    gate.stop().await;
}

/// So many requests on a connection of their own whose bodies never end; they go when the task is aborted.
fn hang(client: Client, streams: usize, body: impl Fn() -> Body) -> tokio::task::JoinHandle<()> {
    let bodies: Vec<Body> = (0..streams).map(|_| body()).collect();
    tokio::spawn(async move {
        let sent = bodies.into_iter().map(|body| client.begin("/validate", body));
        futures::future::join_all(sent.collect::<Vec<_>>()).await;
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_send_nothing_hold_nothing_that_others_need() {
    let limits = Limits { request_time: Duration::from_secs(100), ..Limits::default() };
    let gate = Gate::with(limits, Shutdown::default()).await;
    let mut idle = Vec::new();
    for _ in 0..30 {
        idle.push(hang(gate.http2().await, 200, || Body::new(Unsized::never())));
    }
    let mut client = gate.http2().await;
    for _ in 0..50 {
        let (parts, _) = client.post("/validate", review("fine")).await;
        assert_eq!(parts.status, StatusCode::OK);
    }
    let large = review("fine") + &" ".repeat(6 * MIB);
    assert_eq!(client.post("/validate", large).await.0.status, StatusCode::OK);
    idle.iter().for_each(tokio::task::JoinHandle::abort);
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_stop_half_way_give_way_to_others() {
    let limits = Limits {
        request_time: Duration::from_secs(40),
        small_bodies: 64 * 1024,
        large_bodies: 7 * MIB,
        ..Limits::default()
    };
    let gate = Gate::with(limits, Shutdown::default()).await;
    // Each is given the memory for all of it, of which there is enough for one.
    for (announced, own) in [(7 * MIB, MIB), (64 * 1024, 32 * 1024)] {
        let begun = move || Body::new(Unsized::begun(announced));
        let stopped = hang(gate.http2().await, 2, begun);
        let mut body = review("fine");
        body.push_str(&" ".repeat(own - body.len()));
        let (parts, text) = gate.http2().await.post("/validate", body).await;
        assert_eq!(parts.status, StatusCode::OK, "{text}");
        // What gave way is counted when it is answered, which may be after the other.
        let counted = async {
            while !gate.metrics().await.contains("verdict=\"overloaded\"} ") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), counted)
            .await
            .expect("a body that gave way is counted");
        stopped.abort();
    }
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_wait_for_each_other_and_not_for_those_that_wait_on_their_connection() {
    let limits =
        Limits { large_bodies: 7 * MIB, request_time: Duration::from_secs(100), ..Limits::default() };
    let gate = Gate::with(limits, Shutdown::default()).await;
    let body = review("fine") + &" ".repeat(2 * MIB);
    let (one, other) = (gate.http2().await, gate.http2().await);
    let sent = [&one, &other, &one, &other, &one, &other]
        .map(|client| client.begin("/validate", Body::from(body.clone())));
    let statuses = futures::future::join_all(sent).await;
    assert_eq!(statuses, [Some(StatusCode::OK); 6], "of 12 MiB there is room for 7 at a time");

    // No more than three of a connection wait: the first has all there is.
    let begun = || Body::new(Unsized::begun(7 * MIB));
    let stopped = hang(gate.http2().await, 1, begun);
    gate.until("volgate_body_bytes{size=\"large\"} ", |bytes| bytes == 7 * MIB).await;
    let crowd = gate.http2().await;
    let sent: Vec<_> = (0..5).map(|_| tokio::spawn(crowd.begin("/validate", begun()))).collect();
    gate.until("volgate_reviews_total{endpoint=\"validate\",operation=\"unknown\",kind=\"other\",verdict=\"overloaded\"} ", |count| count == 2).await;
    // The answers are counted before they have arrived.
    let answered = || sent.iter().filter(|sent| sent.is_finished()).count();
    let deadline = Instant::now() + Duration::from_secs(30);
    while answered() < 2 {
        assert!(Instant::now() < deadline, "only {} are answered", answered());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(answered(), 2, "the others wait");
    stopped.abort();
    sent.iter().for_each(tokio::task::JoinHandle::abort);
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_all_judging_threads_are_busy_everything_else_is_answered() {
    let limits = Limits { request_time: Duration::from_secs(100), ..Limits::default() };
    let gate = Gate::with(limits, Shutdown::default()).await;
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(2, 16);
    let mut slow = Vec::new();
    for _ in 0..threads + 2 {
        let mut client = gate.http2().await;
        slow.push(tokio::spawn(async move { client.post("/validate", review("held")).await.0.status }));
    }
    gate.until("volgate_body_bytes{size=\"small\"} ", |bytes| bytes >= (threads + 2) * 100).await;
    for _ in 0..20 {
        assert_eq!(gate.health("/livez").await.0, 200);
        assert_eq!(gate.health("/readyz").await.0, 200);
        let (parts, _) = gate.http2().await.send("POST", "/validate", "text/plain", Body::empty()).await;
        assert_eq!(parts.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "connections are served");
    }
    assert!(slow.iter().all(|review| !review.is_finished()), "all that was while they were judged");
    harness::release();
    for review in slow {
        assert_eq!(review.await.unwrap(), StatusCode::OK);
    }
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_holds_its_memory_until_it_ends_and_the_answer_says_so() {
    let limits = Limits { request_time: Duration::from_millis(600), ..Limits::default() };
    let gate = Gate::with(limits, Shutdown::default()).await;
    let (parts, text) = gate.http2().await.post("/validate", review("slow")).await;
    assert_eq!(parts.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("within 600ms: judging it takes longer; it goes on"), "{text}");
    let held = "volgate_body_bytes{size=\"small\"} ";
    assert_eq!(gate.metric(held).await, review("slow").len(), "a rule is still looking at it");
    gate.until(held, |bytes| bytes == 0).await;
    assert!(gate.metrics().await.contains("verdict=\"timed_out\"} 1\n"));
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_gives_back_what_it_held() {
    let gate = Gate::start().await;
    let client = gate.http2().await;
    let sent = tokio::spawn(client.begin("/validate", Body::new(Unsized::begun(7 * MIB))));
    let held = "volgate_body_bytes{size=\"large\"} ";
    gate.until(held, |bytes| bytes == 7 * MIB).await;
    sent.abort();
    drop(client);
    gate.until(held, |bytes| bytes == 0).await;
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_ask_nothing_make_room_for_others() {
    let gate = Gate::with(Limits { connections: 4, ..Limits::default() }, Shutdown::default()).await;
    let mut api_server = gate.http2().await;
    assert_eq!(api_server.post("/validate", review("fine")).await.0.status, StatusCode::OK);
    let mut idle = Vec::new();
    for _ in 0..10 {
        idle.push(gate.http2().await);
    }
    let (parts, _) = api_server.post("/validate", review("fine")).await;
    assert_eq!(parts.status, StatusCode::OK, "it was answered last, and stays");
    gate.until("volgate_connections ", |open| open == 4).await;
    assert_eq!(gate.metric("volgate_connections_displaced_total ").await, 7);
    gate.stop().await;
}

/// As API servers ask in a cluster: by HTTP/1.1, on a connection for each review that runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_a_review_runs_is_not_closed_for_another() {
    let limits = Limits { connections: 3, request_time: Duration::from_secs(3), ..Limits::default() };
    let gate = Gate::with(limits, Shutdown::default()).await;
    let mut running = Vec::new();
    for _ in 0..2 {
        let mut client = gate.http1().await;
        running.push(tokio::spawn(async move {
            let body = Body::new(Unsized::begun(1_000));
            client.send("POST", "/validate", "application/json", body).await.0.status
        }));
    }
    gate.until("volgate_body_bytes{size=\"small\"} ", |bytes| bytes == 2_000).await;
    let mut others = Vec::new();
    for _ in 0..3 {
        let mut client = gate.http1().await;
        assert_eq!(client.post("/validate", review("fine")).await.0.status, StatusCode::OK);
        others.push(client);
    }
    assert_eq!(gate.metric("volgate_connections_displaced_total ").await, 2, "idle ones");
    for running in running {
        assert_eq!(running.await.unwrap(), StatusCode::SERVICE_UNAVAILABLE, "its body never came");
    }
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed_and_busy_ones_are_not() {
    let limits = Limits { idle: Duration::from_millis(300), ..Limits::default() };
    let gate = Gate::with(limits, Shutdown::default()).await;
    let mut unused = [gate.http1().await, gate.http2().await];
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut used = if version == Version::HTTP_2 { gate.http2().await } else { gate.http1().await };
        let (parts, _) = used.post("/validate", review("slow")).await;
        assert_eq!((parts.status, parts.version), (StatusCode::OK, version), "it takes five times as long");
        used.closed().await;
    }
    for client in &mut unused {
        client.closed().await;
    }
    gate.until("volgate_connections ", |open| open == 0).await;
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_loses_no_request() {
    let shutdown = Shutdown { delay: Duration::from_millis(700), grace: Duration::from_secs(5) };
    let mut gate = Gate::with(Limits::default(), shutdown).await;
    assert_eq!(gate.health("/readyz").await.0, 200);
    let mut client = gate.http2().await;
    let slow = tokio::spawn(async move { client.post("/validate", review("slow")).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    gate.begin_stop();
    tokio::time::sleep(Duration::from_millis(100)).await;

    let (status, text) = gate.health("/readyz").await;
    assert_eq!(status, 503);
    assert!(text.contains("[-]shutdown failed: shutting down\n"), "{text}");
    assert_eq!(gate.health("/livez").await, (200, "ok\n".to_owned()));
    let (parts, _) = gate.http1().await.post("/validate", review("fine")).await;
    assert_eq!(parts.status, StatusCode::OK, "the API server may not know of the end yet");
    assert_eq!(
        parts.headers["connection"], "close",
        "it is told, so that nothing more comes on this connection"
    );

    let (parts, _) = slow.await.unwrap();
    assert_eq!(parts.status, StatusCode::OK, "what was under way when the end began is answered");
    let address = gate.webhook;
    gate.ended().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_change_under_open_connections() {
    let files = tempfile::tempdir().unwrap();
    let today = volgate::server::Clock::system().today();
    let authority = Authority::new(today).unwrap();
    let (certificate, key) = (files.path().join("tls.crt"), files.path().join("tls.key"));
    let write = || {
        let pem = authority.issue(&["localhost".to_owned()], today).unwrap();
        std::fs::write(&certificate, &pem.certificate).unwrap();
        std::fs::write(&key, &pem.key).unwrap();
    };
    write();
    let source = CertificateSource::Files { certificate: certificate.clone(), key: key.clone() };
    let (gate, mut follower) =
        Gate::with_source(source, authority.pem(), Limits::default(), Shutdown::default()).await;
    let now = volgate::server::Clock::system().now();
    let mut open = gate.http2().await;
    let mut served = vec![gate.served_certificate().await];
    for _ in 0..3 {
        write();
        assert_eq!(follower.step(now), Step::Taken);
        let new = gate.served_certificate().await;
        assert!(!served.contains(&new), "a new connection gets the new certificate");
        served.push(new);
    }
    std::fs::write(&key, "half").unwrap();
    assert!(matches!(follower.step(now), Step::Kept { .. }));
    assert_eq!(gate.served_certificate().await, served[3]);
    let (parts, _) = open.post("/validate", review("fine")).await;
    assert_eq!(parts.status, StatusCode::OK, "a connection from before goes on");
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_what_is_missing() {
    let gate = Gate::start().await;
    let (status, text) = gate.health("/readyz").await;
    assert_eq!(status, 200);
    let well = "[+]caches ok\n[+]certificate ok\n[+]shutdown ok\nreadyz check passed\n";
    assert_eq!(text, well);
    // Without a policy nothing is judged; a webhook that is not ready would have everything refused.
    gate.state.policies.store(volgate::policy::PolicySet::build(Vec::new()).unwrap().into());
    assert_eq!(gate.health("/readyz").await, (200, well.to_owned()));
    gate.world.wait_for("the first list of claims is under way");
    gate.world.pass_days(400);
    let (status, text) = gate.health("/readyz").await;
    assert_eq!(status, 503);
    assert!(text.contains("[-]caches failed: the first list of claims is under way\n"), "{text}");
    assert!(text.contains("[-]certificate failed: the certificate expired on "), "{text}");
    assert!(text.ends_with("readyz check failed\n"), "{text}");
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_was_answered() {
    let gate = Gate::start().await;
    let mut client = gate.http2().await;
    for label in ["deny", "fine", "warn"] {
        client.post("/validate", review(label)).await;
    }
    let mut foreign: Value = serde_json::from_str(&review("deny")).unwrap();
    foreign["request"]["kind"]["kind"] = json!("Surprise");
    client.post("/validate", foreign.to_string()).await;
    let metrics = gate.metrics().await;
    for line in [
        "volgate_reviews_total{endpoint=\"validate\",operation=\"CREATE\",kind=\"Pod\",verdict=\"denied\"} 1\n",
        "volgate_reviews_total{endpoint=\"validate\",operation=\"CREATE\",kind=\"Pod\",verdict=\"allowed\"} 1\n",
        "volgate_reviews_total{endpoint=\"validate\",operation=\"CREATE\",kind=\"Pod\",verdict=\"warned\"} 1\n",
        "volgate_reviews_total{endpoint=\"validate\",operation=\"CREATE\",kind=\"other\",verdict=\"skipped\"} 1\n",
        "volgate_findings_total{rule=\"test-rule\",action=\"deny\"} 1\n",
        "volgate_findings_total{rule=\"test-rule\",action=\"warn\"} 1\n",
        "volgate_review_duration_seconds_count{endpoint=\"validate\"} 4\n",
        "volgate_review_duration_seconds_bucket{le=\"0.00001\",endpoint=\"validate\"} ",
        "volgate_policies 1\n",
        "volgate_cache_objects{kind=\"claims\"} 7\n",
        "volgate_certificate_expiry_timestamp_seconds 1",
        "volgate_panics_total 0\n",
        "volgate_policy_reload_errors_total 0\n",
        "volgate_build_info{version=\"",
        "# EOF\n",
    ] {
        assert!(metrics.contains(line), "no {line}in\n{metrics}");
    }
    gate.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_speaks_no_tls_is_counted() {
    let gate = Gate::start().await;
    let mut plain = tokio::net::TcpStream::connect(gate.webhook).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"POST /validate HTTP/1.1\r\n\r\n").await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while !gate.metrics().await.contains("volgate_connection_errors_total 1\n") {
        assert!(Instant::now() < deadline, "the connection was not counted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _: Client = gate.http2().await;
    gate.stop().await;
}
