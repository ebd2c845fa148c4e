//! What hosts and servers say, made fit for a terminal: nothing that a hostile server sends can move a cursor, hide
//! text or carry a secret of a URL. Pure.

/// The most characters that a cell shows.
const CELL: usize = 60;

/// Text without control and formatting characters, on one line.
pub fn line(text: &str) -> String {
    line_indented(text).trim().to_owned()
}

/// The same, blanks at both ends kept.
pub fn line_indented(text: &str) -> String {
    text.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect()
}

/// The same, cut to the width of a cell.
pub fn cell(text: &str) -> String {
    cut(&line(text), CELL)
}

/// At most so many characters, the last one an ellipsis when something is left out.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        short.push('…');
    }
    short
}

/// A URL without user-info and with the values of its query hidden.
pub fn url(url: &str) -> String {
    let (base, query) = url
        .split_once('?')
        .map_or((url, None), |(base, query)| (base, Some(query)));
    let base = match base.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => base.to_owned(),
    };
    let hidden = |pair: &str| match pair.split_once('=') {
        Some((key, _)) => format!("{key}=***"),
        None => pair.to_owned(),
    };
    match query {
        Some(query) => format!("{base}?{}", query.split('&').map(hidden).collect::<Vec<_>>().join("&")),
        None => base,
    }
}

/// Neither a control character nor one that reorders or hides others.
fn is_plain(c: char) -> bool {
    let reorders =
        matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !reorders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_cursor_passes() {
        assert_eq!(line("a\u{1b}[2Jb\r\nc\u{202e}d\u{9b}e"), "a [2Jb  c d e");
        assert_eq!(cell(&"x".repeat(100)).chars().count(), CELL);
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn urls_keep_no_secrets() {
        for (typed, shown) in [
            ("https://u:p@a.test/x?token=1&v", "https://a.test/x?token=***&v"),
            ("https://a.test", "https://a.test"),
            ("http://a.test/p@q", "http://a.test/p@q"),
        ] {
            assert_eq!(url(typed), shown);
        }
    }
}
