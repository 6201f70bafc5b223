//! Time as the servers tell it.

use jiff::Timestamp;
use serde_json::Value;

/// Now, or one fixed moment where tests compare text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    fixed: Option<Timestamp>,
}

impl Clock {
    pub(crate) fn fixed(at: Timestamp) -> Self {
        Self { fixed: Some(at) }
    }

    pub(crate) fn now(self) -> Timestamp {
        self.fixed.unwrap_or_else(Timestamp::now)
    }

    /// RFC 3339 in whole seconds, as Kubernetes writes `metav1.Time`.
    pub(crate) fn stamp(self) -> String {
        seconds(self.now())
    }

    /// Age of something stamped `since`, as kubectl prints it; `<unknown>` without a stamp.
    pub(crate) fn age(self, since: &Value) -> String {
        match since
            .as_str()
            .and_then(|text| text.parse::<Timestamp>().ok())
        {
            Some(then) => human(self.now().as_second() - then.as_second()),
            None => "<unknown>".to_owned(),
        }
    }
}

/// RFC 3339 in whole seconds.
pub(crate) fn seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second())
        .unwrap_or(at)
        .to_string()
}

/// A duration as `k8s.io/apimachinery/pkg/util/duration.HumanDuration` prints it: two units where
/// the first is small, one where it is large.
pub(crate) fn human(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    let two = |big: i64, unit: char, small: i64, smaller: char| {
        if small == 0 {
            format!("{big}{unit}")
        } else {
            format!("{big}{unit}{small}{smaller}")
        }
    };
    match seconds {
        i64::MIN..=-2 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        _ if days < 365 * 2 => format!("{days}d"),
        _ if days < 365 * 8 => two(years, 'y', days % 365, 'd'),
        _ => format!("{years}y"),
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn ages_read_as_kubectl_prints_them() {
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (292, "4m52s"),
            (3600, "60m"),
            (10_860, "3h1m"),
            (86_400, "24h"),
            (176_400, "2d1h"),
            (864_000, "10d"),
            (63_072_000, "2y"),
        ];
        for (seconds, text) in cases {
            assert_eq!(human(seconds), text);
        }
    }
}
