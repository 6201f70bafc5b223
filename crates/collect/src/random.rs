//! Random names.

/// `bytes` random bytes in hexadecimal.
///
/// From the TLS provider's source of randomness, which is there anyway. Where even that fails, time
/// and process make the name: it must differ from other runs, not be secret.
pub(crate) fn hex(bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    let provider = rustls::crypto::ring::default_provider();
    if provider.secure_random.fill(&mut buffer).is_err() {
        let seed = jiff::Timestamp::now().as_nanosecond() ^ i128::from(std::process::id());
        for (at, byte) in buffer.iter_mut().enumerate() {
            *byte = seed.to_le_bytes()[at % 16];
        }
    }
    buffer.iter().map(|byte| format!("{byte:02x}")).collect()
}
