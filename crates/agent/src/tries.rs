//! Tries that run side by side.

use tokio::task::JoinSet;

/// Waits for all tries and puts them into the order of their keys.
///
/// # Errors
/// The reason of the first try, in that order, that the agent could not make.
///
/// # Panics
/// When a try did: the probe to which it belongs ends, and no other.
pub(crate) async fn in_order<K, T>(
    mut running: JoinSet<(K, Result<T, String>)>,
) -> Result<Vec<T>, String>
where
    K: Copy + Ord + 'static,
    T: 'static,
{
    let mut ended = Vec::with_capacity(running.len());
    while let Some(joined) = running.join_next().await {
        match joined {
            Ok(keyed) => ended.push(keyed),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => return Err(format!("a try was cancelled: {error}")),
        }
    }
    ended.sort_by_key(|(key, _)| *key);
    ended.into_iter().map(|(_, ended)| ended).collect()
}
