//! `oprc-crm run`: the controller.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::live;
use crate::app;
use crate::config::{self, Config};
use crate::{server, telemetry};

/// How long threads that are still at work get to end.
const LEFT_OVER: Duration = Duration::from_secs(1);

/// Arguments of `run`; everything else comes from the environment.
#[derive(clap::Args, Default)]
pub(super) struct Args {
    /// Show every variable with its value and origin, and end.
    #[arg(long)]
    print_config: bool,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let config = match Config::from_environment(&config::process_environment()) {
        Ok(config) => config,
        Err(error) => return fail(&error),
    };
    if args.print_config {
        print!("{}", config::render(&config));
        return ExitCode::SUCCESS;
    }
    if let Err(error) = config.unavailable() {
        return fail(&error);
    }
    if let Err(error) = telemetry::init(&config.log_filter) {
        return fail(&error);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no runtime: {error}")),
    };
    let served = runtime.block_on(serve(config));
    // A thread that waits for a file system which does not answer must not keep the process.
    runtime.shutdown_timeout(LEFT_OVER);
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn serve(config: Config) -> Result<(), String> {
    // The port first: a process without its server is of no use to anyone.
    let listener = server::bind(config.http_port).await.map_err(|error| error.to_string())?;
    let (client, _) = live::connect().await?;
    let shutdown = CancellationToken::new();
    on_signal(shutdown.clone())?;
    app::run(config, client, listener, shutdown).await.map_err(|error| error.to_string())
}

/// SIGTERM and Ctrl-C begin the drain.
fn on_signal(shutdown: CancellationToken) -> Result<(), String> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| format!("no SIGTERM handler: {error}"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| format!("no SIGINT handler: {error}"))?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
            _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
        }
        shutdown.cancel();
    });
    Ok(())
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    crate::cli::complain(format_args!("oprc-crm run: {error}"));
    ExitCode::from(2)
}
