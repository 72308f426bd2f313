//! `GET /v1/backendHealth`.

use std::time::{Duration, UNIX_EPOCH};

use gateway_admin::{HealthReport, MemberHealth};
use gateway_core::health::Health;
use serde_json::json;

use crate::fake::{Fake, api, get};

fn member(host: &str, health: Health) -> MemberHealth {
    MemberHealth {
        host: host.to_owned(),
        address: None,
        health,
        forced: false,
        draining: false,
        reason: "not probed yet".to_owned(),
        since: None,
        last_probe: None,
        next_probe_at: None,
        load: 0,
    }
}

#[tokio::test]
async fn every_member_has_its_health_and_why() {
    let at = |millis| UNIX_EPOCH + Duration::from_millis(millis);
    let report = |pool: &str, settings: &str, members| HealthReport {
        pool: pool.to_owned(),
        settings: settings.to_owned(),
        members,
    };
    let down = MemberHealth {
        address: Some("10.0.0.4:8080".parse().unwrap()),
        forced: true,
        reason: "expected status 200-399, got 503".to_owned(),
        since: Some(at(1_769_828_645_678)),
        last_probe: Some((at(1_769_828_650_000), Duration::from_micros(3_250))),
        next_probe_at: Some(at(1_769_828_655_000)),
        load: 7,
        ..member("10.0.0.4", Health::Down)
    };
    let health = vec![
        report(
            "web",
            "plain",
            vec![down, member("none.example", Health::Unknown)],
        ),
        report("api", "plain", vec![member("::1", Health::Up)]),
        report("web", "tls", vec![]),
    ];
    let (_, api) = api(Fake {
        health,
        ..Fake::default()
    });
    let expected = json!({ "backendAddressPools": [
        {
            "backendAddressPool": { "id": "backendAddressPools/web" },
            "backendHttpSettingsCollection": [
                {
                    "backendHttpSettings": { "id": "backendHttpSettingsCollection/plain" },
                    "servers": [
                        {
                            "address": "10.0.0.4",
                            "endpoint": "10.0.0.4:8080",
                            "health": "Down",
                            "healthProbeLog": "expected status 200-399, got 503",
                            "since": "2026-01-31T03:04:05.678Z",
                            "lastProbe": {
                                "startedAt": "2026-01-31T03:04:10.000Z",
                                "durationInMs": 3.25
                            },
                            "nextProbeAt": "2026-01-31T03:04:15.000Z",
                            "forced": true,
                            "load": 7
                        },
                        {
                            "address": "none.example",
                            "health": "Unknown",
                            "healthProbeLog": "not probed yet",
                            "forced": false,
                            "load": 0
                        }
                    ]
                },
                {
                    "backendHttpSettings": { "id": "backendHttpSettingsCollection/tls" },
                    "servers": []
                }
            ]
        },
        {
            "backendAddressPool": { "id": "backendAddressPools/api" },
            "backendHttpSettingsCollection": [
                {
                    "backendHttpSettings": { "id": "backendHttpSettingsCollection/plain" },
                    "servers": [
                        {
                            "address": "::1",
                            "health": "Up",
                            "healthProbeLog": "not probed yet",
                            "forced": false,
                            "load": 0
                        }
                    ]
                }
            ]
        }
    ] });
    assert_eq!(get(&api, "/v1/backendHealth").await.json(), expected);
}

#[tokio::test]
async fn a_member_that_an_operator_drains_is_draining_whatever_its_probes_say() {
    let members = [Health::Up, Health::Down, Health::Unknown].map(|health| MemberHealth {
        draining: true,
        ..member("10.0.0.4", health)
    });
    let (_, api) = api(Fake {
        health: vec![HealthReport {
            pool: "web".to_owned(),
            settings: "plain".to_owned(),
            members: members.into(),
        }],
        ..Fake::default()
    });
    let answer = get(&api, "/v1/backendHealth").await;
    let draining = answer.text.matches(r#""health": "Draining""#).count();
    assert_eq!(draining, 3, "{}", answer.text);
}

#[tokio::test]
async fn times_before_1970_do_not_take_the_page_down() {
    let early = MemberHealth {
        since: Some(UNIX_EPOCH - Duration::from_secs(1)),
        ..member("10.0.0.4", Health::Up)
    };
    let (_, api) = api(Fake {
        health: vec![HealthReport {
            pool: "web".to_owned(),
            settings: "plain".to_owned(),
            members: vec![early],
        }],
        ..Fake::default()
    });
    let answer = get(&api, "/v1/backendHealth").await;
    assert!(
        answer.text.contains("1970-01-01T00:00:00.000Z"),
        "{}",
        answer.text
    );
}
