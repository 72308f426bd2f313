//! `/v1/connections` and `/v1/drains`, over a process that has three tunnels and does as it is told.

use std::time::{Duration, SystemTime};

use gateway_core::config::Frames;
use gateway_core::tunnels::{Carried, TunnelId, TunnelReport, TunnelStatus};
use serde_json::json;

use crate::fake::{Fake, api, ask, get};

fn tunnel(serial: u64) -> TunnelReport {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let carried = |bytes| Carried {
        messages: serial,
        bytes,
        last_at: at(100),
    };
    TunnelReport {
        id: TunnelId { worker: 0, serial },
        listener: "http".into(),
        rule: "app".into(),
        pool: if serial == 2 { "other" } else { "web" }.into(),
        target: ([10, 0, 0, 4], 8080).into(),
        settings: "plain".into(),
        client: ([192, 0, 2, 9], 40_000).into(),
        host: "app.example".into(),
        path: "/chat".into(),
        subprotocol: (serial == 1).then(|| "mqtt".into()),
        secure: true,
        opened_at: at(10),
        status: TunnelStatus::Open,
        frames: Frames::Tracked,
        ping_round_trip: (serial == 1).then(|| Duration::from_micros(3_210)),
        received: carried(100 * (4 - serial)),
        sent: carried(0),
    }
}

fn with_tunnels() -> Fake {
    Fake {
        tunnels: (1..=3).map(tunnel).collect(),
        ..Fake::default()
    }
}

fn ids(answer: &serde_json::Value) -> Vec<&str> {
    let value = answer["value"].as_array().unwrap().iter();
    value.map(|one| one["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_connection_shows_who_is_connected_to_what_and_what_it_carried() {
    let (_, api) = api(with_tunnels());
    let answer = get(&api, "/v1/connections/0-1").await;
    assert_eq!(answer.status, 200);
    let expected = json!({
        "id": "0-1", "listener": "http", "rule": "app", "pool": "web",
        "target": "10.0.0.4:8080", "settings": "plain", "client": "192.0.2.9:40000",
        "host": "app.example", "path": "/chat", "subprotocol": "mqtt", "secure": true,
        "openedAt": "1970-01-01T00:00:10.000Z", "state": "Open", "frames": "Tracked",
        "pingRoundTripInMs": 3.21,
        "received": { "messages": 1, "bytes": 300, "lastAt": "1970-01-01T00:01:40.000Z" },
        "sent": { "messages": 1, "bytes": 0, "lastAt": "1970-01-01T00:01:40.000Z" },
    });
    assert_eq!(answer.json(), expected);
    let head = ask(&api, "HEAD", "/v1/connections/0-1", &[], "").await;
    assert_eq!((head.status.as_u16(), &*head.text), (200, ""));
    for gone in ["0-4", "1-1", "x", "0-01"] {
        let answer = get(&api, &format!("/v1/connections/{gone}")).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (404, "ConnectionNotFound")
        );
    }
}

#[tokio::test]
async fn a_list_is_filtered_sorted_and_paged() {
    let (_, api) = api(with_tunnels());
    let all = get(&api, "/v1/connections").await.json();
    assert_eq!(ids(&all), ["0-1", "0-2", "0-3"]);
    assert!(all["count"] == 3 && all.get("nextLink").is_none());
    let first = get(&api, "/v1/connections?limit=1&sort=bytes&pool=WEB")
        .await
        .json();
    assert_eq!((ids(&first), &first["count"]), (vec!["0-3"], &json!(2)));
    let next = first["nextLink"].as_str().unwrap();
    assert!(
        next.starts_with("/v1/connections?limit=1&sort=bytes&pool=WEB&cursor="),
        "{next}"
    );
    let second = get(&api, next).await.json();
    assert_eq!((ids(&second), &second["count"]), (vec!["0-1"], &json!(1)));
    assert!(second.get("nextLink").is_none());
}

#[tokio::test]
async fn a_query_that_is_not_understood_says_which_parameter_and_what_would_be_right() {
    let (fake, api) = api(with_tunnels());
    let rows = [
        (
            "GET",
            "/v1/connections?client=10.0.0.0%2F33",
            "client: \"10.0.0.0/33\" is not an address or a network, such as 10.0.0.0/8",
        ),
        (
            "GET",
            "/v1/connections?pol=web",
            "pol: no such parameter; there are: listener, rule, pool, ",
        ),
        (
            "POST",
            "/v1/connections:close",
            "all: say which connections, by a filter such as target=10.0.0.4, or all=true",
        ),
        (
            "POST",
            "/v1/connections:close?limit=1",
            "limit: no such parameter; there are: listener, rule, ",
        ),
        (
            "DELETE",
            "/v1/connections/0-1?code=1006",
            "code: 1006 may not be in a Close frame; 1000 to 1003, 1007 to 1014 and 3000 to 4999 may",
        ),
        (
            "DELETE",
            "/v1/connections/0-1?cod=1000",
            "unknown field `cod`",
        ),
    ];
    for (method, target, expected) in rows {
        let answer = ask(&api, method, target, &[], "").await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (400, "InvalidQuery"),
            "{target}"
        );
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(expected), "{target}: {detail}");
    }
    assert!(fake.orders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn one_connection_is_closed_with_a_code_and_a_reason() {
    let (fake, api) = api(with_tunnels());
    let target = "/v1/connections/0-1?code=4001&reason=moved%20away";
    let answer = ask(&api, "DELETE", target, &[], "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (202, "/v1/drains/1")
    );
    assert_eq!(answer.json()["kind"], "Closed");
    ask(&api, "DELETE", "/v1/connections/0-2", &[], "").await;
    let orders = fake.orders.lock().unwrap().clone();
    assert_eq!(
        orders,
        [
            "close 0-1 Some(4001) Some(\"moved away\") None",
            "close 0-2 None None None"
        ]
    );
    let gone = ask(&api, "DELETE", "/v1/connections/0-9", &[], "").await;
    assert_eq!(
        (gone.status.as_u16(), &*gone.code()),
        (404, "ConnectionNotFound")
    );
}

#[tokio::test]
async fn those_that_match_are_closed_at_a_pace() {
    let (fake, api) = api(with_tunnels());
    let body = r#"{ "code": 1012, "reason": "new region", "perSecond": 50 }"#;
    let target = "/v1/connections:close?pool=web&olderThan=60";
    let answer = ask(&api, "POST", target, &[], body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    ask(&api, "POST", "/v1/connections:close?all=true", &[], "").await;
    let orders = fake.orders.lock().unwrap().clone();
    let paced = "close pool=web&olderThan=60 Some(1012) Some(\"new region\") Some(50)";
    assert_eq!(orders, [paced, "close all None None None"]);
}

#[tokio::test]
async fn a_body_that_cannot_be_obeyed_closes_nothing() {
    let (fake, api) = api(with_tunnels());
    let long = format!(r#"{{ "reason": "{}" }}"#, "x".repeat(124));
    let rows = [
        (
            r#"{ "code": 1005 }"#,
            "code: 1005 may not be in a Close frame",
        ),
        (&*long, "reason: 124 bytes; a Close frame has room for 123"),
        (r#"{ "perSecond": 0 }"#, "nonzero"),
        (r#"{ "persecond": 5 }"#, "unknown field `persecond`"),
        ("nonsense", "expected"),
    ];
    for (body, expected) in rows {
        let answer = ask(&api, "POST", "/v1/connections:close?all=true", &[], body).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (400, "InvalidBody"),
            "{body}"
        );
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(expected), "{body}: {detail}");
    }
    assert!(fake.orders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_target_is_drained_and_resumed() {
    let (fake, api) = api(Fake::default());
    let base = "/v1/backendAddressPools/web/targets";
    let answer = ask(&api, "POST", &format!("{base}/10.0.0.4/drain"), &[], "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (202, "/v1/drains/1")
    );
    let expected = json!({
        "id": "1", "kind": "TargetDrained", "what": "web/10.0.0.4", "state": "Running",
        "startedAt": "1970-01-01T00:00:00.000Z", "deadline": "1970-01-01T00:00:30.000Z",
        "total": 9, "told": 5, "closed": 2, "cut": 1, "kept": 0, "left": 6,
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(get(&api, "/v1/drains/1").await.json(), expected);
    let six = ask(&api, "POST", &format!("{base}/%5B::1%5D:80/drain"), &[], "").await;
    assert_eq!(six.json()["what"], "web/[::1]:80");
    let drains = get(&api, "/v1/drains").await.json();
    assert_eq!(ids(&drains), ["2", "1"], "the newest first");
    let resumed = ask(
        &api,
        "POST",
        &format!("{base}/10.0.0.4:8080/resume"),
        &[],
        "",
    )
    .await;
    assert_eq!((resumed.status.as_u16(), &*resumed.text), (204, ""));
    assert_eq!(*fake.orders.lock().unwrap(), ["resume web/10.0.0.4:8080"]);
}

#[tokio::test]
async fn a_target_that_is_not_there_is_told_with_those_that_are() {
    let (_, api) = api(Fake::default());
    for verb in ["drain", "resume"] {
        let rows = [
            (
                "web",
                "10.0.0.5",
                "pool web has no target \"10.0.0.5\"; it has 10.0.0.4:8080",
            ),
            ("wep", "10.0.0.4", "no pool \"wep\" has targets"),
        ];
        for (pool, target, expected) in rows {
            let path = format!("/v1/backendAddressPools/{pool}/targets/{target}/{verb}");
            let answer = ask(&api, "POST", &path, &[], "").await;
            assert_eq!(
                (answer.status.as_u16(), &*answer.code()),
                (404, "TargetNotFound")
            );
            assert_eq!(answer.json()["detail"], expected);
        }
    }
}

#[tokio::test]
async fn a_drain_is_cancelled_and_goes_on() {
    let (_, api) = api(Fake::default());
    let drain = "/v1/backendAddressPools/web/targets/10.0.0.4/drain";
    ask(&api, "POST", drain, &[], "").await;
    let answer = ask(&api, "DELETE", "/v1/drains/1", &[], "").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["state"]),
        (200, &json!("Cancelled"))
    );
    let answer = ask(&api, "POST", "/v1/drains/1/resume", &[], "").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["state"]),
        (202, &json!("Running"))
    );
    for (method, target) in [
        ("GET", "/v1/drains/7"),
        ("DELETE", "/v1/drains/01"),
        ("POST", "/v1/drains/x/resume"),
    ] {
        let answer = ask(&api, method, target, &[], "").await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (404, "DrainNotFound"),
            "{target}"
        );
    }
}
