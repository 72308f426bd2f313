//! Showing tunnels: what is asked for is copied out in slices, and the tunnels notice nothing.

use std::rc::Rc;
use std::time::Instant;

use gateway_core::tunnels::{ListQuery, Page, TunnelId, TunnelReport};

use super::super::state::TunnelState;
use super::TunnelSet;
use super::ending::Standing;

impl TunnelSet {
    /// This worker's part of a page.
    pub(crate) async fn list(&self, query: &ListQuery) -> Page<TunnelReport> {
        let now = Instant::now();
        let mut page = Page::new(query.sort, query.limit, query.after);
        self.walk(|_, entry| {
            let facts = entry.tunnel.facts(now);
            if query.filter.matches(&facts) {
                page.offer(query.sort.place(&facts), || {
                    let drains = matches!(entry.standing, Standing::Draining(..));
                    (Rc::clone(&entry.tunnel), drains)
                });
            }
        })
        .await;
        page.map(|(tunnel, drains): (Rc<TunnelState>, bool)| tunnel.report(drains))
    }

    /// One tunnel, if it is open.
    pub(crate) async fn find(&self, id: TunnelId) -> Option<TunnelReport> {
        let mut found = None;
        self.walk(|_, entry| {
            if entry.tunnel.id == id {
                let drains = matches!(entry.standing, Standing::Draining(..));
                found = Some(entry.tunnel.report(drains));
            }
        })
        .await;
        found
    }
}
