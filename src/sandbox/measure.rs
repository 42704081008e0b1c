//! The measured side of a control plane: what pods would export, a Prometheus that scrapes it, and what comes of it.

use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::control_plane::ControlPlane;
use super::error::SandboxError;
use super::exporter::Exporter;
use super::prometheus::Prometheus;
use crate::analyzer::Whole;
use crate::cluster::pods::PodIndex;

/// How often the operator's page is asked for.
const TICK: Duration = Duration::from_secs(1);
/// One answer; the operator is on this machine.
const ANSWER: Duration = Duration::from_secs(2);

/// An exporter of the pods of one namespace and a Prometheus that scrapes it; both end with this.
#[derive(Debug)]
pub struct Scraping {
    /// What pods would export, and their loads.
    pub exporter: Exporter,
    /// What scrapes it.
    pub prometheus: Prometheus,
    _pods: DropGuard,
}

impl Scraping {
    /// Starts both; several of one control plane need several names.
    pub async fn start(
        plane: &ControlPlane,
        client: &Client,
        namespace: &str,
        name: &str,
    ) -> Result<Self, SandboxError> {
        let (pods, end) = (PodIndex::default(), CancellationToken::new());
        tokio::spawn(pods.clone().run(client.clone(), Some(namespace.to_owned()), end.clone()));
        let exporter = Exporter::start(pods).await.map_err(SandboxError::Port)?;
        let prometheus = Prometheus::start(plane, name, exporter.address()).await?;
        Ok(Self { exporter, prometheus, _pods: end.drop_guard() })
    }
}

/// The operator's page `/nfr`, asked for again and again until this is dropped.
#[derive(Debug)]
pub struct Watched {
    pages: watch::Receiver<Whole>,
    _asking: JoinSet<()>,
}

impl Watched {
    /// Asks the operator on a port of this machine.
    pub fn start(port: u16) -> Self {
        let (tell, pages) = watch::channel(Whole::default());
        let mut asking = JoinSet::new();
        asking.spawn(async move {
            // The operator is on this machine, not behind a proxy.
            let Ok(client) = reqwest::Client::builder().no_proxy().timeout(ANSWER).build() else { return };
            let url = format!("http://127.0.0.1:{port}/nfr");
            let mut ticks = interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                // What is not answered is shown as it was.
                let Some(page) = ask(&client, &url).await else { continue };
                tell.send_if_modified(|known| {
                    let news = *known != page;
                    *known = page;
                    news
                });
            }
        });
        Self { pages, _asking: asking }
    }

    /// Waits for another page.
    pub async fn changed(&mut self) {
        if self.pages.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The page as it was last.
    pub fn page(&self) -> Whole {
        self.pages.borrow().clone()
    }
}

async fn ask(client: &reqwest::Client, url: &str) -> Option<Whole> {
    let answer = client.get(url).send().await.ok()?.error_for_status().ok()?;
    serde_json::from_slice(&answer.bytes().await.ok()?).ok()
}
