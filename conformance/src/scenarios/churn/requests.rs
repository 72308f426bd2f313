//! Clients that ask by HTTP, on new connections and on ones that are kept, and judge every answer.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use fastrand::Rng;
use tokio::time::{sleep, timeout};

use super::connect::connect;
use super::scene::{Place, Scene};
use super::timeline::{Mark, Seen};
use crate::harness::wire::{Answer, Wire};

/// Nothing here takes so long, however busy the machine is.
const FOREVER: Duration = Duration::from_secs(30);
/// Between two requests, half as long at least and three halves at most: a load, not a flood.
const REST: Duration = Duration::from_millis(50);

/// What is asked for: quick and slow answers, short and long ones.
const PATHS: [&str; 6] = [
    "/",
    "/fast",
    "/fast",
    "/slow/300",
    "/slow/900",
    "/bytes/30000",
];

/// Asks until the end, up to `most` requests on one connection.
pub(super) async fn keep_asking(scene: Rc<Scene>, most: u32, mut random: Rng) {
    while !scene.is_ending.get() {
        let places = if scene.is_down() {
            Vec::new()
        } else {
            scene.places()
        };
        if let Some(place) = random.choice(places) {
            ask_on_one(&scene, place, most, &mut random).await;
        }
        sleep(REST.mul_f64(0.5 + random.f64())).await;
    }
}

/// A connection, and requests on it.
async fn ask_on_one(scene: &Scene, place: Place, most: u32, random: &mut Rng) {
    let opened = scene.mark();
    let tls = place.tls.then_some(&scene.client);
    let mut wire = match timeout(FOREVER, connect(place.port, tls)).await {
        Ok(Ok(connection)) => Wire::over(connection.io),
        Ok(Err(error)) => {
            let seen = Seen::Nothing(format!("{error:#}"));
            return scene.judge(place, false, [opened, opened], None, &seen);
        }
        Err(_) => {
            return scene.fault(format!(
                "no connection to port {} within {FOREVER:?}",
                place.port
            ));
        }
    };
    for number in 0..random.u32(1..=most) {
        let begun = if number == 0 { opened } else { scene.mark() };
        let path = PATHS[random.usize(..PATHS.len())];
        let (written, answer) = ask(scene, &mut wire, place, path).await;
        let goes_on = match &answer {
            Ok(Some(answer)) => !answer.values("connection").contains(&"close"),
            _ => false,
        };
        scene.judge(
            place,
            number > 0,
            [opened, begun],
            written,
            &seen(scene, answer),
        );
        scene.counts.requests.set(scene.counts.requests.get() + 1);
        if !goes_on || scene.is_ending.get() {
            return;
        }
        sleep(REST.mul_f64(0.5 + random.f64())).await;
    }
}

/// One request; when it was sent as a whole, if it was, and its answer.
async fn ask(
    scene: &Scene,
    wire: &mut Wire,
    place: Place,
    path: &str,
) -> (Option<Mark>, Result<Option<Answer>>) {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", place.host);
    let written = match wire.send(head.as_bytes()).await {
        Ok(()) => Some(scene.mark()),
        // It may have been answered all the same.
        Err(_) => None,
    };
    let answer = timeout(FOREVER, wire.answer_within(false, FOREVER)).await;
    (
        written,
        answer.unwrap_or_else(|_| Err(anyhow!("no answer within {FOREVER:?}"))),
    )
}

fn seen(scene: &Scene, answer: Result<Option<Answer>>) -> Seen {
    match answer {
        Ok(Some(Answer {
            broken: Some(why), ..
        })) => Seen::Broken(why),
        Ok(Some(answer)) => {
            let said = |name| answer.values(name).first().copied();
            let backend = scene.backend(said("x-backend"), said("x-backend-port"));
            Seen::Answer(answer.status, backend)
        }
        Ok(None) => Seen::Nothing("the end of TCP".to_owned()),
        Err(error) => Seen::Broken(format!("{error:#}")),
    }
}

/// One request on a connection of its own, for the driver: what came, and the certificate.
pub(super) async fn ask_once(scene: &Scene, place: Place) -> (Seen, Option<Vec<u8>>) {
    let tls = place.tls.then_some(&scene.stranger);
    let connection = match timeout(FOREVER, connect(place.port, tls)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return (Seen::Nothing(format!("{error:#}")), None),
        Err(_) => return (Seen::Broken("no connection".to_owned()), None),
    };
    let mut wire = Wire::over(connection.io);
    let (_, answer) = ask(scene, &mut wire, place, "/fast").await;
    (seen(scene, answer), connection.leaf)
}
