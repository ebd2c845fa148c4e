//! HAProxy's statistics as CSV, as its page (`;csv`) and its runtime socket (`show stat`) give them: columns by name, as the
//! management guide lists them (section 9.1). Pure; the text is a stranger's.

use super::row::{COUNTERS, Figures, GAUGES, Kind, Row};

/// More rows than this are not read.
pub const MOST_ROWS: usize = 20_000;
/// The most characters of a name or a status.
const LONGEST: usize = 128;
/// No figure of a balancer reaches this; larger ones are taken for none.
const MOST: u64 = 1 << 60;

/// Whether a text is such a table.
pub fn is_table(text: &str) -> bool {
    text.trim_start().starts_with("# pxname,")
}

/// Reads the table.
pub fn rows(text: &str) -> Result<Vec<Row>, String> {
    let mut records = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.trim_start().as_bytes())
        .into_records();
    let head = match records.next() {
        Some(Ok(head)) if head.get(0) == Some("# pxname") => head,
        _ => return Err("it does not begin with `# pxname`".to_owned()),
    };
    let places: Vec<&str> = head.iter().map(|name| name.trim_start_matches("# ")).collect();
    let place = |name: &str| places.iter().position(|known| *known == name);
    let columns = Columns {
        proxy: place("pxname").unwrap_or(0),
        name: place("svname").ok_or("it has no column svname")?,
        kind: place("type"),
        mode: place("mode"),
        status: place("status"),
        check_status: place("check_status"),
        counters: named(&COUNTERS, place),
        gauges: named(&GAUGES, place),
    };
    let mut rows = Vec::new();
    for record in records {
        let record = record.map_err(|error| format!("it is no CSV: {error}"))?;
        if record.len() < 2 {
            continue;
        }
        if rows.len() >= MOST_ROWS {
            return Err(format!("it has more than {MOST_ROWS} rows"));
        }
        rows.push(columns.row(&record));
    }
    Ok(rows)
}

fn named(names: &[&'static str], place: impl Fn(&str) -> Option<usize>) -> Vec<(&'static str, usize)> {
    names.iter().filter_map(|name| Some((*name, place(name)?))).collect()
}

/// Where each column stands.
struct Columns {
    proxy: usize,
    name: usize,
    kind: Option<usize>,
    mode: Option<usize>,
    status: Option<usize>,
    check_status: Option<usize>,
    counters: Vec<(&'static str, usize)>,
    gauges: Vec<(&'static str, usize)>,
}

impl Columns {
    fn row(&self, record: &csv::StringRecord) -> Row {
        let text = |place: Option<usize>| -> String {
            let text = place.and_then(|place| record.get(place)).unwrap_or_default();
            text.trim().chars().take(LONGEST).collect()
        };
        let figures = |places: &[(&'static str, usize)]| {
            let mut figures = Figures::default();
            for (name, place) in places {
                let number = record.get(*place).and_then(|text| text.trim().parse::<u64>().ok());
                if let Some(n) = number.filter(|n| *n < MOST) {
                    figures.set(name, n);
                }
            }
            figures
        };
        let name = text(Some(self.name));
        let kind = match (text(self.kind).as_str(), name.as_str()) {
            ("0", _) | ("", "FRONTEND") => Kind::Frontend,
            ("1", _) | ("", "BACKEND") => Kind::Backend,
            ("3", _) => Kind::Listener,
            _ => Kind::Server,
        };
        Row {
            proxy: text(Some(self.proxy)),
            name,
            kind,
            mode: text(self.mode),
            status: text(self.status),
            // a check under way is marked by a star
            check_status: text(self.check_status).trim_start_matches(['*', ' ']).to_owned(),
            counters: figures(&self.counters),
            gauges: figures(&self.gauges),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Of HAProxy 2.6.12: a few columns of a real page.
    const PAGE: &str = "# pxname,svname,qcur,scur,smax,stot,econ,status,type,rate,check_status,hrsp_1xx,hrsp_2xx,check_desc,mode,\n\
        web,FRONTEND,,1,3,10,,OPEN,0,2,,4,6,,http,\n\
        www,s1,0,0,1,7,1,UP 1/3,2,0,* L4OK,2,1,\"a, \"\"b\"\"\",http,\n\
        www,BACKEND,0,0,1,7,1,DOWN,1,0,,2,1,,http,\n\
        tcpb,s1,0,0,1,3,0,no check,2,2,,,,,tcp,\n";

    #[test]
    fn columns_are_read_by_name() {
        let rows = rows(PAGE).unwrap();
        let kinds: Vec<Kind> = rows.iter().map(|row| row.kind).collect();
        assert_eq!(kinds, [Kind::Frontend, Kind::Server, Kind::Backend, Kind::Server]);
        let s1 = &rows[1];
        assert_eq!(
            (s1.label().as_str(), s1.state(), s1.check_status.as_str()),
            ("www/s1", "UP", "L4OK")
        );
        assert_eq!(
            (s1.counters.get("stot"), s1.counters.get("hrsp_1xx")),
            (Some(7), Some(2))
        );
        assert!(s1.speaks_http() && !rows[3].speaks_http());
        // what is not said is not zero
        assert_eq!(
            (rows[0].counters.get("econ"), rows[3].counters.get("hrsp_1xx")),
            (None, None)
        );
        assert_eq!(rows[0].gauges.get("scur"), Some(1));
    }

    #[test]
    fn other_orders_and_older_tables_do() {
        let old = "# pxname,stot,svname,\nwww,5,s1,\nwww,9,BACKEND,\nshort\n";
        let rows = rows(old).unwrap();
        assert_eq!(
            (rows.len(), rows[0].name.as_str(), rows[1].kind),
            (2, "s1", Kind::Backend)
        );
        assert_eq!(rows[0].counters.get("stot"), Some(5));
    }

    #[test]
    fn what_is_no_table_is_told() {
        for text in [
            "",
            "<html>",
            "# svname,pxname",
            "pxname,svname\n",
            "# pxname,stot\nwww,1",
        ] {
            assert!(rows(text).is_err(), "{text}");
        }
        let long = format!("# pxname,svname\n{}", "w,s\n".repeat(MOST_ROWS + 1));
        assert!(rows(&long).unwrap_err().contains("more than"));
        let absurd = format!("# pxname,svname,stot\n{},s1,{}\n", "x".repeat(9999), u64::MAX);
        let rows = rows(&absurd).unwrap();
        assert_eq!((rows[0].proxy.len(), rows[0].counters.get("stot")), (LONGEST, None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn hostile_text_is_read_or_refused(text in "(# pxname,svname,stot,status\n)?[ -~\n\"\u{e9}\u{202e}]{0,200}") {
            for row in rows(&text).into_iter().flatten() {
                prop_assert!(row.name.chars().count() <= LONGEST && row.proxy.chars().count() <= LONGEST);
                prop_assert!(row.counters.iter().all(|(_, n)| n < MOST));
            }
        }

        #[test]
        fn numbers_come_back(stot in 0u64..MOST, name in "[a-z0-9_.-]{1,20}") {
            let page = format!("# pxname,svname,stot,\nwww,{name},{stot},\n");
            let rows = rows(&page).unwrap();
            prop_assert_eq!((rows[0].name.as_str(), rows[0].counters.get("stot")), (name.as_str(), Some(stot)));
        }
    }
}
