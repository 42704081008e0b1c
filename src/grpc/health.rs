//! `oaas.health.HealthService` and `grpc.health.v1.Health`: both follow the process's readiness.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _, stream};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::server::{Readiness, Watcher};

use super::call::{Deadline, deadline_exceeded};
use super::pb::grpc::health::v1 as standard;
use super::pb::oaas::health as own;

/// Health of the process and of each service that it serves.
#[derive(Clone)]
pub(super) struct HealthState {
    readiness: Readiness,
    services: Arc<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serving {
    Yes,
    No,
    NoSuchService,
}

type Changes<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl HealthState {
    /// Health of `services` (full names) and, under the empty name, of the process.
    pub(super) fn new(readiness: Readiness, services: Vec<String>) -> Self {
        Self { readiness, services: Arc::new(services) }
    }

    fn of(&self, service: &str) -> Serving {
        if !service.is_empty() && !self.services.iter().any(|known| known == service) {
            return Serving::NoSuchService;
        }
        if self.readiness.check().is_ok() { Serving::Yes } else { Serving::No }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once("").chain(self.services.iter().map(String::as_str))
    }

    /// The present state, then every change; ends when the process drains, or at the caller's deadline.
    fn watch<T: Send + 'static>(
        &self,
        service: String,
        deadline: Deadline,
        answer: impl Fn(Serving) -> T + Send + 'static,
    ) -> Changes<T> {
        let watch = Watch {
            changes: self.readiness.watch(),
            state: self.clone(),
            service,
            deadline,
            started: Instant::now(),
            last: None,
            over: false,
        };
        Box::pin(stream::unfold(watch, Watch::step).map(move |serving| serving.map(&answer)))
    }
}

/// One open Watch.
struct Watch {
    state: HealthState,
    changes: Watcher,
    service: String,
    deadline: Deadline,
    started: Instant,
    last: Option<Serving>,
    over: bool,
}

impl Watch {
    async fn step(mut self) -> Option<(Result<Serving, Status>, Self)> {
        if self.over {
            return None;
        }
        let next = match self.deadline.0 {
            Some(at) => tokio::time::timeout_at(at, self.next()).await,
            None => Ok(self.next().await),
        };
        if let Ok(serving) = next {
            let serving = serving?;
            self.last = Some(serving);
            return Some((Ok(serving), self));
        }
        self.over = true;
        Some((Err(deadline_exceeded(self.started.elapsed())), self))
    }

    async fn next(&mut self) -> Option<Serving> {
        loop {
            let now = self.state.of(&self.service);
            if self.last != Some(now) {
                return Some(now);
            }
            if self.state.readiness.is_draining() {
                return None;
            }
            self.changes.changed().await;
        }
    }
}

fn deadline_of<T>(request: &Request<T>) -> Deadline {
    request.extensions().get::<Deadline>().copied().unwrap_or(Deadline(None))
}

fn own_answer(serving: Serving) -> own::HealthCheckResponse {
    use own::health_check_response::ServingStatus;
    let status = match serving {
        Serving::Yes => ServingStatus::Serving,
        Serving::No => ServingStatus::NotServing,
        Serving::NoSuchService => ServingStatus::ServiceUnknown,
    };
    own::HealthCheckResponse { status: status.into() }
}

fn standard_answer(serving: Serving) -> standard::HealthCheckResponse {
    use standard::health_check_response::ServingStatus;
    let status = match serving {
        Serving::Yes => ServingStatus::Serving,
        Serving::No => ServingStatus::NotServing,
        Serving::NoSuchService => ServingStatus::ServiceUnknown,
    };
    standard::HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl own::health_service_server::HealthService for HealthState {
    type WatchStream = Changes<own::HealthCheckResponse>;

    async fn check(
        &self,
        request: Request<own::HealthCheckRequest>,
    ) -> Result<Response<own::HealthCheckResponse>, Status> {
        Ok(Response::new(own_answer(self.of(&request.into_inner().service))))
    }

    async fn watch(&self, request: Request<own::HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let deadline = deadline_of(&request);
        Ok(Response::new(Self::watch(self, request.into_inner().service, deadline, own_answer)))
    }
}

#[tonic::async_trait]
impl standard::health_server::Health for HealthState {
    type WatchStream = Changes<standard::HealthCheckResponse>;

    async fn check(
        &self,
        request: Request<standard::HealthCheckRequest>,
    ) -> Result<Response<standard::HealthCheckResponse>, Status> {
        match self.of(&request.into_inner().service) {
            // The protocol wants the code here and the enum's value in Watch.
            Serving::NoSuchService => Err(Status::not_found("there is no such service")),
            serving => Ok(Response::new(standard_answer(serving))),
        }
    }

    async fn watch(
        &self,
        request: Request<standard::HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let deadline = deadline_of(&request);
        Ok(Response::new(Self::watch(self, request.into_inner().service, deadline, standard_answer)))
    }

    async fn list(
        &self,
        _: Request<standard::HealthListRequest>,
    ) -> Result<Response<standard::HealthListResponse>, Status> {
        let statuses = self.names().map(|name| (name.to_owned(), standard_answer(self.of(name)))).collect();
        Ok(Response::new(standard::HealthListResponse { statuses }))
    }
}
