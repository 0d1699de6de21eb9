//! `syncline connect`: a person grants access to a connection.

use crate::app::App;
use crate::error::{Error, Exit};
use std::time::Duration;
use syncline_adapters::manifest::Connecting;

/// Gets access to a connection that a person has to grant: prints an address to open in a browser on this machine, and
/// keeps the tokens that come of it beside the store, where their owner alone can read them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The connection
    name: String,
    /// How long to wait for the person, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
}

/// Runs the command.
///
/// # Errors
///
/// When there is no such connection, it takes no authorization, or access is not granted.
pub async fn run(args: Args, app: &App) -> Result<Exit, Error> {
    let sync = app.open(None).await?;
    let world = sync.world();
    let Some(connection) = world.config.connections.get(&args.name) else {
        let known: Vec<&str> = world.config.connections.keys().map(String::as_str).collect();
        return Err(Error::usage(
            format!("there is no connection `{}`", args.name),
            format!("there are {}", known.join(", ")),
        ));
    };
    let connecting = Connecting::begin(connection, &world.base, &args.name, &world.shared);
    let connecting = connecting.await.map_err(Error::Adapter)?;
    app.out.line("open this address in a browser on this machine, and grant access:")?;
    app.out.line(connecting.address())?;
    let limit = Duration::from_secs(args.timeout);
    match tokio::time::timeout(limit, connecting.finish()).await {
        Ok(finished) => finished.map_err(Error::Adapter)?,
        Err(_) => {
            return Err(Error::usage(
                format!("nobody granted access within {} seconds", args.timeout),
                "run it again, and open the address it prints",
            ));
        }
    }
    app.out.line(format!("`{}` is connected; its tokens are kept beside the store", args.name))?;
    Ok(Exit::Success)
}
