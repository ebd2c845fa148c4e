//! The rows of a CSV file (RFC 4180), one a client. Pure: the text is read elsewhere.

/// What becomes of clients for whom there is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CsvEnd {
    /// They are not opened.
    Stop,
    /// Rows begin again: clients share them.
    Wrap,
    /// The plan is refused.
    Error,
}

/// Reads `stop`, `wrap`, `error`.
pub fn csv_end(text: &str) -> Result<CsvEnd, String> {
    match text {
        "stop" => Ok(CsvEnd::Stop),
        "wrap" => Ok(CsvEnd::Wrap),
        "error" => Ok(CsvEnd::Error),
        _ => Err("stop, wrap or error".into()),
    }
}

/// A CSV file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sheet {
    /// Names of the columns: its first row.
    pub columns: Vec<String>,
    /// All others.
    pub rows: Vec<Vec<String>>,
}

/// Reads a sheet. `name` is the file's, for messages.
pub fn sheet(name: &str, text: &str) -> Result<Sheet, String> {
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let wrong = |error: csv::Error| match error.kind() {
        csv::ErrorKind::UnequalLengths {
            pos: Some(at),
            expected_len,
            len,
        } => format!("{name}:{}: {len} values for {expected_len} columns", at.line()),
        _ => format!("{name}: {error}"),
    };
    let columns: Vec<String> = reader
        .headers()
        .map_err(wrong)?
        .iter()
        .map(|column| column.trim().to_string())
        .collect();
    for (place, column) in columns.iter().enumerate() {
        if let Err(error) = super::vars::is_name(column) {
            return Err(format!("{name}:1: column `{column}`: {error}"));
        }
        if columns[..place].contains(column) {
            return Err(format!("{name}:1: two columns are called `{column}`"));
        }
    }
    let rows = reader
        .records()
        .map(|row| row.map(|row| row.iter().map(String::from).collect()).map_err(wrong))
        .collect::<Result<Vec<Vec<String>>, _>>()?;
    match rows.is_empty() {
        true => Err(format!("{name}: no rows; the first one names the columns")),
        false => Ok(Sheet { columns, rows }),
    }
}

impl Sheet {
    /// A row for each of so many clients, by client number; fewer where the end says stop.
    pub fn deal(self, clients: u64, end: CsvEnd) -> Result<Vec<Vec<String>>, String> {
        let wanted = usize::try_from(clients).unwrap_or(usize::MAX);
        let there = self.rows.len();
        match end {
            CsvEnd::Error if there < wanted => Err(format!(
                "{there} rows for {wanted} clients: add rows, or --csv-end wrap (rows again) or stop (no more clients)"
            )),
            CsvEnd::Wrap => Ok((0..wanted).map(|n| self.rows[n % there].clone()).collect()),
            CsvEnd::Error | CsvEnd::Stop => Ok(self.rows.into_iter().take(wanted).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sheets_are_read_and_dealt() {
        let text = "user,password\nann,\"a,\"\"b\"\nben,c\n";
        let two = sheet("u.csv", text).unwrap();
        assert_eq!(two.columns, ["user", "password"]);
        assert_eq!(two.rows[0], ["ann", "a,\"b"]);
        assert_eq!(two.clone().deal(2, CsvEnd::Error).unwrap().len(), 2);
        assert_eq!(two.clone().deal(1, CsvEnd::Error).unwrap(), [["ann", "a,\"b"]]);
        let error = two.clone().deal(3, CsvEnd::Error).unwrap_err();
        assert!(
            error.contains("2 rows for 3 clients") && error.contains("--csv-end wrap"),
            "{error}"
        );
        assert_eq!(two.clone().deal(3, CsvEnd::Stop).unwrap().len(), 2);
        let wrapped = two.deal(3, CsvEnd::Wrap).unwrap();
        assert_eq!((wrapped.len(), wrapped[2][0].as_str()), (3, "ann"));
    }

    #[test]
    fn what_is_wrong_with_a_sheet() {
        for (text, says) in [
            ("", "no rows"),
            ("a,b\n", "no rows"),
            ("a,b\n1,2\n3\n", "u.csv:3: 1 values for 2 columns"),
            ("a,a\n1,2\n", "two columns are called `a`"),
            ("a-b\n1\n", "column `a-b`"),
            ("conn\n1\n", "a meaning of its own"),
        ] {
            let error = sheet("u.csv", text).unwrap_err();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }
}
