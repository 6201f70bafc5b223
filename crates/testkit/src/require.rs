//! What a test needs and may not have.

/// Decides what a test does that lacks a capability: nothing, with a printed reason, or fail.
///
/// Returns the value when there is one. Without it the reason is printed and the test should
/// return; but where the environment variable `EKSNET_REQUIRE` (names, separated by commas)
/// promises the capability, its lack is a failure.
///
/// ```
/// use eksnet_testkit::require;
///
/// let found: Result<u8, String> = Err("it is not installed".to_owned());
/// let Some(thing) = require("thing", found) else { return };
/// # let _: u8 = thing;
/// ```
///
/// # Panics
/// When the capability is absent although it was promised.
pub fn require<T>(capability: &str, found: Result<T, String>) -> Option<T> {
    let why = match found {
        Ok(thing) => return Some(thing),
        Err(why) => why,
    };
    assert!(
        !is_promised(
            capability,
            &std::env::var("EKSNET_REQUIRE").unwrap_or_default()
        ),
        "EKSNET_REQUIRE promises {capability}, but {why}"
    );
    println!("skipped: needs {capability}, but {why}");
    None
}

/// Whether this process may make network namespaces: root, with the `ip` and `nft` programs.
///
/// # Errors
/// What is missing.
pub fn netns() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("the tests do not run as root".to_owned());
    }
    for (program, ask) in [("ip", "-V"), ("nft", "-v")] {
        program_runs(program, &[ask])?;
    }
    let name = format!("eksnet-{}", std::process::id());
    program_runs("ip", &["netns", "add", &name])?;
    program_runs("ip", &["netns", "del", &name])
}

/// Whether `kubectl` is installed.
///
/// # Errors
/// What is missing.
pub fn kubectl() -> Result<(), String> {
    program_runs("kubectl", &["version", "--client"])
}

fn program_runs(program: &str, arguments: &[&str]) -> Result<(), String> {
    let said = format!("`{program} {}`", arguments.join(" "));
    match std::process::Command::new(program).args(arguments).output() {
        Err(error) => Err(format!("{said} did not run: {error}")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "{said} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

fn is_promised(capability: &str, promised: &str) -> bool {
    promised.split(',').any(|each| each.trim() == capability)
}

#[cfg(test)]
mod tests {
    use super::is_promised;

    #[test]
    fn promises_are_whole_names() {
        assert!(is_promised("moto", "netns, moto"));
        assert!(!is_promised("net", "netns,moto"));
        assert!(!is_promised("moto", ""));
    }
}
