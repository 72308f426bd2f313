//! One request's account: who, where to, how long, how it ended. Closed in `Drop`, since a client that
//! leaves drops everything that was under way.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use gateway_core::snapshot::{Backend, Route, Target};
use http::{Request, StatusCode, Version};
use hyper::body::Incoming;

use crate::access_log::{RequestRecord, RouteLabels};
use crate::body::Upload;
use crate::client_connection::Context;
use crate::error::ProxyError;
use crate::forwarded_headers::TraceId;
use crate::in_flight::Flight;
use crate::view::View;

/// A request under way.
pub(crate) struct Exchange {
    context: Rc<Context>,
    view: Rc<View>,
    started: Instant,
    trace_id: TraceId,
    speaks_1_0: bool,
    route: Option<usize>,
    /// The backend's place in the snapshot, and the target's in it: an `Arc` of the target would be
    /// counted on a cache line that all workers share.
    target: Option<(usize, usize)>,
    flight: Option<usize>,
    upload: Option<Rc<Upload>>,
    status: Option<StatusCode>,
    error: Option<(&'static str, crate::error::Side)>,
    /// It asks for a WebSocket, and has not got one.
    attempts_tunnel: bool,
    sent: u64,
    complete: bool,
    record: Option<Box<RequestRecord>>,
}

impl Exchange {
    /// A head has come.
    pub(crate) fn begin(context: &Rc<Context>, request: &Request<Incoming>) -> Self {
        context.interim.clear();
        context.watch.request_begins();
        let trace_id = TraceId::random();
        let record = context.worker.access_log().then(|| {
            Box::new(RequestRecord::begin(
                context.client,
                context.secure,
                request,
            ))
        });
        Self {
            context: Rc::clone(context),
            view: context.view(),
            started: Instant::now(),
            trace_id,
            speaks_1_0: request.version() == Version::HTTP_10,
            route: None,
            target: None,
            flight: None,
            upload: None,
            status: None,
            error: None,
            attempts_tunnel: false,
            sent: 0,
            complete: false,
            record,
        }
    }

    /// The generation that holds for the whole request.
    pub(crate) fn view(&self) -> &Rc<View> {
        &self.view
    }

    /// When its head had come.
    pub(crate) fn began(&self) -> Instant {
        self.started
    }

    pub(crate) fn trace_id(&self) -> &TraceId {
        &self.trace_id
    }

    /// The names of its route.
    pub(crate) fn labels(&self) -> Option<Arc<RouteLabels>> {
        self.route.map(|route| self.view.labels(route))
    }

    pub(crate) fn routed(&mut self, route: &Route) {
        self.route = Some(route.index);
    }

    /// It is a WebSocket handshake.
    pub(crate) fn attempts_tunnel(&mut self) {
        self.attempts_tunnel = true;
    }

    /// A handshake did not become a tunnel: the gateway failed it, or the backend answered with
    /// another status.
    fn handshake_failed(&mut self, error: Option<&ProxyError>) {
        if let (true, Some(route)) = (std::mem::take(&mut self.attempts_tunnel), self.route) {
            let counts = self.view.tunnels(route).of(self.context.worker.index);
            counts.handshake_failed(error);
        }
    }

    pub(crate) fn uploads(&mut self, upload: &Rc<Upload>) {
        self.upload = Some(Rc::clone(upload));
    }

    /// A target is asked; the one before it is not any more.
    pub(crate) fn chose(&mut self, backend: &Backend, target: &Arc<Target>) {
        self.release_target();
        let targets = backend.targets.iter();
        let place = targets
            .enumerate()
            .find(|(_, known)| Arc::ptr_eq(known, target));
        self.target = place.map(|(place, _)| (backend.index, place));
        target.load.of(self.context.worker.index).request_started();
        self.take_off(backend, target);
    }

    /// Lets the request be found when its listener or target goes, which may have happened already.
    fn take_off(&mut self, backend: &Backend, target: &Target) {
        let Some(route) = self.route else { return };
        let worker = &self.context.worker;
        let flight = Flight {
            context: Rc::clone(&self.context),
            listener: self.view.snapshot.routes[route].listener_id,
            target: target.id,
            drain_timeout: backend.settings.drain_timeout,
        };
        let live = worker.view();
        if !Rc::ptr_eq(&live, &self.view) {
            flight.judge(&live.snapshot, Instant::now());
        }
        self.flight = Some(worker.in_flight.insert(flight));
    }

    fn target(&self) -> Option<&Target> {
        let (backend, target) = self.target?;
        Some(&self.view.snapshot.backends[backend].targets[target])
    }

    pub(crate) fn retried(&mut self) {
        self.context.worker.metrics().retries.add(1);
    }

    /// The head of an answer has come.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
        if status == StatusCode::SWITCHING_PROTOCOLS {
            self.attempts_tunnel = false;
        } else {
            self.handshake_failed(None);
        }
    }

    /// The gateway answers by itself.
    pub(crate) fn failed(&mut self, error: &ProxyError) {
        self.handshake_failed(Some(error));
        self.status = Some(error.status());
        self.error = Some((error.error_info(), error.side()));
        self.complete = true;
    }

    /// Body went on to the client.
    pub(crate) fn count_sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// The answer ended too early.
    pub(crate) fn truncated(&mut self) {
        self.error = Some((
            "ERRORINFO_UPSTREAM_CLOSED_CONNECTION",
            crate::error::Side::Backend,
        ));
        if self.speaks_1_0 {
            self.context.reset_at_end();
        }
    }

    /// The answer ended as it should.
    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }

    fn release_target(&mut self) {
        if let Some(target) = self.target() {
            target.load.of(self.context.worker.index).request_ended();
        }
        self.target = None;
        if let Some(flight) = self.flight.take() {
            self.context.worker.in_flight.remove(flight);
            self.context.cut_never();
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let target = self.target().map(|target| target.address);
        self.release_target();
        self.context.watch.request_ends();
        let broke_off = self.context.breaks_off();
        let broke_off = broke_off.unwrap_or(ProxyError::ClientGone);
        self.handshake_failed(Some(&broke_off));
        if !self.complete && self.error.is_none() {
            self.error = Some((broke_off.error_info(), broke_off.side()));
        }
        // A status that is known was sent already.
        let status = self.status.unwrap_or_else(|| broke_off.status());
        let took = self.started.elapsed();
        let metrics = self.context.worker.metrics();
        if let Some((_, side)) = self.error {
            metrics.failed(side);
        }
        if let Some(route) = self.route {
            self.view.requests(route).observe(status, took);
        }
        if let Some(mut record) = self.record.take() {
            record.end(crate::access_log::RequestEnd {
                trace_id: self.trace_id,
                status,
                took,
                sent: self.sent,
                received: self.upload.as_ref().map_or(0, |upload| upload.bytes.get()),
                target,
                route: self.labels(),
                error_info: self.error.map_or("ERRORINFO_NO_ERROR", |(info, _)| info),
            });
            self.context.worker.log(record);
        }
    }
}
