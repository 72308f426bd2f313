//! A pool is evened out by request.

use crate::fake::{Fake, api, ask};

fn path(pool: &str) -> String {
    format!("/v1/backendAddressPools/{pool}/rebalance")
}

#[tokio::test]
async fn a_pool_is_evened_out_with_and_without_a_rate() {
    let (fake, api) = api(Fake::default());
    for body in ["", r#"{ "tunnelsPerSecond": 50 }"#] {
        let answer = ask(&api, "POST", &path("web"), &[], body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let drain = &answer.json()["value"][0];
        assert_eq!(drain["kind"], "Rebalance");
        assert_eq!((&drain["total"], &drain["left"]), (&9.into(), &6.into()));
    }
    let orders = fake.orders.lock().unwrap().clone();
    assert_eq!(orders, ["rebalance web None", "rebalance web Some(50)"]);
    let even = ask(&api, "POST", &path("even"), &[], "").await;
    assert_eq!(even.json(), serde_json::json!({"value": []}));
}

#[tokio::test]
async fn what_cannot_be_evened_out_is_refused_with_the_reason() {
    let (_, api) = api(Fake::default());
    let rows = [
        (
            "wep",
            "",
            404,
            "PoolNotFound",
            "no rule leads to a pool \"wep\"",
        ),
        ("hashed", "", 409, "PoolByClientAddress", "IpHash"),
        (
            "web",
            r#"{"tunnelsPerSecond": 0}"#,
            400,
            "InvalidBody",
            "nonzero",
        ),
        (
            "web",
            r#"{"perSecond": 1}"#,
            400,
            "InvalidBody",
            "unknown field",
        ),
    ];
    for (pool, body, status, code, detail) in rows {
        let answer = ask(&api, "POST", &path(pool), &[], body).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (status, code));
        let told = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(told.contains(detail), "{told}");
    }
}
