//! The running sandbox: what stands above the table, the table, and what is said at the end.

use std::path::Path;

use kube::Client;
use tokio::signal::unix::SignalKind;
use tokio::time::{Instant, sleep_until};

use super::{Args, Failure, LOG_LINES, listen, seconds};
use crate::sandbox::binaries::kubernetes_version;
use crate::sandbox::board::Board;
use crate::sandbox::crm::{Crm, NAMESPACE, PROFILE};
use crate::sandbox::measure::Watched;
use crate::sandbox::show::{Laps, Row, Screen, Sizing, Style, Tone, sizings};
use crate::sandbox::{ControlPlane, samples};

/// A call to try out; the shorter of the service's two names.
const STATUS: &str = "deployment.DeploymentService/GetDeploymentStatus";

/// What stands above the table.
pub(super) fn head(args: &Args, plane: &ControlPlane, crm: &Crm, manifests: &Path, style: Style) -> Vec<String> {
    let nodes = if args.nodes == 1 { "node" } else { "nodes" };
    let version = kubernetes_version();
    let about = format!("Kubernetes {version}, {} {nodes}, profile {PROFILE}, namespace {NAMESPACE}", args.nodes);
    let title = format!("{}  {}", style.paint(Tone::Strong, "oprc-crm sandbox"), style.paint(Tone::Quiet, &about));
    let mut lines = vec![String::new(), format!("  {title}"), String::new()];
    if args.once {
        return lines;
    }
    let port = crm.port();
    let commands = [
        format!("export KUBECONFIG={}", plane.admin_kubeconfig().display()),
        "kubectl get dr".to_owned(),
        "kubectl describe dr elastic".to_owned(),
        format!("kubectl apply -f {}", manifests.join("odgm.yaml").display()),
        format!("grpcurl -plaintext -d '{{\"deployment_id\":\"carts\"}}' localhost:{port} {STATUS}"),
    ];
    lines.push(style.paint(Tone::Quiet, "  In another terminal:"));
    lines.extend(commands.iter().map(|command| format!("    {command}")));
    lines.push(style.paint(Tone::Quiet, &format!("  Pages: http://localhost:{port}/nfr, /policy and /metrics")));
    lines.push(style.paint(Tone::Quiet, &format!("  Logs: {}", plane.dir().join("logs").display())));
    lines.push(String::new());
    lines
}

/// Deploys the samples and shows all classes; with `--once` until every sample is Available and the one
/// that follows its load has a recommendation.
pub(super) async fn live(
    args: &Args,
    client: &Client,
    crm: &Crm,
    screen: &mut Screen,
    laps: &mut Laps,
) -> Result<(), Failure> {
    let mut board = Board::watch(client, NAMESPACE);
    let mut nfr = Watched::start(crm.port());
    let mut resized = listen(SignalKind::window_change())?;
    let deploying = samples::deploy(client, crm.port());
    tokio::pin!(deploying);
    let (mut stage, mut recommended) = (Stage::Deploying, false);
    let mut deadline = Instant::now();
    loop {
        let rows = board.rows();
        let missing = missing(&rows);
        if matches!(stage, Stage::Deployed(_)) && missing.is_empty() {
            laps.lap("samples Available");
            stage = Stage::Available(laps.total());
        }
        let sizings = sizings(&nfr.page());
        if matches!(stage, Stage::Available(_)) && !recommended && is_recommended(&rows, &sizings) {
            laps.lap("recommendation");
            recommended = true;
        }
        screen.show(&rows, &sizings, &stage.tells(args, &rows));
        match &stage {
            Stage::Available(_) if args.once && recommended => {
                screen.end(&[vec![String::new()], laps.lines()].concat());
                return Ok(());
            }
            Stage::Available(_) if args.once && Instant::now() >= deadline => {
                screen.end(&[]);
                return Err(Failure::NotAvailable(unmeasured(args, &rows, crm)));
            }
            Stage::Deployed(refused) if args.once && (!refused.is_empty() || Instant::now() >= deadline) => {
                screen.end(&[]);
                return Err(Failure::NotAvailable(reason(args, &missing, refused, crm)));
            }
            _ => {}
        }
        tokio::select! {
            refused = &mut deploying, if matches!(stage, Stage::Deploying) => {
                laps.lap("samples deployed");
                stage = Stage::Deployed(refused.iter().map(ToString::to_string).collect());
                deadline = Instant::now() + seconds(args);
            }
            () = board.changed() => {}
            () = nfr.changed() => {}
            _ = resized.recv() => {}
            () = sleep_until(deadline), if args.once && !matches!(stage, Stage::Deploying) => {}
        }
    }
}

enum Stage {
    Deploying,
    /// What was refused.
    Deployed(Vec<String>),
    /// After how long.
    Available(std::time::Duration),
}

impl Stage {
    /// The line below the table.
    fn tells(&self, args: &Args, rows: &[Row]) -> String {
        let (available, all) = (rows.iter().filter(|row| row.is_available()).count(), rows.len());
        match self {
            Self::Deploying => "deploying the samples".to_owned(),
            Self::Deployed(refused) if !refused.is_empty() => refused.join("; "),
            Self::Available(after) if !args.once => format!(
                "{available} of {all} classes Available, the samples within {:.1} s of the start. Ctrl-C ends everything.",
                after.as_secs_f64()
            ),
            Self::Deployed(_) | Self::Available(_) => format!("{available} of {all} classes Available"),
        }
    }
}

/// Whether the class that follows its load has a recommendation: in its status, and to be shown.
fn is_recommended(rows: &[Row], sizings: &[Sizing]) -> bool {
    let stands = rows.iter().any(|row| row.class == samples::ENFORCED && row.recommended);
    stands && sizings.iter().any(|one| one.class() == samples::ENFORCED && one.is_recommended())
}

/// The samples that are not Available, with what is known of each.
fn missing(rows: &[Row]) -> Vec<String> {
    let state = |name: &String| match rows.iter().find(|row| row.class == *name) {
        Some(row) if row.is_available() => None,
        Some(row) => Some(format!("{name}: {}: {}", row.phase_name(), row.message)),
        None => Some(format!("{name}: there is no record")),
    };
    samples::names().iter().filter_map(state).collect()
}

/// Why nothing is recommended, as far as is known.
fn unmeasured(args: &Args, rows: &[Row], crm: &Crm) -> String {
    let said = rows.iter().filter_map(|row| row.unmeasured.as_ref().map(|why| format!("{}: {why}", row.class)));
    let said: Vec<String> = said.collect();
    let why = if said.is_empty() { "no class says why".to_owned() } else { said.join("\n  ") };
    let log = crm.log_tail(LOG_LINES).replace('\n', "\n  ");
    format!(
        "nothing is recommended for {} {} s after the samples were deployed:\n  {why}\nthe last lines of the operator's log:\n  {log}",
        samples::ENFORCED,
        args.timeout
    )
}

fn reason(args: &Args, missing: &[String], refused: &[String], crm: &Crm) -> String {
    let head = if refused.is_empty() {
        let (missing, all) = (missing.len(), samples::names().len());
        format!("{missing} of {all} samples are not Available {} s after they were deployed:", args.timeout)
    } else {
        "samples could not be deployed:".to_owned()
    };
    let list = if refused.is_empty() { missing } else { refused };
    let list = list.join("\n  ");
    let log = crm.log_tail(LOG_LINES).replace('\n', "\n  ");
    format!("{head}\n  {list}\nthe last lines of the operator's log:\n  {log}")
}
