//! The matrix of sources by backends.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// What one source saw.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Host.
    pub host: &'a str,
    /// Local address.
    pub address: IpAddr,
    /// Clients or hits by backend.
    pub backends: &'a [(String, u64)],
}

/// Sources by backends; cells are clients (held) or answered hits (http).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matrix {
    /// Names of the columns, rising.
    pub backends: Vec<String>,
    /// One row a source; a source whose backends are all unknown has only zeros.
    pub rows: Vec<MatrixRow>,
}

/// One source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixRow {
    /// Host.
    pub host: String,
    /// Local address.
    pub address: IpAddr,
    /// One number a backend, in the matrix's order.
    pub cells: Vec<u64>,
}

impl MatrixRow {
    /// All of this source whose backend is known.
    pub fn total(&self) -> u64 {
        self.cells.iter().sum()
    }

    /// On how many backends it was seen.
    pub fn reached(&self) -> usize {
        self.cells.iter().filter(|n| **n > 0).count()
    }
}

impl Matrix {
    /// One number a backend: all sources together.
    pub fn columns(&self) -> Vec<u64> {
        (0..self.backends.len())
            .map(|at| self.rows.iter().map(|row| row.cells[at]).sum())
            .collect()
    }
}

/// Lays out what the sources saw.
pub fn matrix(sources: &[Seen<'_>]) -> Matrix {
    let names: BTreeSet<&String> = sources.iter().flat_map(|s| s.backends).map(|(name, _)| name).collect();
    let backends: Vec<String> = names.into_iter().cloned().collect();
    let cell = |seen: &Seen<'_>, name: &String| seen.backends.iter().filter(|(n, _)| n == name).map(|(_, n)| n).sum();
    let rows = sources
        .iter()
        .map(|seen| MatrixRow {
            host: seen.host.to_owned(),
            address: seen.address,
            cells: backends.iter().map(|name| cell(seen, name)).collect(),
        })
        .collect();
    Matrix { backends, rows }
}
