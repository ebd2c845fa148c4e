//! The keys of a fleet that is being made. Never here: user data, SSH.

use crate::fleet::ledger::FleetFolder;
use crate::fleet::raise::BootKeys;
use crate::key_pair::{self, KeyError};
use crate::state::{self, StateError};

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// ssh-keygen.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The fleet's folder.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The fleet's login key, made when there is none, and a new boot key. `own`: the user logs in with a key of theirs.
pub async fn keys(folder: &FleetFolder, own: bool) -> Result<BootKeys, KeysError> {
    state::make_folder(&folder.0)?;
    let login_public = match (own, folder.login_key()) {
        (true, _) => None,
        (false, file) if file.exists() => Some(key_pair::public(&file)?),
        (false, file) => Some(key_pair::make(&file).await?),
    };
    let (host_private, host_public) = key_pair::fleeting().await?;
    Ok(BootKeys {
        host_private,
        host_public,
        login_public,
    })
}
