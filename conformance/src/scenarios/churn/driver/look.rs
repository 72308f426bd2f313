//! After every operation: the document, a tag that nothing touched, and what a new connection to each
//! port meets.

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;

use super::super::plan::{HOST, SITE};
use super::super::requests::ask_once;
use super::super::resources::{by_name, document};
use super::super::scene::Place;
use super::super::timeline::{Asker, explains};
use super::super::world::{Landing, World};
use super::Driver;

/// How many places are looked at that a change should not concern.
const OTHERS: usize = 3;

impl Driver {
    /// Looks whether all is as the model has it: everywhere, or after a change of `before` where it makes
    /// a difference, at closed ports, and at a few others.
    pub(super) async fn verify(&mut self, before: Option<&World>) -> Result<()> {
        let world = self.scene.settled();
        let (found, revision) = self.stored().await?;
        let expected = by_name(document(&world.resources));
        ensure!(
            found == expected,
            "the document is {found}, and should be {expected}"
        );
        let last = self.scene.revision.get();
        ensure!(
            revision == last,
            "revision {revision} is live, {last} was acknowledged"
        );
        let tags: Vec<_> = self.tags.iter().collect();
        if !tags.is_empty() {
            let ((kind, name), known) = tags[self.random.usize(..tags.len())];
            let tag = self.tag(*kind, name).await?;
            ensure!(
                tag == *known,
                "the tag of {name} was {known} and is {tag}, though nothing changed it"
            );
        }
        let mut places = self.places();
        self.random.shuffle(&mut places);
        let mut others = 0;
        places.retain(|(port, host)| {
            let landing = world.landing(*port, host);
            let differs = before.is_none_or(|before| before.landing(*port, host) != landing);
            if !differs && landing != Landing::Closed {
                others += 1;
            }
            differs || landing == Landing::Closed || others <= OTHERS
        });
        self.look_at(&world, &places).await
    }

    /// Looks only at what a change is about.
    pub(super) async fn look_where_it_differs(&self, before: &World, after: &World) -> Result<()> {
        let mut places = self.places();
        places.retain(|(port, host)| before.landing(*port, host) != after.landing(*port, host));
        self.look_at(after, &places).await
    }

    fn places(&self) -> Vec<(u16, &'static str)> {
        let hosts = [HOST, SITE].into_iter();
        hosts
            .flat_map(|host| self.numbers.iter().map(move |port| (*port, host)))
            .collect()
    }

    async fn look_at(&self, world: &World, places: &[(u16, &'static str)]) -> Result<()> {
        let looks = places
            .iter()
            .map(|(port, host)| self.look(world, *port, host));
        try_join_all(looks).await?;
        Ok(())
    }

    /// The next request on a new connection meets what is live.
    async fn look(&self, world: &World, port: u16, host: &'static str) -> Result<()> {
        let landing = world.landing(port, host);
        let certificate = match &landing {
            // One look at a closed port is enough.
            Landing::Closed if host == SITE => return Ok(()),
            Landing::Closed => None,
            Landing::Open { certificate, .. } => certificate.as_deref(),
        };
        let place = Place {
            port,
            host,
            tls: certificate.is_some(),
            has_targets: false,
            is_anchored: false,
        };
        let asker = Asker {
            tls: place.tls,
            reused: false,
        };
        let (seen, leaf) = ask_once(&self.scene, place).await;
        ensure!(
            explains(&landing, asker, &seen),
            "the change is not live at port {port} for {host}: {seen:?} instead of {landing:?}"
        );
        if let Some(uri) = certificate {
            let expected = self
                .leaves
                .get(uri)
                .context("a certificate that nobody made")?;
            ensure!(
                leaf.as_ref() == Some(expected),
                "port {port} shows another certificate than {uri}"
            );
        }
        Ok(())
    }
}
