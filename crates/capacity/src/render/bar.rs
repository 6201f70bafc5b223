//! Bars of characters.

use eksnet_triage::render::Style;

/// A bar of `columns`: what is used, what is held besides, what is possible.
pub(super) fn bar(
    used: Option<u64>,
    held: Option<u64>,
    possible: Option<u64>,
    columns: usize,
    style: &Style,
) -> String {
    let (full, half, empty) = if style.unicode {
        ('█', '▒', '░')
    } else {
        ('#', '+', '.')
    };
    let (Some(used), Some(possible)) = (used, possible.filter(|possible| *possible > 0)) else {
        return "?".repeat(columns);
    };
    let part = |count: u64| -> usize {
        let wide = u128::from(count.min(possible)) * columns as u128;
        // What is there shows, and what is not full does not look so.
        let at = usize::try_from(wide.div_ceil(u128::from(possible))).unwrap_or(columns);
        if count < possible && at == columns {
            columns - 1
        } else {
            at
        }
    };
    let first = part(used);
    let second = part(held.unwrap_or(0).max(used));
    let mut text = String::new();
    for at in 0..columns {
        text.push(if at < first {
            full
        } else if at < second {
            half
        } else {
            empty
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_full_only_when_all_is_used_and_empty_only_when_nothing_is() {
        let ascii = Style {
            unicode: false,
            ..Style::default()
        };
        let of = |used, held, possible| bar(Some(used), Some(held), Some(possible), 10, &ascii);
        assert_eq!(of(0, 0, 56), "..........");
        assert_eq!(of(1, 14, 56), "#++.......");
        assert_eq!(of(55, 56, 56), "#########+");
        assert_eq!(of(56, 56, 56), "##########");
        assert_eq!(of(70, 70, 56), "##########", "more than possible");
        assert_eq!(bar(None, None, Some(1), 4, &ascii), "????");
        assert_eq!(bar(Some(0), None, Some(0), 4, &ascii), "????");
    }
}
